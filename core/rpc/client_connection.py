"""The client's role of a connection: calls out, their answers in."""

from collections.abc import Callable

from c101.core.rpc import frames
from c101.core.rpc.client_call import ClientCall
from c101.core.rpc.connection import Connection
from c101.core.rpc.frames import (
    END_STREAM,
    ConnectionFailure,
    ErrorCode,
    pack_message_header,
)
from c101.core.rpc.header_decoder import list_bytes
from c101.core.rpc.limits import (
    FRAME_BYTES_MAX,
    HEADER_BLOCK_BYTES_REMEMBERED_MAX,
    HEADER_BLOCKS_MAX,
    WINDOW_BYTES_MAX,
    Limits,
)
from c101.core.rpc.messages import PREFIX_BYTES
from c101.core.rpc.responses import ResponseHead, parse_response
from c101.core.rpc.status import Code
from c101.core.rpc.stream import Stream

_TOO_MANY_FIELDS = ResponseHead(
    problem=(Code.RESOURCE_EXHAUSTED, "the answer has too much metadata")
)


class ClientConnection(Connection):
    """One connection to a server. *name* is what its errors call the link.

    ``on_change`` is called when the connection may take calls that it could not take before, or
    takes no more; ``on_ping_answer`` with the opaque bytes of a PING of ours that was answered.
    """

    __slots__ = ("_heads", "greeted", "name", "on_change", "on_ping_answer")

    def __init__(
        self, name: str, limits: Limits, *, now: Callable[[], float], wake: Callable[[], None]
    ) -> None:
        super().__init__(limits, now=now, wake=wake)
        self.name = name
        self.greeted = False
        self.on_change: Callable[[], None] = _nothing
        self.on_ping_answer: Callable[[bytes], None] = _ignore
        self._heads: dict[bytes, ResponseHead] = {}
        self.last_stream_id = -1
        self.greet(frames.PREFACE, {frames.SETTING_ENABLE_PUSH: 0})

    @property
    def last_taken_id(self) -> int:
        """The last stream of the peer that was looked at: servers open none."""
        return 0

    @property
    def usable(self) -> bool:
        """Whether calls may be made on it, at once or when others have ended."""
        return (
            not self.closed and not self.goaway_received and self.last_stream_id < WINDOW_BYTES_MAX
        )

    @property
    def has_room(self) -> bool:
        """Whether one more call may be made now."""
        return len(self.streams) < self.peer_streams_max

    @property
    def takes_calls(self) -> bool:
        """Whether one more call may be made at once (``usable`` and ``has_room``)."""
        return (
            not self.closed
            and not self.goaway_received
            and self.last_stream_id < WINDOW_BYTES_MAX
            and len(self.streams) < self.peer_streams_max
        )

    def take_stream_id(self) -> int:
        """Return the number for the next stream."""
        self.last_stream_id += 2
        return self.last_stream_id

    def open(self, call: ClientCall, block: bytes) -> None:
        """Send the head of *call*."""
        self.streams[call.stream_id] = call
        self.write_headers(frames.headers(call.stream_id, block, end_stream=False))

    def send_only(self, call: ClientCall, message: bytes) -> None:
        """Send the one message of *call*, and its end in the same frame where that can be."""
        size = len(message) + PREFIX_BYTES
        if (
            size <= call.send_window
            and size <= self.send_window
            and size <= self.room
            and size <= FRAME_BYTES_MAX
        ):
            call.send_window -= size
            self.send_window -= size
            self.room -= size
            call.local_closed = True
            head = pack_message_header(0, size, 0, END_STREAM, call.stream_id, 0, len(message))
            self.output += (head, message)
            self.announce()
        else:
            self.send_message(call, message)
            call.end()

    def cancel(self, stream: Stream) -> None:
        """Tell the server that nobody waits for the rest of *stream*."""
        if stream.stream_id in self.streams:
            self.write(frames.rst_stream(stream.stream_id, ErrorCode.CANCEL))
            self.forget(stream)

    def forget(self, stream: Stream) -> None:
        """Take *stream* out: there is room for another."""
        super().forget(stream)
        self.on_change()

    def ping(self, opaque: bytes) -> None:
        """Send a PING with eight *opaque* bytes."""
        self.write(frames.frame(frames.PING, 0, 0, opaque))

    def write_ending(self, _stream: Stream, ending: bytes) -> None:
        """Send the end of a request; its answer is still to come."""
        self.write(ending)

    def on_headers(self, stream_id: int, block: bytes, end_stream: int) -> None:
        """Take the head or the trailers of an answer."""
        head = self._heads.get(block)
        if head is None:
            head = self._decode(block)
        if stream_id == 0 or self.is_idle(stream_id):
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "HEADERS on a stream never opened")
        call = self.streams.get(stream_id)
        if isinstance(call, ClientCall):
            call.on_head(head, end=bool(end_stream))

    def _decode(self, block: bytes) -> ResponseHead:
        fields = self.decoder.decode(block)
        if list_bytes(fields) > self.limits.header_list_bytes_max:
            return _TOO_MANY_FIELDS
        head = parse_response(fields)
        # What a block means depends on the table: when that moves, what was learnt is void.
        if self.decoder.moved:
            self._heads.clear()
        elif len(block) <= HEADER_BLOCK_BYTES_REMEMBERED_MAX:
            if len(self._heads) >= HEADER_BLOCKS_MAX:
                self._heads.clear()
            self._heads[block] = head
        return head

    def on_pong(self, opaque: bytes) -> None:
        """Hand the answer of a PING on."""
        self.on_ping_answer(opaque)

    def on_peer_settings(self) -> None:
        """Note that the server has spoken."""
        self.greeted = True
        self.on_change()

    def on_goaway(self, last_stream_id: int, error: int, reason: str) -> None:
        """Take no more calls; those above *last_stream_id* were not looked at."""
        text = f"{frames.error_name(error)} {reason}".strip()
        for stream in list(self.streams.values()):
            if stream.stream_id > last_stream_id and isinstance(stream, ClientCall):
                self.forget(stream)
                stream.on_not_processed(f"{self.name} said GOAWAY: {text}")
        self.on_change()

    def lose(self, reason: str) -> None:
        """End every call: the link is gone."""
        super().lose(reason)
        self.on_change()


def _nothing() -> None:
    """Hear of a change that nobody waits for."""


def _ignore(_opaque: bytes) -> None:
    """Hear of an answer that nobody waits for."""
