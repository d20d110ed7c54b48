"""The gateway, met by those who do not mean well."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncssh
import psutil
import pytest

from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.gateway import Gateway, GatewayLimits, GatewaySettings
from c101.core.clock import SystemClock
from c101.core.errors import ConfigError
from tests.ssh.conftest import COMMAND, Collector, EchoService, Place

pytestmark = pytest.mark.integration

StartGateway = Callable[..., Awaitable[Gateway]]
Links = Callable[[SshTarget], SshLink]


async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", port)


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def works(place: Place, port: int, links: Links) -> None:
    protocol = Collector()
    await links(place.target(port)).dialer(COMMAND).dial(protocol)
    assert protocol.transport
    protocol.transport.write(b"ok")
    assert await protocol.receive(2) == b"ok"


async def test_a_silent_client_is_cut_at_the_login_timeout(
    start_gateway: StartGateway, place: Place, echo: EchoService, links: Links
) -> None:
    limits = GatewayLimits(login_timeout_seconds=0.3)
    gateway = await start_gateway({COMMAND: echo.path}, limits=limits)
    reader, writer = await connect(gateway.port)
    async with asyncio.timeout(3):
        assert (await read_to_end(reader)).startswith(b"SSH-2.0-c101")
    writer.close()
    await works(place, gateway.port, links)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
        pytest.param(b"A" * 100_000, id="a banner without an end"),
        pytest.param(b"SSH-2.0-" + b"x" * 5_000 + b"\r\n", id="a version without an end"),
        pytest.param(b"SSH-1.5-old\r\n", id="an old version"),
        pytest.param(b"SSH-2.0-x\r\n" + b"\xff" * 64, id="a packet of 4 GiB"),
        pytest.param(b"SSH-2.0-x\r\n" + b"\0" * 64, id="a packet of nothing"),
        pytest.param(b"SSH-2.0-x\r\n" + os.urandom(4_096), id="noise"),
    ],
)
async def test_garbage_ends_its_own_connection(
    sent: bytes, start_gateway: StartGateway, place: Place, echo: EchoService, links: Links
) -> None:
    limits = GatewayLimits(login_timeout_seconds=2)
    gateway = await start_gateway({COMMAND: echo.path}, limits=limits)
    reader, writer = await connect(gateway.port)
    writer.write(sent)
    async with asyncio.timeout(5):
        await read_to_end(reader)
    writer.close()
    await works(place, gateway.port, links)


async def test_unauthenticated_connections_are_capped_and_those_logged_in_stay(
    start_gateway: StartGateway, place: Place, echo: EchoService, links: Links
) -> None:
    limits = GatewayLimits(login_timeout_seconds=2)
    gateway = await start_gateway({COMMAND: echo.path}, limits=limits)
    protocol = Collector()
    await links(place.target(gateway.port)).dialer(COMMAND).dial(protocol)
    streams = await asyncio.gather(*(connect(gateway.port) for _ in range(200)))

    async def greeted(reader: asyncio.StreamReader) -> bool:
        try:
            return (await reader.readline()).startswith(b"SSH-2.0")
        except ConnectionError:
            return False

    answers = await asyncio.gather(*(greeted(reader) for reader, _ in streams))
    assert sum(answers) == limits.unauthenticated_per_source_max
    assert protocol.transport
    protocol.transport.write(b"still here")
    assert await protocol.receive(10) == b"still here"
    for _, writer in streams:
        writer.close()
    await asyncio.sleep(0.1)
    await works(place, gateway.port, links)


async def test_a_thousand_connections_leave_nothing_behind(
    start_gateway: StartGateway, place: Place, echo: EchoService, links: Links
) -> None:
    gateway = await start_gateway({COMMAND: echo.path})
    await works(place, gateway.port, links)
    before = psutil.Process().num_fds()
    for _ in range(10):
        streams = await asyncio.gather(*(connect(gateway.port) for _ in range(100)))
        for _, writer in streams:
            writer.close()
        await asyncio.gather(
            *(writer.wait_closed() for _, writer in streams), return_exceptions=True
        )
    await asyncio.sleep(0.2)
    assert psutil.Process().num_fds() <= before + 2
    await works(place, gateway.port, links)


async def test_passwords_and_no_authentication_at_all_are_not_offered(
    gateway: Gateway, place: Place
) -> None:
    methods = await asyncssh.get_server_auth_methods(
        "127.0.0.1", gateway.port, username="root", config=None
    )
    assert list(methods) == ["publickey"]


async def raw(place: Place, port: int) -> asyncssh.SSHClientConnection:
    return await asyncssh.connect(
        "127.0.0.1",
        port,
        username="root",
        config=None,
        client_keys=[str(place.identity)],
        known_hosts=str(place.known_hosts),
    )


async def test_another_asyncssh_reaches_the_relay_and_nothing_else(
    gateway: Gateway, place: Place, tmp_path: Path
) -> None:
    async with await raw(place, gateway.port) as connection:
        answer = await connection.run("anything", input=b"hello", encoding=None)
        assert answer.stdout == b"hello"
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", 22)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.start_server(lambda *_: True, "127.0.0.1", 0)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.start_unix_server(lambda: True, str(tmp_path / "listen"))
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_unix_connection("/etc/passwd")
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.start_sftp_client()
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.create_process(request_pty="force", term_type="xterm")


async def test_a_client_that_does_not_read_stops_the_service_not_the_gateway(
    gateway: Gateway, place: Place, echo: EchoService, links: Links
) -> None:
    protocol = Collector()
    await links(place.target(gateway.port)).dialer(COMMAND).dial(protocol)
    assert protocol.transport
    protocol.transport.pause_reading()
    before = psutil.Process().memory_info().rss
    for _ in range(400):
        if not protocol.may_write.is_set():
            break
        protocol.transport.write(b"x" * 65_536)
        await asyncio.sleep(0.01)
    assert not protocol.may_write.is_set()
    held = -1
    while held != echo.received:
        held = echo.received
        await asyncio.sleep(0.3)
    assert psutil.Process().memory_info().rss - before < 32 * 1024 * 1024
    await works(place, gateway.port, links)


async def test_a_port_that_is_taken_is_said_so(place: Place, gateway: Gateway) -> None:
    settings = GatewaySettings(
        host_key=place.root / "k", authorized_keys=place.authorized_keys, relays={}
    )
    other = Gateway("127.0.0.1", gateway.port, settings, SystemClock())
    with pytest.raises(ConfigError, match=f"127.0.0.1:{gateway.port}.*in use"):
        await other.start()
    await other.close()


async def test_the_host_key_is_made_once_and_is_private(
    start_gateway: StartGateway, place: Place, echo: EchoService
) -> None:
    first = await start_gateway({COMMAND: echo.path})
    second = await start_gateway({COMMAND: echo.path})
    assert first.host_key == second.host_key
    assert (place.root / "host_key").stat().st_mode & 0o777 == 0o600
