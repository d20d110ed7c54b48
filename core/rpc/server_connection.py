"""The server's role of a connection: requests in, calls out to their handlers."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

from c101.core.rpc import frames
from c101.core.rpc.connection import Connection
from c101.core.rpc.deadlines import Deadlines
from c101.core.rpc.frames import ConnectionFailure, ErrorCode
from c101.core.rpc.header_block import parse_timeout
from c101.core.rpc.header_decoder import Field, list_bytes
from c101.core.rpc.limits import (
    HEADER_BLOCK_BYTES_REMEMBERED_MAX,
    HEADER_BLOCKS_MAX,
    Limits,
    Rate,
)
from c101.core.rpc.peer import Peer
from c101.core.rpc.routes import RequestHead, Routes, refuse
from c101.core.rpc.server_call import ServerCall
from c101.core.rpc.server_stream import ServerStream
from c101.core.rpc.status import Code
from c101.core.rpc.stream import Stream
from c101.core.rpc.unary_call import UnaryCall

_TOO_MANY_FIELDS: Final = refuse(Code.RESOURCE_EXHAUSTED, "grpc: received too much metadata")
_BAD_TIMEOUT: Final = refuse(Code.INTERNAL, "malformed grpc-timeout")


class Service:
    """What the connections of one server share: its methods, deadlines and tasks."""

    def __init__(self, routes: Routes, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self.routes = routes
        self.limits = limits
        self.loop = loop
        self.deadlines = Deadlines(loop)
        self.tasks: set[asyncio.Task[None]] = set()
        self._heads: dict[tuple[Field, ...], RequestHead] = {}

    def head_of(self, fields: list[Field]) -> tuple[RequestHead, float | None]:
        """Understand the fields of a request; return its head and its timeout in seconds."""
        timeout: float | None = None
        # The timeout differs from call to call: without it, the rest is soon known by heart.
        # It is the last or nearly so in what grpc's clients send.
        for at in range(len(fields) - 1, -1, -1):
            if fields[at][0] == b"grpc-timeout":
                timeout = parse_timeout(fields.pop(at)[1])
                if timeout is None:
                    return _BAD_TIMEOUT, None
                break
        key = tuple(fields)
        head = self._heads.get(key)
        if head is None:
            # What is known by heart has been measured.
            if list_bytes(fields) > self.limits.header_list_bytes_max:
                return _TOO_MANY_FIELDS, None
            head = self.routes.resolve(key)
            if len(self._heads) >= HEADER_BLOCKS_MAX:
                self._heads.clear()
            self._heads[key] = head
        return head, timeout

    def spawn(self, work: Coroutine[object, object, None], name: str) -> asyncio.Task[None]:
        """Run *work* in a task that the service owns until it ends."""
        task = self.loop.create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task


class ServerConnection(Connection):
    """One client's connection."""

    __slots__ = ("_heads", "_resets", "_service", "draining", "peer")

    def __init__(self, service: Service, peer: Peer, wake: Callable[[], None]) -> None:
        super().__init__(service.limits, now=service.loop.time, wake=wake)
        limits = service.limits
        self.peer = peer
        self.draining = False
        self._service = service
        self._resets = Rate(limits.resets_burst, limits.resets_per_second, self.now)
        self._heads: dict[bytes, tuple[RequestHead, float | None]] = {}
        self.greet(b"", {frames.SETTING_MAX_CONCURRENT_STREAMS: limits.streams_max})

    def spawn(self, work: Coroutine[object, object, None], method: bytes) -> asyncio.Task[None]:
        """Run *work* for a call of *method*."""
        return self._service.spawn(work, "rpc " + method.decode("utf-8", "replace"))

    @property
    def last_taken_id(self) -> int:
        """The last stream of the peer that was looked at, as GOAWAY tells."""
        return self.last_stream_id

    def on_headers(self, stream_id: int, block: bytes, end_stream: int) -> None:
        """Open a call, or take a caller's trailers."""
        known = self._heads.get(block)
        head, timeout = self._decode(block) if known is None else known
        if stream_id <= self.last_stream_id or not stream_id & 1:
            self._on_trailers(stream_id, end_stream)
            return
        self.last_stream_id = stream_id
        if (
            len(self.streams) >= self.limits.streams_max
            or self.draining
            or self.pending_bytes > self.limits.pending_bytes_max
        ):
            # The caller may try again elsewhere, or later: nothing was done (RFC 9113, 8.7).
            self.write_control(frames.rst_stream(stream_id, ErrorCode.REFUSED_STREAM))
        elif head.unary is not None:
            head.counts.started += 1
            call = UnaryCall(self, stream_id, head)
            self._open(call, timeout, end_stream)
        elif head.stream is not None:
            head.counts.started += 1
            stream = ServerStream(self, stream_id, head)
            self._open(stream, timeout, end_stream)
            stream.task = self.spawn(stream.run(), head.method)
        else:
            self._refuse(stream_id, head, end_stream)

    def _decode(self, block: bytes) -> tuple[RequestHead, float | None]:
        known = self._service.head_of(self.decoder.decode(block))
        # What a block means depends on the table: when that moves, what was learnt is void.
        if self.decoder.moved:
            if self._heads:
                self._heads.clear()
        elif len(block) <= HEADER_BLOCK_BYTES_REMEMBERED_MAX:
            if len(self._heads) >= HEADER_BLOCKS_MAX:
                self._heads.clear()
            self._heads[block] = known
        return known

    def _open(self, call: ServerCall, timeout: float | None, end_stream: int) -> None:
        self.streams[call.stream_id] = call
        if timeout is not None:
            call.bucket = self._service.deadlines.add(call, timeout)
        if end_stream:
            call.on_data(b"", 0, end_stream)

    def _refuse(self, stream_id: int, head: RequestHead, end_stream: int) -> None:
        if head.refusal is None:
            self.on_peer_reset()
            self.write_control(frames.rst_stream(stream_id, ErrorCode.PROTOCOL_ERROR))
            return
        self.write_headers(frames.headers(stream_id, head.refusal, end_stream=True))
        if not end_stream:
            self.write_control(frames.rst_stream(stream_id, ErrorCode.NO_ERROR))

    def _on_trailers(self, stream_id: int, end_stream: int) -> None:
        if not stream_id & 1:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "a client's stream has an odd number")
        stream = self.streams.get(stream_id)
        if stream is None:
            # On its way when the stream ended; the block was decoded, which is all it is for.
            return
        if not end_stream:
            self.reset(stream, ErrorCode.PROTOCOL_ERROR, "a second head")
        else:
            stream.on_data(b"", 0, end_stream)

    def write_ending(self, stream: Stream, ending: bytes) -> None:
        """Send the trailers: the call is then over on both sides."""
        self.write_headers(ending)
        if not stream.remote_closed:
            # The caller need not send the rest of its request (RFC 9113, 8.1).
            self.write(frames.rst_stream(stream.stream_id, ErrorCode.NO_ERROR))
        self.forget(stream)

    def reset(self, stream: Stream, error: ErrorCode, reason: str) -> None:
        """End *stream* with RST_STREAM: counted like a reset of the client, which caused it."""
        self.on_peer_reset()
        super().reset(stream, error, reason)

    def on_peer_reset(self) -> None:
        """Bound how fast a client opens calls only to cancel or break them."""
        if not self._resets.take():
            raise ConnectionFailure(ErrorCode.ENHANCE_YOUR_CALM, "too many cancelled streams")

    def drain(self) -> None:
        """Take no more calls; those that run may end."""
        if not self.draining and not self.closed:
            self.draining = True
            self.write(frames.goaway(self.last_stream_id, ErrorCode.NO_ERROR, "shutting down"))

    def stop(self) -> None:
        """Answer every call that still runs with UNAVAILABLE."""
        for stream in list(self.streams.values()):
            if isinstance(stream, ServerCall):
                stream.stop(Code.UNAVAILABLE, "server is shutting down")
