"""The server's end of a transport: told HTTP/2 from HTTP/1.1 by the first bytes."""

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from c101.core.rpc.connection import Connection
from c101.core.rpc.frames import PREFACE
from c101.core.rpc.http1.connection import Http1Connection
from c101.core.rpc.limits import OUTPUT_BYTES_MAX
from c101.core.rpc.peer import Peer, peer_of
from c101.core.rpc.server_call import ServerCall
from c101.core.rpc.server_connection import ServerConnection
from c101.core.rpc.wire import Wire

if TYPE_CHECKING:
    from c101.core.rpc.server import Server

#: A peer that is silent this long is probed by the kernel, then this often, then given up: else
#: the watches of a machine that lost its power would stay for ever.
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))


class ServerWire(Wire):
    """One accepted connection of *server*; *role* is that of the unix socket it came by."""

    def __init__(self, server: "Server", peer: Peer | None, role: str = "") -> None:
        super().__init__()
        self._server = server
        self._peer = peer
        self.role = role
        self._first = b""
        self._http2: ServerConnection | None = None
        self._http1: Http1Connection | None = None
        self._preface_timer: asyncio.TimerHandle | None = None
        self._refill_is_put_off = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first bytes, not longer than ``preface_seconds``."""
        super().connection_made(transport)
        if not self._server.admit(self):
            assert self.transport is not None
            self.transport.abort()
            return
        if self._peer is None:
            self._peer = peer_of(transport, self.role)
            if self._peer.kind == "tcp":
                _keep_alive(transport.get_extra_info("socket"))
        seconds = self._server.limits.preface_seconds
        self._preface_timer = self._loop.call_later(seconds, self.abort)

    def data_received(self, data: bytes) -> None:
        """Find out what the peer speaks, then hand its bytes on."""
        connection = self.connection
        if connection is not None:
            self.received_bytes += len(data)
            connection.receive(data)
            self.flush()
            if connection.more:
                self.take_turns()
        elif self._http1 is not None:
            self._http1.receive(data)
        else:
            self._sniff(data)

    def _sniff(self, data: bytes) -> None:
        first = self._first + data
        size = len(PREFACE)
        if first[:size] == PREFACE:
            assert self._peer is not None
            self._http2 = ServerConnection(self._server.service, self._peer, self.wake)
            self.connection = self._http2
            self._first = b""
            self._stop_timer()
            self.data_received(first[size:])
        elif PREFACE.startswith(first):
            self._first = first
        elif first[:1].isalpha():
            self._serve_http1(first)
        else:
            self.abort()

    def _serve_http1(self, first: bytes) -> None:
        server, transport = self._server, self.transport
        assert self._peer is not None
        assert transport is not None
        self._first = b""
        self._stop_timer()
        http1 = Http1Connection(server.http, transport, self._peer, server.http1_limits)
        self._http1 = http1
        http1.start(server.service.spawn(http1.run(), f"http {self._peer.address}"))
        http1.receive(first)

    def eof_received(self) -> bool:
        """Close, unless a client of HTTP/1.1 may still get its answer."""
        return self._http1 is not None and self._http1.end_of_input()

    def _stop_timer(self) -> None:
        if self._preface_timer is not None:
            self._preface_timer.cancel()
            self._preface_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the server."""
        self._stop_timer()
        super().connection_lost(exc)
        if self._http1 is not None:
            self._http1.lose()
        self._server.leave(self)

    def pause_writing(self) -> None:
        """Hold back streams, or the answers of HTTP/1.1."""
        super().pause_writing()
        if self._http1 is not None:
            self._http1.pause()

    def resume_writing(self) -> None:
        """Go on."""
        super().resume_writing()
        if self._http1 is not None:
            self._http1.resume()

    def flush(self) -> None:
        """Write what the connection has; when draining, close behind the last call."""
        super().flush()
        connection = self._http2
        if (
            connection is not None
            and connection.draining
            and not connection.streams
            and not connection.output
            and self.transport is not None
        ):
            self.transport.close()

    def refill(self, connection: Connection) -> None:
        """Let *connection* make more output, later if it is of a long answer."""
        if connection.pending_bytes > OUTPUT_BYTES_MAX and connection.patient:
            if not self._refill_is_put_off:
                self._refill_is_put_off = True
                self._server.put_off(self._refill_now)
        else:
            connection.flushed()

    def _refill_now(self) -> None:
        self._refill_is_put_off = False
        if self.connection is not None and not self.connection.closed:
            self.connection.flushed()

    def running(self) -> list[bytes]:
        """Return the paths of the calls that have not ended."""
        connection = self._http2
        if connection is None:
            return []
        calls = [call for call in connection.streams.values() if isinstance(call, ServerCall)]
        # One that is over may have an answer that the client has not taken yet.
        return [call.head.method for call in calls if not call.state]

    def drain(self) -> None:
        """Take no more calls, and close when those that run have ended."""
        if self._http2 is not None:
            self._http2.drain()
            self.flush()
        elif self._http1 is not None:
            self._http1.drain()
        else:
            self.abort()

    def stop(self) -> None:
        """End what still runs and close, letting the last words out."""
        if self._http2 is not None:
            self._http2.stop()
            self.flush()
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close without a word."""
        if self.transport is not None:
            self.transport.abort()


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE:
        sock.setsockopt(socket.IPPROTO_TCP, option, value)
