"""Our RPC over our link: the server behind a relay, the channel on an SSH channel."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.gateway import Gateway
from c101.core.errors import LinkError
from c101.core.rpc.channel import Channel
from c101.core.rpc.server import Server, ServerStream, unary
from tests.ssh.conftest import COMMAND, Place, Sshd, relay_command

pytestmark = pytest.mark.integration

Links = Callable[[SshTarget], SshLink]


async def _echo(request: bytes) -> bytes:
    return request


async def _flood(stream: ServerStream) -> None:
    async for request in stream:
        for number in range(int(request)):
            stream.send(number.to_bytes(4) * 256)
            await stream.drain()


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Path]:
    path = tmp_path / "rpc.sock"
    server = Server({"/test.Echo/Echo": unary(_echo)}, {"/test.Echo/Flood": _flood})
    listener = await server.serve_unix(path)
    yield path
    listener.close()
    await server.close(0)


@pytest.fixture(params=["our gateway", "a real sshd"])
async def link(
    request: pytest.FixtureRequest,
    service: Path,
    place: Place,
    links: Links,
    start_gateway: Callable[..., Awaitable[Gateway]],
    start_sshd: Callable[..., Sshd],
) -> SshLink:
    if request.param == "our gateway":
        return links(place.target((await start_gateway({COMMAND: service})).port))
    place.authorize(f'restrict,command="{relay_command(service)}"')
    return links(place.target(start_sshd().port))


async def test_calls_and_streams_share_one_ssh_channel(link: SshLink) -> None:
    channel = Channel(link.dialer(COMMAND))
    try:
        assert await channel.unary("/test.Echo/Echo", b"hello", timeout=10) == b"hello"
        big = bytes(range(256)) * 4_000
        answers = await asyncio.gather(
            *(channel.unary("/test.Echo/Echo", big, timeout=20) for _ in range(8))
        )
        assert all(answer == big for answer in answers)
        async with channel.stream("/test.Echo/Flood") as stream:
            stream.send(b"2000")
            stream.end()
            got = [message async for message in stream]
        assert [message[:4] for message in got] == [n.to_bytes(4) for n in range(2_000)]
        assert await channel.ping(5) < 1
    finally:
        await channel.close()


async def test_a_call_after_the_connection_was_lost_connects_again(
    service: Path, place: Place, links: Links, start_sshd: Callable[..., Sshd]
) -> None:
    place.authorize(f'restrict,command="{relay_command(service)}"')
    sshd = start_sshd()
    link = links(place.target(sshd.port))
    channel = Channel(link.dialer(COMMAND))
    try:
        await channel.unary("/test.Echo/Echo", b"1", timeout=10)
        children = [pid for pid in sshd.descendants() if pid != sshd.process.pid]
        Sshd.kill(children, signal.SIGKILL)
        async with asyncio.timeout(10):
            while True:
                try:
                    answer = await channel.unary("/test.Echo/Echo", b"2", timeout=10)
                except LinkError:
                    await asyncio.sleep(0.05)
                    continue
                break
        assert answer == b"2"
    finally:
        await channel.close()


async def test_a_relay_whose_service_is_down_fails_the_call_with_its_words(
    place: Place, links: Links, start_gateway: Callable[..., Awaitable[Gateway]], tmp_path: Path
) -> None:
    gateway = await start_gateway({COMMAND: tmp_path / "nothing.sock"})
    channel = Channel(links(place.target(gateway.port)).dialer(COMMAND))
    try:
        with pytest.raises(LinkError):
            await channel.unary("/test.Echo/Echo", b"", timeout=10)
    finally:
        await channel.close()
