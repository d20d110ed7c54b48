"""What goes out of a connection: the send windows, the outboxes and the batch for one write.

Nothing here waits. A message that the windows or the transport hold back lies in its stream's
outbox; ``pump`` moves it when a window opens, ``flushed`` when the transport takes more. Streams
take turns, so that a large answer does not hold up small ones.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence

from c101.core.rpc.frames import data_header, pack_message_header, prepend_to_block
from c101.core.rpc.header_block import TABLE_UPDATE
from c101.core.rpc.limits import (
    FRAME_BYTES_MAX,
    OUTPUT_BYTES_MAX,
    TURN_BYTES_MAX,
    UNREAD_CONTROL_FRAMES_MAX,
    WINDOW_BYTES_DEFAULT,
    Limits,
)
from c101.core.rpc.messages import PREFIX_BYTES, prefix, prefixed
from c101.core.rpc.stream import CONNECTION_LOST, Stream


class SendSide(ABC):
    """The sending half of a connection, without a socket.

    ``wake`` is called once when there is output and nobody has been told; whoever owns the
    transport then calls ``take_output``, writes it, and calls ``flushed``.

    ``send_window``: what the peer lets the connection send. ``room``: bytes of DATA that still
    go into this write, 0 while the transport is full. ``pending_bytes``: what all outboxes hold.
    """

    __slots__ = (
        "_control_frames",
        "_ends",
        "_paused",
        "blocked",
        "closed",
        "granted_bytes",
        "limits",
        "output",
        "peer_stream_window",
        "pending_bytes",
        "room",
        "send_window",
        "streams",
        "table_update",
        "wake",
        "woken",
    )

    def __init__(self, limits: Limits, wake: Callable[[], None]) -> None:
        self.limits = limits
        self.wake = wake
        self.woken = False
        self.closed = False
        self.output: list[bytes | memoryview] = []
        self.room = OUTPUT_BYTES_MAX
        self.streams: dict[int, Stream] = {}
        self.blocked: dict[Stream, None] = {}
        self.send_window = WINDOW_BYTES_DEFAULT
        self.granted_bytes = WINDOW_BYTES_DEFAULT
        self.peer_stream_window = WINDOW_BYTES_DEFAULT
        self.pending_bytes = 0
        self.table_update = b""
        self._paused = False
        self._control_frames = 0
        self._ends: dict[Stream, None] = {}

    def write(self, data: bytes) -> None:
        """Add a finished frame to the output, outside flow control."""
        if not self.closed:
            self.output.append(data)
            self.announce()

    def write_control(self, data: bytes) -> None:
        """Add an answer that the peer can provoke at will, bounded while it does not read."""
        if self._paused:
            self._control_frames += 1
            if self._control_frames > UNREAD_CONTROL_FRAMES_MAX:
                self.abort("the other side asks and does not read")
                return
        self.write(data)

    def announce(self) -> None:
        """Tell the owner of the transport that there is output, once."""
        if not self.woken:
            self.woken = True
            self.wake()

    def abort(self, reason: str) -> None:
        """Give the connection up without a word."""
        self.output.clear()
        self.closed = True
        self.lose(reason)
        self.announce()

    def lose(self, reason: str) -> None:
        """End every stream: the connection is gone."""
        self.closed = True
        for stream in list(self.streams.values()):
            self.forget(stream)
            stream.on_reset(CONNECTION_LOST, reason)

    def write_headers(self, frame: bytes) -> None:
        """Add a finished HEADERS frame to the output, with the table update that may be owed."""
        if self.table_update:
            frame = prepend_to_block(self.table_update, frame)
            self.table_update = b""
        self.write(frame)

    def owe_table_update(self) -> None:
        """Remember that the peer shrank its table: it expects to hear that we use none."""
        self.table_update = TABLE_UPDATE

    def send_message(self, stream: Stream, message: bytes) -> None:
        """Send *message* on *stream*, or keep it in the outbox until the windows allow."""
        size = len(message) + PREFIX_BYTES
        if (
            size <= stream.send_window
            and size <= self.send_window
            and size <= self.room
            and size <= FRAME_BYTES_MAX
            and not stream.outbox
        ):
            stream.send_window -= size
            self.send_window -= size
            self.room -= size
            header = pack_message_header(0, size, 0, 0, stream.stream_id, 0, len(message))
            self.output += (header, message)
            self.announce()
            return
        self._queue(stream, (prefixed(message),), size)

    def send_parts(self, stream: Stream, parts: Sequence[bytes]) -> None:
        """Send *parts*, together one message, without ever joining them.

        A copy of a message of 30 MB would hold the loop longer than all else that is done for it.
        """
        size = sum(map(len, parts))
        self._queue(stream, (prefix(size), *parts), size + PREFIX_BYTES)

    def _queue(self, stream: Stream, chunks: Sequence[bytes], size: int) -> None:
        if stream.outbox is None:
            stream.outbox = deque()
        stream.outbox.extend(chunks)
        stream.pending_bytes += size
        self.pending_bytes += size
        if stream not in self.blocked:
            self.pump(stream)

    def end_stream(self, stream: Stream, ending: bytes) -> None:
        """Send *ending*, a whole frame with END_STREAM, behind all that the outbox holds."""
        if stream.outbox:
            stream.ending = ending
        elif self._paused:
            # No window bounds what ends streams: while the peer does not read they stay open,
            # and the limit on open streams bounds them.
            stream.ending = ending
            self._ends[stream] = None
        else:
            self.write_ending(stream, ending)

    @abstractmethod
    def write_ending(self, stream: Stream, ending: bytes) -> None:
        """Send *ending*: our side of *stream* is then complete."""

    def pump(self, stream: Stream) -> None:
        """Send what the windows allow of the outbox of *stream*, at most one turn."""
        outbox = stream.outbox
        if not outbox:
            return
        turn = TURN_BYTES_MAX
        while outbox:
            room = min(stream.send_window, self.send_window, self.room, turn)
            if room <= 0:
                # Without a window of its own only its own WINDOW_UPDATE can help it.
                if stream.send_window > 0:
                    self.blocked[stream] = None
                break
            turn -= self._send_chunk(stream, outbox, min(room, FRAME_BYTES_MAX))
        if not outbox and stream.ending is not None:
            ending, stream.ending = stream.ending, None
            self.write_ending(stream, ending)
        if stream.pending_bytes < self.limits.drain_bytes_low:
            stream.on_writable()
        self.announce()

    def _send_chunk(self, stream: Stream, outbox: deque[bytes | memoryview], room: int) -> int:
        chunk = outbox[0]
        if len(chunk) <= room:
            outbox.popleft()
        else:
            view = memoryview(chunk)
            outbox[0] = view[room:]
            chunk = view[:room]
        size = len(chunk)
        stream.send_window -= size
        stream.pending_bytes -= size
        self.send_window -= size
        self.room -= size
        self.pending_bytes -= size
        self.output += (data_header(size, stream.stream_id), chunk)
        return size

    @property
    def patient(self) -> bool:
        """Whether what is to be sent next has time."""
        return bool(self.blocked) and next(iter(self.blocked)).patient

    def unblock(self) -> None:
        """Give the streams that wait for the connection or the transport their turns."""
        blocked = self.blocked
        while blocked and self.send_window > 0 and self.room > 0:
            stream = next(iter(blocked))
            del blocked[stream]
            self.pump(stream)

    def forget(self, stream: Stream) -> None:
        """Take *stream* and all it holds out of the connection."""
        self.streams.pop(stream.stream_id, None)
        self.discard_outbox(stream)

    def discard_outbox(self, stream: Stream) -> None:
        """Drop what *stream* has queued."""
        self.blocked.pop(stream, None)
        self._ends.pop(stream, None)
        self.pending_bytes -= stream.pending_bytes
        stream.pending_bytes = 0
        stream.outbox = None
        stream.ending = None

    def take_output(self) -> bytes:
        """Return what is to be written, as one piece."""
        self.woken = False
        output = self.output
        if not output:
            return b""
        self.output = []
        return b"".join(output)

    def flushed(self) -> None:
        """Hear that the output was written: there is room for more unless writing is paused."""
        if not self._paused:
            self.room = OUTPUT_BYTES_MAX
            if self._ends:
                self._write_ends()
            if self.blocked:
                self.unblock()

    def _write_ends(self) -> None:
        ends, self._ends = self._ends, {}
        for stream in ends:
            ending, stream.ending = stream.ending, None
            assert ending is not None
            self.write_ending(stream, ending)

    def pause(self) -> None:
        """Hear that the transport is full."""
        self._paused = True
        self.room = 0

    def resume(self) -> None:
        """Hear that the transport takes more."""
        self._paused = False
        self._control_frames = 0
        self.flushed()
