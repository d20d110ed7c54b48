"""The gateway's listener: SSH for hosts that have no sshd (a container, the demo, tests).

It has no shell, no terminal, no files and no forwarding. A key that ``authorized_keys`` holds
reaches the relay of its forced command, which joins an SSH channel to a unix socket, as
``c101-agent --stdio ROLE`` does behind a real sshd.

Binding is apart from serving: asyncssh takes long to import, and a process that has just started
has better things to do. It is loaded at the first connection, which waits in the kernel's backlog
meanwhile, or once the process has had time to settle.
"""

import asyncio
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from c101.agents.ssh.keys import ensure_key
from c101.agents.ssh.loading import load
from c101.agents.ssh.public_key import PublicKey
from c101.core.clock import Clock
from c101.core.errors import ConfigError

if TYPE_CHECKING:
    from c101.agents.ssh.gateway_server import GatewayServer

#: Connections that have not logged in: of one source, and of all. Newer ones are dropped.
UNAUTHENTICATED_PER_SOURCE_MAX = 10
UNAUTHENTICATED_MAX = 100
#: Connections in all; newer ones are dropped.
CONNECTIONS_MAX = 512
#: A connection that has not logged in by then is cut.
LOGIN_TIMEOUT_SECONDS = 20.0
#: Keys a client may try before it is cut.
AUTH_TRIES_MAX = 3
#: Channels of one connection; more are refused.
SESSIONS_MAX = 10
#: What a channel may have in flight, and so what it may cost in memory while its reader sleeps.
WINDOW_BYTES = 1024 * 1024
#: Held for a channel whose side does not read, before the other side is held back.
BUFFER_BYTES_MAX = 256 * 1024
#: A client that is gone without a word is noticed within three of these.
KEEPALIVE_SECONDS = 15.0
KEEPALIVE_COUNT_MAX = 3
LISTEN_BACKLOG = 128
#: asyncssh is loaded by then though nobody has connected.
LOAD_AFTER_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayLimits:
    """The limits above; tests lower them."""

    unauthenticated_per_source_max: int = UNAUTHENTICATED_PER_SOURCE_MAX
    unauthenticated_max: int = UNAUTHENTICATED_MAX
    connections_max: int = CONNECTIONS_MAX
    login_timeout_seconds: float = LOGIN_TIMEOUT_SECONDS
    auth_tries_max: int = AUTH_TRIES_MAX
    sessions_max: int = SESSIONS_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """What a gateway serves, and to whom.

    ``relays`` maps an exact command to the unix socket that it stands for. ``authorized_keys`` is
    read anew for every connection, so that a key that was removed opens nothing more.
    """

    host_key: Path
    authorized_keys: Path
    relays: Mapping[str, Path]
    limits: GatewayLimits = field(default_factory=GatewayLimits)


class Gateway:
    """An SSH server with relays in it.

    ``start`` binds and returns; serving begins with the first connection.
    """

    def __init__(self, host: str, port: int, settings: GatewaySettings, clock: Clock) -> None:
        self._host = host
        self._port = port
        self._settings = settings
        self._clock = clock
        self._server: GatewayServer | None = None
        self._starting: asyncio.Task[None] | None = None
        self._listener: socket.socket | None = None
        self._key: PublicKey | None = None
        self._wanted = asyncio.Event()

    @property
    def port(self) -> int:
        """The port that is listened on; the one asked for until ``start`` has returned."""
        return self._port

    @property
    def host_key(self) -> PublicKey:
        """The public host key; there once ``start`` has returned."""
        assert self._key is not None
        return self._key

    async def start(self) -> None:
        """Make the host key if there is none, bind, and begin to serve in a task of its own.

        Raises ConfigError: the address is taken or not ours, or the key cannot be made.
        """
        self._key = ensure_key(self._settings.host_key)
        self._listener = _bind(self._host, self._port)
        self._port = self._listener.getsockname()[1]
        self._starting = asyncio.create_task(self._serve(self._listener), name="ssh gateway")

    async def ready(self) -> None:
        """Load what is needed now, and wait until connections are answered."""
        assert self._starting is not None
        self._wanted.set()
        await asyncio.shield(self._starting)

    async def _serve(self, listener: socket.socket) -> None:
        await self._first_connection(listener)
        server_class = await asyncio.to_thread(_load_server)
        server = server_class(self._settings, self._clock)
        await server.listen(listener)
        self._server = server

    async def _first_connection(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(listener, self._wanted.set)
        try:
            async with asyncio.timeout(LOAD_AFTER_SECONDS):
                await self._wanted.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(listener)

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._starting is not None:
            self._starting.cancel()
            with suppress(asyncio.CancelledError):
                await self._starting
        if self._server is not None:
            await self._server.close()
        if self._listener is not None:
            self._listener.close()


def _load_server() -> "type[GatewayServer]":
    # asyncssh: see the head of this module.
    found: type[GatewayServer] = load("c101.agents.ssh.gateway_server").GatewayServer
    return found


def _bind(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's
        listener.bind(address)
        listener.listen(LISTEN_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listener
