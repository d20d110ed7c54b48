"""The RPC server: methods by path, on any number of listeners and byte streams."""

import asyncio
import errno
import socket
import ssl as tls
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from c101.core.errors import ConfigError
from c101.core.rpc.http1.exchange import Exchange, HttpHandler
from c101.core.rpc.http1.limits import Http1Limits
from c101.core.rpc.http1.response import NOT_FOUND
from c101.core.rpc.limits import Limits
from c101.core.rpc.peer import Peer
from c101.core.rpc.routes import Counts, Routes, StreamHandler, UnaryHandler
from c101.core.rpc.server_connection import Service
from c101.core.rpc.server_stream import ServerStream
from c101.core.rpc.server_tls import PROTOCOLS
from c101.core.rpc.server_wire import ServerWire
from c101.core.rpc.unary_call import UnaryCall, unary
from c101.core.rpc.wakeups import Signal

__all__ = ["Server", "ServerStream", "StreamHandler", "UnaryCall", "UnaryHandler", "unary"]

#: Connections that wait to be accepted.
_BACKLOG: Final = 512

#: How long the answers to the calls that a closing server ends may take to leave.
_LAST_ANSWERS_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatistics:
    """What a server has done since it was made.

    Bytes are those of gRPC's connections, framing included. Calls are counted by path:
    ``running`` how many have not ended, ``ended`` how many did, by the number of the code.
    """

    received_bytes: int
    sent_bytes: int
    running: Mapping[str, int]
    ended: Mapping[str, Sequence[int]]


