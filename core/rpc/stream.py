"""One HTTP/2 stream: its windows, what waits to be sent, and how its bytes become messages."""

from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final

from c101.core.rpc.frames import ErrorCode, window_update
from c101.core.rpc.messages import PREFIX_BYTES, MessageReader
from c101.core.rpc.status import Code, RpcError

if TYPE_CHECKING:
    from c101.core.rpc.connection import Connection

#: The ``error`` of a stream that went with its connection: no code of HTTP/2.
CONNECTION_LOST: Final = -1


class Inbound:
    """What came in on a stream and is not consumed; made when one frame was not all there is.

    ``window``: bytes the peer may still send. ``held``: bytes here, as parts of a message or
    unread. ``unread``: whole messages that wait for their consumer.
    """

    __slots__ = ("held", "reader", "unread", "window")

    def __init__(self, window: int, message_bytes_max: int) -> None:
        self.window = window
        self.reader = MessageReader(message_bytes_max)
        self.held = 0
        self.unread: deque[bytes] = deque()


class Stream(ABC):
    """A stream's state, common to both sides. Its connection calls the ``on_`` methods.

    ``outbox`` holds DATA payloads that flow control keeps back, ``pending_bytes`` their sum, and
    ``ending`` the finished frame that ends our side once the outbox is empty.
    ``patient``: what is long may be sent when there is nothing more urgent to do.
    """

    patient: ClassVar[bool] = False

    __slots__ = (
        "connection",
        "ending",
        "inbound",
        "outbox",
        "pending_bytes",
        "remote_closed",
        "send_window",
        "stream_id",
    )

    def __init__(self, connection: "Connection", stream_id: int) -> None:
        self.connection = connection
        self.stream_id = stream_id
        self.send_window = connection.peer_stream_window
        self.remote_closed = False
        self.inbound: Inbound | None = None
        self.outbox: deque[bytes | memoryview] | None = None
        self.ending: bytes | None = None
        self.pending_bytes = 0

    @abstractmethod
    def on_message(self, message: bytes) -> None:
        """Take the next whole message."""

    @abstractmethod
    def on_end(self) -> None:
        """Hear that the peer sends no more messages."""

    @abstractmethod
    def on_malformed(self, error: RpcError) -> None:
        """Hear that what the peer sends cannot be taken; the stream is to be ended."""

    @abstractmethod
    def on_reset(self, error: int, reason: str) -> None:
        """Hear that the stream is gone, by RST_STREAM or with its connection."""

    @abstractmethod
    def on_writable(self) -> None:
        """Hear that ``pending_bytes`` fell under the low-water mark."""

    def on_data(self, payload: bytes, flow_bytes: int, end: int) -> None:
        """Take the payload of one DATA frame.

        *flow_bytes* counts its padding too; *end* is the flag END_STREAM as it came.
        """
        if self.remote_closed:
            self.connection.reset(self, ErrorCode.STREAM_CLOSED, "data after the end")
            return
        if flow_bytes:
            self._take(payload, flow_bytes)
        elif not end:
            self.connection.count_control("empty_frames")
        if not end or self.stream_id not in self.connection.streams:
            return
        if self.inbound is not None and not self.inbound.reader.empty:
            self.on_malformed(RpcError(Code.INTERNAL, "grpc: stream ended within a message"))
            return
        self.remote_closed = True
        self.on_end()

    def _take(self, payload: bytes, flow_bytes: int) -> None:
        connection = self.connection
        limits = connection.limits
        inbound = self.inbound
        if inbound is None:
            inbound = Inbound(limits.stream_window_bytes, limits.message_bytes_max)
            self.inbound = inbound
        inbound.window -= flow_bytes
        if inbound.window < 0:
            connection.reset(self, ErrorCode.FLOW_CONTROL_ERROR, "stream window exceeded")
            return
        # Padding is consumed as it comes: only the payload is held.
        inbound.held += len(payload)
        connection.held_bytes += len(payload)
        try:
            messages = inbound.reader.feed(payload)
        except RpcError as error:
            self.on_malformed(error)
            return
        connection.turn_left -= len(messages)
        for message in messages:
            self.on_message(message)
        if connection.held_bytes > limits.held_bytes_max:
            text = "too many unread bytes on this connection"
            self.on_malformed(RpcError(Code.RESOURCE_EXHAUSTED, text))
            return
        self.restore_window()

    def consumed(self, message: bytes) -> None:
        """Count *message*, which came in on this stream, as read."""
        inbound = self.inbound
        if inbound is not None:
            size = min(len(message) + PREFIX_BYTES, inbound.held)
            inbound.held -= size
            self.connection.held_bytes -= size

    def restore_window(self) -> None:
        """Give the peer back the window for what was read.

        Bytes of an incomplete message are given back at once when nothing else is unread: its
        consumer waits for it, and the limit on messages bounds it. Otherwise a message larger
        than the window would never arrive.
        """
        inbound = self.inbound
        if inbound is None or self.remote_closed:
            return
        size = self.connection.limits.stream_window_bytes
        held = inbound.held if inbound.unread else 0
        grant = size - held - inbound.window
        # Half a window at a time: an update a message would double the frames.
        if grant >= size >> 1 and self.stream_id in self.connection.streams:
            inbound.window += grant
            self.connection.write(window_update(self.stream_id, grant))
