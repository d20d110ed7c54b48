"""HTTP/2 without I/O: bytes in, calls on streams, bytes out (RFC 9113).

``receive`` takes whatever arrived, cut anywhere. A rule broken by the peer ends one stream
(RST_STREAM) or the connection (GOAWAY), as the RFC says for each.
"""

import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Final

from c101.core.rpc import frames
from c101.core.rpc.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER_BYTES,
    HEADERS,
    PADDED,
    PRIORITISED,
    STREAM_ID_MASK,
    ConnectionFailure,
    ErrorCode,
    unpack_header,
)
from c101.core.rpc.header_decoder import HeaderDecoder
from c101.core.rpc.header_part import HeaderPart
from c101.core.rpc.limits import (
    CONTINUATIONS_MAX,
    FRAME_BYTES_MAX,
    FRAMES_PER_TURN,
    HEADER_TABLE_BYTES_MAX,
    WINDOW_BYTES_DEFAULT,
    WINDOW_BYTES_MAX,
    Limits,
    Rate,
)
from c101.core.rpc.send_side import SendSide
from c101.core.rpc.stream import Stream

logger = logging.getLogger(__name__)

#: The opaque bytes of the PINGs whose answers are measured.
_PING_BYTES: Final = 8


class Connection(SendSide):
    """What the two roles of a connection share.

    *now* returns monotonic seconds; *wake* is ``SendSide``'s. ``more`` says that whole frames wait
    for ``go_on``, because others should have a turn first. ``turn_left`` is how many frames and
    messages this turn still takes.
    """

    __slots__ = (
        "_at",
        "_control_rate",
        "_greeted",
        "_header_part",
        "_kinds",
        "_receive_low",
        "_sent_at_ping",
        "_unparsed",
        "decoder",
        "goaway_received",
        "held_bytes",
        "last_stream_id",
        "more",
        "now",
        "peer_streams_max",
        "receive_window",
        "turn_left",
    )

    def __init__(
        self, limits: Limits, *, now: Callable[[], float], wake: Callable[[], None]
    ) -> None:
        super().__init__(limits, wake)
        self.now = now
        self.decoder = HeaderDecoder()
        self.last_stream_id = 0
        self.held_bytes = 0
        self.receive_window = limits.connection_window_bytes
        self.peer_streams_max = WINDOW_BYTES_MAX
        self.goaway_received = False
        self._receive_low = limits.connection_window_bytes >> 1
        self._control_rate = Rate(limits.pings_burst, limits.pings_per_second, now)
        self._sent_at_ping = -1
        self._greeted = False
        self._header_part: HeaderPart | None = None
        self._unparsed = b""
        self._at = 0
        self.more = False
        self.turn_left = 0
        self._kinds: tuple[Callable[[int, int, bytes], None], ...] = (
            self._on_unusual_data,
            self._on_unusual_headers,
            self._on_priority,
            self._on_rst_stream,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
        )

    # -- what a role adds ---------------------------------------------------------------------

    @property
    @abstractmethod
    def last_taken_id(self) -> int:
        """The last stream of the peer that was looked at, as GOAWAY tells."""

    @abstractmethod
    def on_headers(self, stream_id: int, block: bytes, end_stream: int) -> None:
        """Take one whole header block; *end_stream* is the flag as it came."""

    def on_peer_reset(self) -> None:
        """Hear that the peer reset a stream."""

    def on_pong(self, opaque: bytes) -> None:
        """Hear the answer to a PING of ours."""

    def on_goaway(self, last_stream_id: int, error: int, reason: str) -> None:
        """Hear that the peer takes no streams above *last_stream_id*."""

    def on_peer_settings(self) -> None:
        """Hear that the peer's settings changed."""

    # -- starting and ending ------------------------------------------------------------------

    def greet(self, preface: bytes, settings: dict[int, int]) -> None:
        """Send *preface*, our settings and the connection's window."""
        limits = self.limits
        values = {
            **settings,
            frames.SETTING_INITIAL_WINDOW_SIZE: limits.stream_window_bytes,
            frames.SETTING_MAX_HEADER_LIST_SIZE: limits.header_list_bytes_max,
        }
        grant = limits.connection_window_bytes - WINDOW_BYTES_DEFAULT
        self.write(preface + frames.settings(values) + frames.window_update(0, grant))

    def receive(self, data: bytes) -> None:
        """Take *data* from the peer; the caller writes the output afterwards.

        If ``more`` is true then, the caller reads no more and calls ``go_on`` a turn later.
        """
        if self.closed:
            return
        if self._unparsed:
            data = self._unparsed[self._at :] + data
            self._unparsed = b""
        if self.more:
            # A transport that was told to read no more may still hand over what it had.
            self._unparsed = data
            self._at = 0
        else:
            self._take_apart(data, 0)

    def go_on(self) -> None:
        """Take the next of what ``receive`` left; the caller writes the output afterwards."""
        data, self._unparsed = self._unparsed, b""
        self.more = False
        if not self.closed:
            self._take_apart(data, self._at)

    def fail(self, error: ErrorCode, reason: str) -> None:
        """Say GOAWAY and end every stream; the transport is to be closed after the output."""
        if not self.closed:
            logger.info("connection broke a rule", extra={"error": error.name, "reason": reason})
            self.write(frames.goaway(self.last_taken_id, error, reason))
            self.lose(f"{error.name}: {reason}")

    def reset(self, stream: Stream, error: ErrorCode, reason: str) -> None:
        """End *stream* with RST_STREAM and tell it so."""
        self.write_control(frames.rst_stream(stream.stream_id, error))
        self.forget(stream)
        stream.on_reset(error, reason)

    def forget(self, stream: Stream) -> None:
        """Take *stream* and all it holds out of the connection."""
        if stream.inbound is not None:
            self.held_bytes -= stream.inbound.held
            stream.inbound.held = 0
        super().forget(stream)

    # -- taking bytes apart -------------------------------------------------------------------

    def _take_apart(self, data: bytes, at: int) -> None:
        # Whoever calls this writes afterwards: no need to be woken for what is made meanwhile.
        self.woken = True
        self.turn_left = FRAMES_PER_TURN
        try:
            if not self._greeted:
                self._check_greeting(data)
            self._parse(data, at)
        except ConnectionFailure as failure:
            self.fail(failure.error, failure.reason)

    def _parse(self, data: bytes, at: int) -> None:
        streams = self.streams
        size = len(data)
        while self.turn_left > 0 and size - at >= HEADER_BYTES:
            length_high, length, kind, flags, stream_id = unpack_header(data, at)
            if length_high or length > FRAME_BYTES_MAX:
                raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "frame too large")
            end = at + HEADER_BYTES + length
            if end > size:
                break
            payload = data[at + HEADER_BYTES : end]
            at = end
            # Nearly every frame is one of these two, without padding; the rest has a table.
            if self._header_part is not None and kind != CONTINUATION:
                raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "CONTINUATION expected")
            if kind == DATA and stream_id in streams and not flags & PADDED:
                self.receive_window -= length
                if self.receive_window < self._receive_low:
                    self._restore_window()
                streams[stream_id].on_data(payload, length, flags & END_STREAM)
            elif kind == HEADERS and flags & _USUAL_HEADERS == END_HEADERS:
                self.on_headers(stream_id & STREAM_ID_MASK, payload, flags & END_STREAM)
            elif kind < len(self._kinds):
                # Unknown kinds are ignored (RFC 9113, 4.1).
                self._kinds[kind](flags, stream_id & STREAM_ID_MASK, payload)
            if self.closed:
                return
            self.turn_left -= 1
        # Nothing is cut off while there is more: that would copy all that is left once a turn.
        self.more = self.turn_left <= 0 and size - at >= HEADER_BYTES
        self._unparsed, self._at = (data, at) if self.more else (data[at:], 0)

    def _check_greeting(self, data: bytes) -> None:
        if len(data) >= frames.HEADER_BYTES:
            if data[3] != frames.SETTINGS or data[4] & frames.ACK:
                raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "SETTINGS must come first")
            self._greeted = True

    def _restore_window(self) -> None:
        # Given back as data comes in, at half: a peer cannot get to its end, so nothing here
        # can be exceeded. What is held is bounded by the streams' windows and `held_bytes_max`.
        grant = self.limits.connection_window_bytes - self.receive_window
        self.receive_window += grant
        self.write(frames.window_update(0, grant))

    def count_control(self, what: str) -> None:
        """Count a frame that costs the peer nothing and us an effort; too many end it all."""
        if not self._control_rate.take():
            raise ConnectionFailure(ErrorCode.ENHANCE_YOUR_CALM, f"too_many_{what}")

    # -- one method a kind of frame -----------------------------------------------------------

    def _on_unusual_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Take DATA that is padded, or for a stream that is closed or never was."""
        if stream_id == 0 or self.is_idle(stream_id):
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "DATA on a stream never opened")
        self.receive_window -= len(payload)
        if self.receive_window < self._receive_low:
            self._restore_window()
        data = frames.unpad(payload, flags)
        stream = self.streams.get(stream_id)
        # DATA for a stream that is gone was on its way when it ended: counted, and dropped.
        if stream is not None:
            stream.on_data(data, len(payload), flags & END_STREAM)

    def _on_unusual_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Take HEADERS that are padded, carry a priority, or are continued."""
        if stream_id == 0:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "HEADERS on stream 0")
        block = frames.strip_priority(stream_id, frames.unpad(payload, flags), flags)
        end_stream = flags & END_STREAM
        if flags & END_HEADERS:
            self.on_headers(stream_id, block, end_stream)
        else:
            self._header_part = HeaderPart(stream_id, block, end_stream)

    def _on_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        part = self._header_part
        if part is None or part.stream_id != stream_id:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "CONTINUATION out of place")
        part.block += payload
        part.continuations += 1
        if len(part.block) > self.limits.header_list_bytes_max:
            raise ConnectionFailure(ErrorCode.ENHANCE_YOUR_CALM, "header block too large")
        if flags & END_HEADERS:
            self._header_part = None
            self.on_headers(stream_id, part.block, part.end_stream)
        elif part.continuations >= CONTINUATIONS_MAX:
            raise ConnectionFailure(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames")

    def _on_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        """Check PRIORITY and ignore it: RFC 9113 deprecates what it says."""
        if stream_id == 0:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "PRIORITY on stream 0")
        if len(payload) != 5:
            raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "PRIORITY of a broken length")

    def _on_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        error = frames.parse_rst_stream(payload)
        if stream_id == 0 or self.is_idle(stream_id):
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "RST_STREAM on a stream never opened")
        self.on_peer_reset()
        stream = self.streams.get(stream_id)
        if stream is not None:
            self.forget(stream)
            stream.on_reset(error, "reset by the other side: " + frames.error_name(error))

    def _on_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "SETTINGS on a stream")
        if flags & frames.ACK:
            if payload:
                raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload")
            return
        self.count_control("settings")
        for setting, value in frames.parse_settings(payload):
            if setting == frames.SETTING_INITIAL_WINDOW_SIZE:
                self._set_peer_stream_window(value)
            elif setting == frames.SETTING_HEADER_TABLE_SIZE and value < HEADER_TABLE_BYTES_MAX:
                self.owe_table_update()
            elif setting == frames.SETTING_MAX_CONCURRENT_STREAMS:
                self.peer_streams_max = value
        self.write_control(frames.SETTINGS_ACK)
        self.on_peer_settings()

    def _set_peer_stream_window(self, window: int) -> None:
        change = window - self.peer_stream_window
        self.peer_stream_window = window
        for stream in list(self.streams.values()):
            stream.send_window += change
            if stream.send_window > WINDOW_BYTES_MAX:
                raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, "stream window overflow")
            if change > 0:
                self.pump(stream)

    def _on_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE is not taken")

    def _on_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "PING on a stream")
        if len(payload) != _PING_BYTES:
            raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "PING of a broken length")
        if flags & frames.ACK:
            self.on_pong(payload)
            return
        # grpc's clients ping as data flows, to measure the path: those are free, as in grpc-go.
        sent = self.granted_bytes - self.send_window
        if sent == self._sent_at_ping:
            self.count_control("pings")
        self._sent_at_ping = sent
        self.write_control(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _on_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "GOAWAY on a stream")
        last, error, reason = frames.parse_goaway(payload)
        self.goaway_received = True
        self.on_goaway(last, error, reason)

    def _on_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        increment = frames.parse_window_update(payload)
        if stream_id == 0:
            if not increment:
                raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
            self.send_window += increment
            self.granted_bytes += increment
            if self.send_window > WINDOW_BYTES_MAX:
                raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, "window overflow")
            self.unblock()
            return
        if self.is_idle(stream_id):
            raise ConnectionFailure(
                ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE on a stream never opened"
            )
        stream = self.streams.get(stream_id)
        if stream is None:
            return
        stream.send_window += increment
        if not increment:
            self.reset(stream, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by nothing")
        elif stream.send_window > WINDOW_BYTES_MAX:
            self.reset(stream, ErrorCode.FLOW_CONTROL_ERROR, "stream window overflow")
        else:
            self.pump(stream)

    def is_idle(self, stream_id: int) -> bool:
        """Return whether *stream_id* was never opened."""
        return stream_id > self.last_stream_id or not stream_id & 1


#: Of the flags of HEADERS, those that say whether it is the usual kind: whole and plain.
_USUAL_HEADERS: Final = END_HEADERS | PADDED | PRIORITISED
