"""A host's unix service, gateways, a real sshd, and what a client needs to reach them."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.gateway import Gateway, GatewayLimits, GatewaySettings
from c101.agents.ssh.keys import ensure_key
from c101.agents.ssh.known_hosts import known_hosts_line
from c101.agents.ssh.public_key import PublicKey, parse_public_key
from c101.core.clock import SystemClock

COMMAND = "c101-agent --stdio admin"


class EchoService:
    """A service on a unix socket that answers with what it is sent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.received = 0
        self.connections = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self.path)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while chunk := await reader.read(65_536):
                self.received += len(chunk)
                writer.write(chunk)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def close(self) -> None:
        # Since Python 3.12 wait_closed waits for every connection, and whoever holds one may be
        # ended after this.
        assert self._server is not None
        self._server.close()


class Collector(asyncio.Protocol):
    """A protocol that keeps what it hears."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.data = bytearray()
        self.ended = asyncio.Event()
        self.end_of_input = asyncio.Event()
        self.error: Exception | None = None
        self.arrived = asyncio.Event()
        self.may_write = asyncio.Event()
        self.may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.arrived.set()

    def eof_received(self) -> bool:
        self.end_of_input.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.error = exc
        self.ended.set()
        self.arrived.set()

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()

    async def receive(self, count: int) -> bytes:
        while len(self.data) < count:
            assert not self.ended.is_set(), f"ended with {self.error!r} after {self.data!r}"
            self.arrived.clear()
            await self.arrived.wait()
        taken = bytes(self.data[:count])
        del self.data[:count]
        return taken


@dataclass
class Place:
    """A directory with a user's identity, known hosts, and a host's authorized keys."""

    root: Path
    identity: Path = field(init=False)
    public: PublicKey = field(init=False)

    def __post_init__(self) -> None:
        self.identity = self.root / "id"
        self.public = ensure_key(self.identity)
        self.authorize()

    @property
    def known_hosts(self) -> Path:
        return self.root / "known_hosts"

    @property
    def authorized_keys(self) -> Path:
        return self.root / "authorized_keys"

    def authorize(self, options: str = f'restrict,command="{COMMAND}"') -> None:
        head = f"{options} " if options else ""
        self.authorized_keys.write_text(f"{head}{self.public.line} me\n")
        self.authorized_keys.chmod(0o600)

    def know(self, port: int, key: PublicKey) -> None:
        self.known_hosts.write_text(known_hosts_line("127.0.0.1", port, key) + "\n")

    def target(self, port: int, **changes: object) -> SshTarget:
        fields: dict[str, object] = {
            "host": "127.0.0.1",
            "port": port,
            "user": "root",
            "identity": self.identity,
            "known_hosts": (self.known_hosts,),
            "config": (),
        }
        return SshTarget(**(fields | changes))  # type: ignore[arg-type]

    def ssh(self, port: int, *arguments: str) -> list[str]:
        """Return the command line of the real client."""
        return [
            "ssh",
            "-F/dev/null",
            "-oBatchMode=yes",
            "-oIdentitiesOnly=yes",
            f"-oUserKnownHostsFile={self.known_hosts}",
            f"-i{self.identity}",
            f"-p{port}",
            *arguments,
        ]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without configuration, so that no test depends on whose machine it runs."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
async def echo(tmp_path: Path) -> AsyncIterator[EchoService]:
    service = EchoService(tmp_path / "agent-admin.sock")
    await service.start()
    yield service
    await service.close()


GatewayFactory = Callable[..., "asyncio.Future[Gateway]"]


@pytest.fixture
async def start_gateway(place: Place) -> AsyncIterator[Callable[..., object]]:
    """Start gateways; they are closed at the end."""
    async with AsyncExitStack() as stack:

        async def start(
            relays: dict[str, Path], *, limits: GatewayLimits | None = None, port: int = 0
        ) -> Gateway:
            settings = GatewaySettings(
                host_key=place.root / "host_key",
                authorized_keys=place.authorized_keys,
                relays=relays,
                limits=limits or GatewayLimits(),
            )
            gateway = Gateway("127.0.0.1", port, settings, SystemClock())
            await gateway.start()
            stack.push_async_callback(gateway.close)
            place.know(gateway.port, gateway.host_key)
            await gateway.ready()
            return gateway

        yield start


@pytest.fixture
async def gateway(start_gateway: Callable[..., object], echo: EchoService) -> Gateway:
    return await start_gateway({COMMAND: echo.path})  # type: ignore[misc,no-any-return]


@pytest.fixture
async def links() -> AsyncIterator[Callable[[SshTarget], SshLink]]:
    """Make links; they are closed at the end."""
    async with AsyncExitStack() as stack:

        def make(target: SshTarget) -> SshLink:
            link = SshLink(target, SystemClock())
            stack.push_async_callback(link.close)
            return link

        yield make


@dataclass
class Sshd:
    """A real OpenSSH server on loopback."""

    process: "subprocess.Popen[bytes]"
    port: int
    key: PublicKey
    log: Path

    def descendants(self) -> list[int]:
        """Return the server's pid and those of all it started."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            with contextlib.suppress(OSError):
                children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
                todo += [int(child) for child in children.split()]
        return found

    def signal_all(self, number: signal.Signals) -> None:
        self.kill(self.descendants(), number)

    @staticmethod
    def kill(pids: list[int], number: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


@pytest.fixture
def start_sshd(place: Place) -> Iterator[Callable[..., Sshd]]:
    """Start real servers whose forced command is our relay."""
    if os.geteuid() != 0:
        pytest.skip("a real sshd on our own configuration wants root")
    with ExitStack() as stack:

        def start(*, host_key: Path | None = None, extra: str = "") -> Sshd:
            server = _start_sshd(place, host_key or new_host_key(place.root / "sshd_key"), extra)
            stack.callback(_stop_sshd, server)
            place.know(server.port, server.key)
            return server

        yield start


@pytest.fixture
def sshd(start_sshd: Callable[..., Sshd], echo: EchoService, place: Place) -> Sshd:
    place.authorize(f'restrict,command="{relay_command(echo.path)}"')
    return start_sshd()


def relay_command(path: Path) -> str:
    """Return a command line that runs the relay as an installed c101-agent would."""
    script = f"import sys; from c101.agents.ssh.relay import relay; sys.exit(relay('{path}'))"
    return f'{sys.executable} -c \\"{script}\\"'


def new_host_key(path: Path) -> Path:
    ensure_key(path)
    return path


def _start_sshd(place: Place, host_key: Path, extra: str) -> Sshd:
    Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = place.root / "sshd_config"
    config.write_text(
        f"""
ListenAddress 127.0.0.1:{port}
HostKey {host_key}
AuthorizedKeysFile {place.authorized_keys}
PidFile none
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
LogLevel VERBOSE
# sshd runs a command by the user's shell, and bash then reads ~/.bashrc: here it has none
SetEnv HOME={place.root / "home"}
{extra}
"""
    )
    log = place.root / "sshd.log"
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-E", str(log), "-f", str(config)])
    key = parse_public_key(host_key.with_name(host_key.name + ".pub").read_text())
    _wait_listening(port, process, log)
    return Sshd(process, port, key, log)


def _wait_listening(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
    raise AssertionError(f"sshd does not listen: {log.read_text()}")


def _stop_sshd(server: Sshd) -> None:
    server.signal_all(signal.SIGCONT)
    server.signal_all(signal.SIGKILL)
    server.process.wait()