class Server:
    """Serves *unary* and *streams*, both by path: ``"/package.Service/Method"``.

    Every handler runs on the loop that first called one of its methods. ``stopping`` is set when
    ``close`` begins: a handler that would never end by itself may wait for it. ``put_off`` calls
    what it is given in a later turn of the loop, for the next part of an answer that is long.
    """

    def __init__(
        self,
        unary: Mapping[str, UnaryHandler],
        streams: Mapping[str, StreamHandler],
        *,
        http: HttpHandler | None = None,
        limits: Limits | None = None,
        http1_limits: Http1Limits | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.http1_limits = http1_limits or Http1Limits()
        self.http = http or _not_found
        self.stopping = asyncio.Event()
        self.put_off: Callable[[Callable[[], None]], object] = _next_turn
        self._routes = Routes(unary, streams)
        self._service: Service | None = None
        self._wires: set[ServerWire] = set()
        self._listeners: list[asyncio.Server] = []
        self._socket_paths: list[Path] = []
        self._left = Signal()
        # What went through connections that are gone.
        self._received_bytes = 0
        self._sent_bytes = 0

    @property
    def service(self) -> Service:
        """What the server's connections share."""
        if self._service is None:
            self._service = Service(self._routes, self.limits, asyncio.get_running_loop())
        return self._service

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._wires)

    def traffic(self) -> tuple[int, int]:
        """Return the bytes received and sent by gRPC's connections since the server was made."""
        received, sent = self._received_bytes, self._sent_bytes
        for wire in self._wires:
            received += wire.received_bytes
            sent += wire.sent_bytes
        return received, sent

    def statistics(self) -> "ServerStatistics":
        """Return what this server has done so far."""
        running: Counter[bytes] = Counter()
        received, sent = self.traffic()
        for wire in self._wires:
            running.update(wire.running())
        return ServerStatistics(
            received_bytes=received,
            sent_bytes=sent,
            running={path.decode(): count for path, count in running.items()},
            ended={
                path.decode(): _ended(counts, running[path])
                for path, counts in self._routes.counts.items()
            },
        )

    def protocol(self, peer: Peer | None = None) -> asyncio.Protocol:
        """Return the protocol for one byte stream; *peer* when the transport cannot tell."""
        return ServerWire(self, peer)

    async def serve_tcp(
        self, host: str, port: int, ssl: tls.SSLContext | None = None
    ) -> asyncio.Server:
        """Listen on *host* and *port* (0: any free one); set ALPN on *ssl* for gRPC and HTTP/1.1.

        Raises:
            ConfigError: the address cannot be had.
        """
        if ssl is not None:
            ssl.set_alpn_protocols(PROTOCOLS)
        loop = asyncio.get_running_loop()
        try:
            listener = await loop.create_server(
                self.protocol,
                host,
                port,
                ssl=ssl,
                ssl_handshake_timeout=None if ssl is None else self.limits.preface_seconds,
                backlog=_BACKLOG,
            )
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        self._listeners.append(listener)
        return listener

    async def serve_unix(
        self, path: str | Path, mode: int = 0o600, *, role: str = ""
    ) -> asyncio.Server:
        """Listen on the unix socket *path*; a socket that nobody listens on is replaced.

        *role* is what handlers see as the ``role`` of peers that come by it: the file's mode and
        owner say who that may be.

        Raises:
            ConfigError: somebody listens there, something else is there, or it is not allowed.
        """
        path = Path(path)
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            _remove_stale(path)
            sock.bind(str(path))
            # Before anybody can connect: bind alone leaves the mode to the umask.
            path.chmod(mode)
            listener = await loop.create_unix_server(
                lambda: ServerWire(self, None, role), sock=sock, backlog=_BACKLOG
            )
        except OSError as error:
            sock.close()
            raise ConfigError(f"cannot listen on {path}: {error.strerror or error}") from error
        self._listeners.append(listener)
        self._socket_paths.append(path)
        return listener

    def end_role(self, role: str) -> None:
        """End the connections that came by the unix socket of *role*."""
        for wire in list(self._wires):
            if wire.role == role:
                wire.abort()

    async def close(self, grace_seconds: float) -> None:
        """Stop listening, let calls end for *grace_seconds*, answer the rest UNAVAILABLE."""
        self.stopping.set()
        for listener in self._listeners:
            listener.close()
        for path in self._socket_paths:
            path.unlink(missing_ok=True)
        for wire in list(self._wires):
            wire.drain()
        await self._all_left(grace_seconds)
        for wire in list(self._wires):
            wire.stop()
        await self._all_left(_LAST_ANSWERS_SECONDS)
        for wire in list(self._wires):
            wire.abort()
        # An aborted transport leaves at the loop's next turn: nothing is to be open on return.
        await self._all_left(_LAST_ANSWERS_SECONDS)
        tasks = list(self.service.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.service.deadlines.close()

    async def _all_left(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while self._wires:
                    await self._left.wait()
        except TimeoutError:
            return

    def admit(self, wire: ServerWire) -> bool:
        """Enter *wire*, unless there are too many or the server is closing."""
        if len(self._wires) >= self.limits.connections_max or self.stopping.is_set():
            return False
        self._wires.add(wire)
        return True

    def leave(self, wire: ServerWire) -> None:
        """Hear that *wire* is gone."""
        if wire in self._wires:
            self._wires.discard(wire)
            self._received_bytes += wire.received_bytes
            self._sent_bytes += wire.sent_bytes
        self._left.notify()


def _ended(counts: Counts, running: int) -> tuple[int, ...]:
    failed = counts.failed[1:]
    return (counts.started - running - sum(failed), *failed)


def _next_turn(part: Callable[[], None]) -> None:
    asyncio.get_running_loop().call_soon(part)


async def _not_found(exchange: Exchange) -> None:
    """Answer 404: what a server without HTTP does."""
    await exchange.respond(NOT_FOUND)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a server that is gone; raise OSError for anything else at *path*."""
    if not path.is_socket():
        # A file of another kind stays: bind refuses to replace it.
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            return
        except BlockingIOError:
            # Its backlog is full: somebody does listen.
            raise OSError(errno.EADDRINUSE, "address already in use") from None
        else:
            raise OSError(errno.EADDRINUSE, "address already in use")
