"""The dialing end of the SSH link: one connection a host, one channel a dial.

What a channel of ``core.rpc`` gets from ``SshLink.dialer`` is a byte stream to the service behind a
relay. Importing this module costs nothing: asyncssh is loaded, in a thread, by the first dial.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from c101.agents.ssh.known_hosts import SSH_PORT, check_host, check_user
from c101.agents.ssh.loading import load
from c101.core.clock import Clock
from c101.core.errors import C101Error, ConfigError, LinkError
from c101.core.model.host import LinkPhase, LinkState

if TYPE_CHECKING:
    from c101.agents.ssh.connection import Connection

#: From the first packet to the end of the login. A frozen host still accepts TCP connections.
CONNECT_TIMEOUT_SECONDS = 10.0
#: From the request for a channel to its answer, on a connection that stands.
CHANNEL_TIMEOUT_SECONDS = 10.0
#: A silent peer is given up after this many unanswered keepalives, this far apart.
KEEPALIVE_SECONDS = 5.0
KEEPALIVE_COUNT_MAX = 3
#: What a host may send ahead of a reader that sleeps, a channel.
WINDOW_BYTES = 1024 * 1024
#: What of a command's input is given to the link at a time.
INPUT_CHUNK_BYTES = 256 * 1024
#: The status of a command that was ended by a signal, or whose end nobody told.
UNKNOWN_STATUS = -1
#: The system's own, which are always read.
SYSTEM_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a command: its exit status, and what it wrote."""

    status: int
    output: bytes
    complaint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SshTarget:
    """Where a host is and how it is known.

    ``host`` may be a name of the user's ssh configuration, which decides what is None here.
    ``identity`` is the only key tried when it is given. ``known_hosts`` are read beside the user's
    own files. ``host_keys`` (public key lines) pin the host: nothing else is then trusted.
    ``config`` names configuration files; None is ``~/.ssh/config``, and ``()`` none at all.
    """

    host: str
    port: int | None = None
    user: str | None = None
    identity: Path | None = None
    known_hosts: tuple[Path, ...] = ()
    config: tuple[Path, ...] | None = None
    host_keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what is no host, port or user. Raises ConfigError."""
        check_host(self.host)
        if self.user is not None:
            check_user(self.user)
        if self.port is not None and not 0 < self.port < 65_536:
            raise ConfigError(f"not a port: {self.port}")

    @property
    def name(self) -> str:
        """The target for people: ``ssh://core@host:2222``."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port not in {None, SSH_PORT} else ""
        return f"ssh://{user}{host}{port}"


class SshLink:
    """One host. The connection is made by whoever needs it first and shared by all channels.

    *gate* bounds the handshakes under way, where many links are made at once.
    """

    def __init__(
        self, target: SshTarget, clock: Clock, *, gate: asyncio.Semaphore | None = None
    ) -> None:
        self.target = target
        self._clock = clock
        self._gate = gate or asyncio.Semaphore(1)
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._closed = False
        self._state = LinkState(host=target.host, phase=LinkPhase.DOWN, since=clock.time())

    @property
    def state(self) -> LinkState:
        """Where the link stands, with the round trip as the kernel measures it."""
        connection = self._connection
        if connection is not None and connection.is_lost:
            self._enter(LinkPhase.DOWN, reason=connection.lost_reason)
            self._connection = None
        return self._state

    @property
    def rtt_seconds(self) -> float | None:
        """The kernel's estimate of the round trip; None while there is no connection."""
        return self._connection.rtt_seconds() if self._connection is not None else None

    def dialer(self, command: str) -> "SshDialer":
        """Return a dialer each of whose dials opens a channel that runs *command*."""
        return SshDialer(self, command)

    async def connect(self) -> None:
        """Make the connection unless it stands. Raises LinkError, AuthError, HostKeyError."""
        await self._connected()

    async def wait_lost(self) -> str:
        """Wait until the connection that stands now is lost; return why."""
        connection = self._connection
        if connection is None:
            return self._state.reason
        reason = await connection.wait_lost()
        _ = self.state  # notices
        return reason

    async def open(self, command: str, protocol: asyncio.Protocol) -> None:
        """Open a channel that runs *command* and attach *protocol* to it (see SshDialer.dial)."""
        connection = await self._connected()
        await connection.open(command, protocol)

    async def run(
        self,
        command: str,
        data: bytes = b"",
        *,
        seconds: float,
        sent: Callable[[int], None] = lambda _: None,
    ) -> Ran:
        """Run *command* with *data* as its input; *sent* hears of the bytes on their way.

        Raises LinkError, also when it takes longer than *seconds*; AuthError, HostKeyError.
        """
        connection = await self._connected()
        try:
            async with asyncio.timeout(seconds):
                return await connection.run(command, data, sent)
        except TimeoutError as error:
            raise LinkError(f"{self.target.name}: no answer within {seconds:g} s") from error

    async def close(self) -> None:
        """End the connection and every channel on it; later dials fail."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            with suppress(asyncio.CancelledError, C101Error):
                await self._connecting
        if self._connection is not None:
            connection, self._connection = self._connection, None
            await connection.close()
        self._enter(LinkPhase.DOWN, reason="closed")

    async def _connected(self) -> "Connection":
        if self._closed:
            raise LinkError(f"{self.target.name}: the link is closed")
        if self._connection is not None and not self._connection.is_lost:
            return self._connection
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._make(), name=f"dial {self.target.name}")
            self._connecting.add_done_callback(self._made)
        # Shielded: one who gives up does not take the connection from the others that wait.
        return await asyncio.shield(self._connecting)

    async def _make(self) -> "Connection":
        self._enter(LinkPhase.CONNECTING)
        try:
            async with self._gate:
                module = await asyncio.to_thread(_load)
                connection: Connection = await module.connect(self.target)
        except C101Error as error:
            self._enter(LinkPhase.DOWN, reason=str(error), hint=error.hint or "")
            raise
        except asyncio.CancelledError:
            self._enter(LinkPhase.DOWN, reason="closed")
            raise
        self._connection = connection
        self._enter(LinkPhase.UP)
        return connection

    def _made(self, task: "asyncio.Task[Connection]") -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # seen: those who waited have it, and there may be none left

    def _enter(self, phase: LinkPhase, *, reason: str = "", hint: str = "") -> None:
        self._state = LinkState(
            host=self.target.host, phase=phase, since=self._clock.time(), reason=reason, hint=hint
        )


class SshDialer:
    """A Dialer of ``core.rpc``: its stream is the standard input and output of *command*."""

    def __init__(self, link: SshLink, command: str) -> None:
        self._link = link
        self._command = command
        self.name = f"{link.target.name}/{command}"

    async def dial(self, protocol: asyncio.Protocol) -> None:
        """Open a channel; *protocol* has its transport on return, and hears of its end.

        Raises LinkError, AuthError or HostKeyError. Where the command starts but its service does
        not answer, the protocol's connection is lost with what the command complained of.
        """
        await self._link.open(self._command, protocol)


def user_known_hosts() -> list[Path]:
    """Return the user's files that OpenSSH reads when nobody says otherwise."""
    folder = Path.home() / ".ssh"
    return [folder / "known_hosts", folder / "known_hosts2"]


def _load() -> ModuleType:
    # asyncssh: see the head of this module.
    return load("c101.agents.ssh.connection")
