"""The dialer, at our gateway and at a real sshd: who is trusted, what is carried, what is lost."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from c101.agents.ssh import connection
from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.gateway import Gateway, GatewayLimits
from c101.agents.ssh.keys import ensure_key
from c101.agents.ssh.known_hosts import known_hosts_line
from c101.core.errors import AuthError, ConfigError, HostKeyError, LinkError, LinkLostError
from c101.core.model.host import LinkPhase
from tests.ssh.conftest import COMMAND, Collector, EchoService, Place, Sshd

pytestmark = pytest.mark.integration

Links = Callable[[SshTarget], SshLink]
StartGateway = Callable[..., Awaitable[Gateway]]
StartSshd = Callable[..., Sshd]


@pytest.fixture(params=["our gateway", "a real sshd"])
def port(request: pytest.FixtureRequest) -> int:
    """The port of either kind of server, whose forced command reaches the echo service."""
    name = "gateway" if request.param == "our gateway" else "sshd"
    server: Gateway | Sshd = request.getfixturevalue(name)
    return server.port


async def dial(link: SshLink, command: str = COMMAND) -> Collector:
    protocol = Collector()
    await link.dialer(command).dial(protocol)
    assert protocol.transport is not None
    return protocol


async def test_a_dial_reaches_the_service(port: int, place: Place, links: Links) -> None:
    link = links(place.target(port))
    protocol = await dial(link)
    assert protocol.transport
    protocol.transport.write(b"hello")
    assert await protocol.receive(5) == b"hello"
    assert link.state.phase is LinkPhase.UP
    rtt = link.rtt_seconds
    assert rtt is not None
    assert 0 < rtt < 1


async def test_many_dials_at_once_share_one_connection(
    port: int, place: Place, links: Links, echo: EchoService
) -> None:
    link = links(place.target(port))
    protocols = await asyncio.gather(*(dial(link) for _ in range(5)))
    peers = set()
    for number, protocol in enumerate(protocols):
        assert protocol.transport
        protocol.transport.write(bytes([number]))
        assert await protocol.receive(1) == bytes([number])
        peers.add(protocol.transport.get_extra_info("sockname"))
    assert echo.connections == 5
    assert len(peers) == 1


async def test_the_service_hears_of_a_close_and_the_protocol_too(
    port: int, place: Place, links: Links
) -> None:
    protocol = await dial(links(place.target(port)))
    assert protocol.transport
    protocol.transport.write(b"x" * 100_000)
    protocol.transport.write_eof()
    await protocol.receive(100_000)
    await protocol.ended.wait()
    assert protocol.error is None
    protocol.transport.write(b"late")  # dropped, as asyncio's transports do


async def test_an_aborted_channel_is_lost_at_once_and_the_others_stay(
    port: int, place: Place, links: Links
) -> None:
    link = links(place.target(port))
    one, other = await dial(link), await dial(link)
    assert one.transport
    assert other.transport
    one.transport.abort()
    async with asyncio.timeout(1):
        await one.ended.wait()
    other.transport.write(b"still here")
    assert await other.receive(10) == b"still here"


@pytest.mark.parametrize("megabytes", [16])
async def test_much_data_both_ways_arrives_whole_and_memory_stays_bounded(
    megabytes: int, port: int, place: Place, links: Links, echo: EchoService
) -> None:
    protocol = await dial(links(place.target(port)))
    transport = protocol.transport
    assert transport
    transport.set_write_buffer_limits(65_536)
    chunk, total = bytes(range(256)) * 256, megabytes * 1024 * 1024

    async def send() -> None:
        for _ in range(total // len(chunk)):
            await protocol.may_write.wait()
            transport.write(chunk)
            await asyncio.sleep(0)

    async def slowly_receive() -> None:
        transport.pause_reading()
        # The echo stops: nobody reads it, so it does not read either. What it took is what fits
        # into the buffers and windows on the way there and back.
        held = -1
        while not echo.received or held != echo.received:
            held = echo.received
            await asyncio.sleep(0.7)
        assert held < 8 * 1024 * 1024
        assert transport.get_write_buffer_size() < 1024 * 1024
        transport.resume_reading()
        for _ in range(total // len(chunk)):
            assert await protocol.receive(len(chunk)) == chunk

    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        group.create_task(slowly_receive())


async def test_an_unknown_host_is_refused_with_its_fingerprint(
    port: int, place: Place, links: Links
) -> None:
    (_, key) = place.known_hosts.read_text().split(" ", 1)
    place.known_hosts.unlink()
    with pytest.raises(HostKeyError, match="unknown; it showed ssh-ed25519 SHA256:") as caught:
        await dial(links(place.target(port)))
    assert f"c101ctl hosts trust 127.0.0.1:{port}" in str(caught.value.hint)
    # ... and a pinned key makes it known
    await dial(links(place.target(port, host_keys=(key.strip(),))))


async def test_a_changed_host_key_is_refused_naming_both_fingerprints_and_the_line(
    port: int, place: Place, links: Links
) -> None:
    (_, real) = place.known_hosts.read_text().split(" ", 1)
    other = ensure_key(place.root / "other")
    place.known_hosts.write_text("# a comment\n" + known_hosts_line("127.0.0.1", port, other))
    with pytest.raises(HostKeyError) as caught:
        await dial(links(place.target(port)))
    message = str(caught.value)
    assert "CHANGED" in message
    assert other.fingerprint in message
    assert f"{place.known_hosts}:2" in message
    assert message.count("SHA256:") == 2
    # ... and a pin is not overruled by a file that would trust the host
    place.known_hosts.write_text(f"[127.0.0.1]:{port} {real}")
    with pytest.raises(HostKeyError, match=r"CHANGED.*\(pinned\)"):
        await dial(links(place.target(port, host_keys=(other.line,))))


async def test_a_host_key_of_another_kind_is_a_changed_key_too(
    gateway: Gateway, place: Place, links: Links
) -> None:
    path = place.root / "rsa"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", path], check=True)
    kind, encoded, _ = path.with_suffix(".pub").read_text().split()
    place.known_hosts.write_text(f"[127.0.0.1]:{gateway.port} {kind} {encoded}\n")
    with pytest.raises(HostKeyError, match=r"CHANGED.*showed ssh-ed25519.*known is ssh-rsa"):
        await dial(links(place.target(gateway.port)))


async def test_a_revoked_host_key_is_refused(port: int, place: Place, links: Links) -> None:
    line = place.known_hosts.read_text()
    place.known_hosts.write_text(line + f"@revoked * {line.split(' ', 1)[1]}")
    with pytest.raises(HostKeyError, match=f"revoked.*{place.known_hosts}:2"):
        await dial(links(place.target(port)))


async def test_the_users_own_known_hosts_are_read(
    port: int, place: Place, links: Links, home: Path
) -> None:
    (home / ".ssh").mkdir()
    place.known_hosts.rename(home / ".ssh" / "known_hosts")
    await dial(links(place.target(port)))


async def test_a_host_certificate_by_a_known_authority_is_trusted(
    start_sshd: StartSshd, place: Place, links: Links, echo: EchoService
) -> None:
    authority = ensure_key(place.root / "ca")
    host_key = place.root / "certified"
    ensure_key(host_key)
    subprocess.run(
        f"ssh-keygen -q -s {place.root / 'ca'} -I host -h -n 127.0.0.1 {host_key}.pub".split(),
        check=True,
    )
    server = start_sshd(host_key=host_key, extra=f"HostCertificate {host_key}-cert.pub")
    place.known_hosts.write_text(f"@cert-authority [127.0.0.1]:* {authority.line}\n")
    await links(place.target(server.port)).connect()
    other = ensure_key(place.root / "other")
    place.known_hosts.write_text(f"@cert-authority * {other.line}\n")
    with pytest.raises(HostKeyError, match="its certificate is signed by") as caught:
        await links(place.target(server.port)).connect()
    assert authority.fingerprint in str(caught.value)


async def test_a_key_that_is_not_authorized_is_an_authentication_error(
    port: int, place: Place, links: Links
) -> None:
    ensure_key(place.root / "stranger")
    with pytest.raises(AuthError, match="does not accept this key"):
        await dial(links(place.target(port, identity=place.root / "stranger")))


async def test_a_command_that_the_key_may_not_run_is_refused(
    gateway: Gateway, place: Place, links: Links
) -> None:
    place.authorize("restrict")
    with pytest.raises(LinkError, match="'c101-agent --stdio admin' was refused"):
        await dial(links(place.target(gateway.port)))


async def test_a_service_that_is_down_loses_the_channel_with_the_relays_words(
    port: int, place: Place, links: Links, echo: EchoService
) -> None:
    echo.path.unlink()
    protocol = await dial(links(place.target(port)))
    await protocol.ended.wait()
    assert isinstance(protocol.error, LinkLostError)
    assert "nobody answers on" in str(protocol.error)


async def test_a_port_where_nobody_listens_is_a_link_error(place: Place, links: Links) -> None:
    with pytest.raises(LinkError, match=r"(?i)connect"):
        await dial(links(place.target(1)))


async def test_a_host_that_speaks_something_else_is_a_link_error(
    place: Place, links: Links
) -> None:
    async def babble(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x1b[2Jgarbage\r\n" * 5_000)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        with pytest.raises(LinkError) as caught:
            await dial(links(place.target(server.sockets[0].getsockname()[1])))
    assert "\x1b" not in str(caught.value)


async def test_a_silent_host_is_given_up(
    place: Place, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        link = links(place.target(silent.getsockname()[1]))
        with pytest.raises(LinkError, match="no answer within"):
            await dial(link)
    assert link.state.phase is LinkPhase.DOWN


async def test_a_frozen_server_is_noticed_by_keepalives(
    sshd: Sshd, place: Place, links: Links, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "KEEPALIVE_SECONDS", 0.2)
    link = links(place.target(sshd.port))
    protocol = await dial(link)
    sshd.signal_all(signal.SIGSTOP)
    async with asyncio.timeout(5):
        await protocol.ended.wait()
    assert isinstance(protocol.error, LinkLostError)
    assert link.state.phase is LinkPhase.DOWN
    assert link.state.reason
    sshd.signal_all(signal.SIGCONT)
    await dial(link)


async def test_the_users_configuration_decides_what_the_target_leaves_open(
    port: int, place: Place, links: Links, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(
        f"Host db\n  Hostname 127.0.0.1\n  Port {port}\n  User root\n"
        f'  IdentityFile "{place.identity}"\n'
        f'  UserKnownHostsFile "{place.known_hosts}"\n  ForwardAgent yes\n'
        f'Match exec "touch {tmp_path}/ran"\n  Compression no\n'
    )
    await dial(links(SshTarget(host="db", config=(config,))))
    assert (tmp_path / "ran").exists()


async def test_a_configuration_cannot_turn_verification_off(
    gateway: Gateway, place: Place, links: Links, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text("UserKnownHostsFile none\nGlobalKnownHostsFile /dev/null\n")
    target = place.target(gateway.port, config=(config,), known_hosts=())
    with pytest.raises(HostKeyError, match="unknown"):
        await dial(links(target))


async def test_a_broken_identity_or_configuration_is_a_usage_error(
    gateway: Gateway, place: Place, links: Links, tmp_path: Path
) -> None:
    (tmp_path / "broken").write_text("not a key")
    with pytest.raises(ConfigError):
        await dial(links(place.target(gateway.port, identity=tmp_path / "broken")))
    (tmp_path / "config").write_text("Port many\n")
    with pytest.raises(ConfigError):
        await dial(links(place.target(gateway.port, config=(tmp_path / "config",))))


async def test_one_who_gives_up_does_not_take_the_connection_from_the_others(
    port: int, place: Place, links: Links
) -> None:
    link = links(place.target(port))
    first = asyncio.create_task(dial(link))
    second = asyncio.create_task(dial(link))
    await asyncio.sleep(0)
    first.cancel()
    protocol = await second
    assert protocol.transport
    protocol.transport.write(b"x")
    assert await protocol.receive(1) == b"x"


async def test_a_closed_link_dials_no_more(port: int, place: Place, links: Links) -> None:
    link = links(place.target(port))
    protocol = await dial(link)
    await link.close()
    await protocol.ended.wait()
    with pytest.raises(LinkError, match="closed"):
        await dial(link)


async def test_more_channels_than_allowed_are_refused(
    start_gateway: StartGateway, place: Place, links: Links, echo: EchoService
) -> None:
    gateway = await start_gateway({COMMAND: echo.path}, limits=GatewayLimits(sessions_max=2))
    link = links(place.target(gateway.port))
    protocols = [await dial(link) for _ in range(2)]
    with pytest.raises(LinkError, match="Too many channels"):
        await dial(link)
    assert protocols[0].transport
    protocols[0].transport.close()
    await protocols[0].ended.wait()
    await dial(link)


async def test_a_protocol_that_fails_ends_its_own_channel_only(
    port: int, place: Place, links: Links
) -> None:
    class Faulty(Collector):
        def data_received(self, _data: bytes) -> None:
            raise ValueError("a fault of the protocol")

    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, about: reported.append(about))
    link = links(place.target(port))
    good, faulty = await dial(link), Faulty()
    await link.dialer(COMMAND).dial(faulty)
    assert faulty.transport
    assert good.transport
    faulty.transport.write(b"x")
    await faulty.ended.wait()
    good.transport.write(b"y")
    assert await good.receive(1) == b"y"
    assert len(reported) == 1


def test_importing_the_dialer_does_not_import_asyncssh() -> None:
    script = (
        "import sys, c101.agents.ssh.dial, c101.agents.ssh.host_set, c101.agents.ssh.gateway;"
        "sys.exit('asyncssh' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
