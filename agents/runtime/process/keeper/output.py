"""What the unit prints, and what is said of it, on its way to the journal."""

from __future__ import annotations

import posix
import time

from c101.agents.runtime.process.journal.format import ENTRY_HEADER, pack_entry
from c101.agents.runtime.process.journal.writer import JournalWriter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from c101.agents.runtime.process.keeper.loop import Loop

#: A longer line is stored in pieces (journald's LineMax=).
LINE_BYTES_MAX = 48 * 1024
#: Read at once. Small, since a read full of empty lines becomes ten times as large in memory.
READ_BYTES = 4 * 1024
#: Reads a wake-up; what is left waits in the pipe.
READS_MAX = 16
#: A process that prints all the time is read this often, so that its lines are written in batches.
HOLD_SECONDS = 0.01
#: Read once its process has ended; a grandchild may hold the pipe and go on printing.
DRAIN_READS_MAX = 256
IDENTIFIER_BYTES_MAX = 255
#: A journal that could not be written is tried again this often, to say what was lost.
RETRY_SECONDS = 1.0

IDENTIFIER = b"c101"
ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6


class Output:
    """The journal of the unit, and the streams that lead into it."""

    def __init__(self, loop: Loop, writer: JournalWriter, on_written: Callable[[], None]) -> None:
        self.loop = loop
        self.writer = writer
        self._on_written = on_written
        self._streams: list[Stream] = []

    def say(self, priority: int, text: str) -> None:
        """Write a line about the unit."""
        for line in text.splitlines():
            body = pack_entry(priority, line.encode(errors="surrogateescape")[:LINE_BYTES_MAX])
            self.append(body, 1, (posix.getpid(), IDENTIFIER))

    def append(self, body: bytes, count: int, origin: tuple[int, bytes]) -> None:
        """Write *count* packed entries."""
        self.writer.append(body, count, origin)
        if self.writer.dropped:
            self.loop.after(RETRY_SECONDS, "journal", self._retry)
        self._on_written()

    def open_stream(self, identifier: str, level: int, *, prefixes: bool) -> tuple[Stream, int]:
        """Return a stream and the descriptor its process is to write to."""
        read_end, write_end = posix.pipe2(posix.O_CLOEXEC)
        posix.set_blocking(read_end, False)
        raw = identifier.encode(errors="surrogateescape")[:IDENTIFIER_BYTES_MAX]
        stream = Stream(self, read_end, raw, level if not prefixes else level | PREFIXES)
        self._streams.append(stream)
        return stream, write_end

    def drain(self) -> None:
        """Write what is in the pipes by now, so that it stands before what is said next."""
        for stream in list(self._streams):
            stream.pump(DRAIN_READS_MAX)

    def close(self) -> None:
        """Write what is in the pipes, and stop reading."""
        self.drain()
        for stream in list(self._streams):
            stream.end()

    def closed(self, stream: Stream) -> None:
        """Forget a stream that is at its end."""
        self._streams.remove(stream)

    def _retry(self) -> None:
        self.writer.retry()
        if self.writer.dropped:
            self.loop.after(RETRY_SECONDS, "journal", self._retry)
        else:
            self._on_written()


#: Beside the level of a stream: a line may begin with its own level, as in ``<3>``.
PREFIXES = 8


class Stream:
    """One pipe: standard output and error of one process and of those it forked."""

    def __init__(self, output: Output, fd: int, identifier: bytes, level: int) -> None:
        self._output = output
        self._fd = fd
        self._origin = (0, identifier)
        self._level = level & 7
        self._prefixes = bool(level & PREFIXES)
        self._rest = b""
        self._read_at = 0.0
        output.loop.watch(fd, self._readable)

    def of_process(self, pid: int) -> None:
        """Say whose output it is."""
        self._origin = (pid, self._origin[1])

    def _readable(self) -> None:
        now = time.monotonic()
        busy = now - self._read_at < 2 * HOLD_SECONDS
        self._read_at = now
        self.pump(READS_MAX)
        if busy and self._fd >= 0:
            self._output.loop.unwatch(self._fd)
            self._output.loop.after(HOLD_SECONDS, ("hold", self._fd), self._resume)

    def _resume(self) -> None:
        if self._fd >= 0:
            self._output.loop.watch(self._fd, self._readable)

    def pump(self, reads: int) -> None:
        """Write what the pipe has, in at most *reads* reads."""
        for _ in range(reads):
            if self._fd < 0:
                return
            try:
                data = posix.read(self._fd, READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.end()
                return
            self._take(data)

    def _take(self, data: bytes) -> None:
        lines = (self._rest + data if self._rest else data).split(b"\n")
        rest = lines.pop()
        while len(rest) >= LINE_BYTES_MAX:
            lines.append(rest[:LINE_BYTES_MAX])
            rest = rest[LINE_BYTES_MAX:]
        self._rest = rest
        self._write(lines)

    def _write(self, lines: list[bytes]) -> None:
        parts: list[bytes] = []
        heads: dict[int, bytes] = {}  # by length and level: a flood is thousands of alike lines
        level, prefixes = self._level, self._prefixes
        for line in lines:
            if not line:
                continue  # as journald: an empty line is no message
            if prefixes and line[0] == 60:
                priority, line = split_level(line, level)  # noqa: PLW2901
            else:
                priority = level
            for start in range(0, len(line) or 1, LINE_BYTES_MAX):
                piece = line[start : start + LINE_BYTES_MAX]
                kind = len(piece) << 3 | priority
                head = heads.get(kind)
                if head is None:
                    head = heads[kind] = ENTRY_HEADER.pack(len(piece), priority)
                parts.append(head)
                parts.append(piece)
        if parts:
            self._output.append(b"".join(parts), len(parts) // 2, self._origin)

    def end(self) -> None:
        """Write a last line that has no line feed, and close."""
        if self._fd < 0:
            return
        rest, self._rest = self._rest, b""
        self._write([rest])
        self._output.loop.unwatch(self._fd)
        self._output.loop.cancel(("hold", self._fd))
        posix.close(self._fd)
        self._fd = -1
        self._output.closed(self)


def split_level(line: bytes, default: int) -> tuple[int, bytes]:
    """Return (priority, message) of a line that may begin with ``<N>`` (sd-daemon(3)).

    N may hold a facility as well, as in syslog: only its lowest three bits count.
    """
    number, bracket, message = line[1:5].partition(b">")
    if not bracket or not number.isdigit():
        return default, line
    return int(number) & 7, message + line[5:]
