"""The writing side of one unit's journal, as its keeper holds it.

Nothing here waits for the disk to have room: what cannot be written is counted, and the first block
that can be written again says how much is missing.

Standard library only: the keeper imports this.
"""

from __future__ import annotations

import posix

from c101.agents.runtime.process.journal import format as layout
from c101.agents.runtime.process.journal.order import Order

_WARNING = 4
_TAIL_BYTES = 64 * 1024


class JournalWriter:
    """Appends blocks to the newest file of a unit and rotates by size."""

    def __init__(self, root: str, unit: str, *, file_bytes_max: int = 0) -> None:
        """Open the journal of *unit* below *root*; a torn tail is cut off. Raises OSError."""
        self._order = Order(f"{root}/order")
        directory = f"{root}/{unit}"
        _make_directory(directory)
        flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
        self._directory = posix.open(directory, flags)
        self._file_bytes_max = file_bytes_max or layout.FILE_BYTES_MAX
        self._fd = -1
        self._size = 0
        self.last_seq = 0
        self.dropped = 0
        self._reason = ""
        self._open_newest()

    def append(self, body: bytes, count: int, origin: tuple[int, bytes]) -> None:
        """Write *count* packed entries of *origin* (pid, identifier) as one block.

        Never raises for a full or failing disk: the entries are counted in ``dropped``.
        """
        self._order.lock()
        try:
            if self.dropped:
                self._own_up()
            self._write(body, count, origin)
        except OSError as exc:
            self.dropped += count
            self._reason = exc.strerror or type(exc).__name__
        finally:
            self._order.unlock()

    def retry(self) -> None:
        """Say what was dropped, if there is room for that by now."""
        self._order.lock()
        try:
            if self.dropped:
                self._own_up()
        except OSError as exc:
            self._reason = exc.strerror or type(exc).__name__
        finally:
            self._order.unlock()

    def _own_up(self) -> None:
        text = f"{self.dropped} messages lost, the journal could not be written: {self._reason}"
        self._write(layout.pack_entry(_WARNING, text.encode()), 1, (posix.getpid(), b"c101"))
        self.dropped = 0

    def _write(self, body: bytes, count: int, origin: tuple[int, bytes]) -> None:
        first_seq, realtime_us = self._order.reserve(count)
        block = layout.pack_block(body, count, origin, first_seq, realtime_us)
        if self._fd < 0 or self._size + len(block) > self._file_bytes_max:
            self._rotate(first_seq, realtime_us)
        self._append_whole(block)
        self.last_seq = first_seq + count - 1
        self._order.publish(first_seq + count)

    def _append_whole(self, data: bytes) -> None:
        """Append all of *data* or nothing: a part would hide what comes after it."""
        try:
            written = posix.write(self._fd, data)
            while written < len(data):
                written += posix.write(self._fd, data[written:])
        except OSError:
            posix.ftruncate(self._fd, self._size)
            posix.lseek(self._fd, self._size, 0)
            raise
        self._size += len(data)

    def _rotate(self, first_seq: int, realtime_us: int) -> None:
        if self._fd >= 0:
            posix.close(self._fd)
            self._fd = -1
        for name in self._files()[: 1 - layout.FILES_MAX]:
            posix.unlink(name, dir_fd=self._directory)
        flags = posix.O_RDWR | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
        name = layout.file_name(first_seq)
        self._fd = posix.open(name, flags, 0o600, dir_fd=self._directory)
        self._size = 0
        try:
            self._append_whole(layout.pack_file_header(self.last_seq, first_seq, realtime_us))
        except OSError:
            posix.close(self._fd)
            self._fd = -1
            posix.unlink(name, dir_fd=self._directory)
            raise

    def _files(self) -> list[str]:
        return sorted(name for name in posix.listdir(self._directory) if layout.is_file_name(name))

    def _open_newest(self) -> None:
        files = self._files()
        while files:
            flags = posix.O_RDWR | posix.O_NOFOLLOW | posix.O_CLOEXEC
            fd = posix.open(files[-1], flags, dir_fd=self._directory)
            try:
                size, last_seq = find_end(fd)
            except layout.FormatError:
                posix.close(fd)
                posix.unlink(files.pop(), dir_fd=self._directory)
                continue
            posix.ftruncate(fd, size)
            posix.lseek(fd, size, 0)
            self._fd, self._size, self.last_seq = fd, size, last_seq
            return


def _make_directory(path: str) -> None:
    try:
        posix.mkdir(path, 0o700)
    except FileExistsError:
        return


def find_end(fd: int) -> tuple[int, int]:
    """Return (where the last whole block ends, number of its last entry) of a file.

    The tail is tried first; only when it is torn is the whole file walked. Raises FormatError: not
    even the file's head is whole.
    """
    previous_seq, _, _ = layout.unpack_file_header(posix.pread(fd, layout.FILE_HEADER.size, 0))
    size = posix.lseek(fd, 0, 2)
    if size == layout.FILE_HEADER.size:
        return size, previous_seq
    try:
        tail = posix.pread(fd, layout.TRAILER.size, size - layout.TRAILER.size)
        return size, _checked(fd, max(0, size - layout.unpack_length(tail))).end_seq - 1
    except layout.FormatError:
        return _walk_to_end(fd, layout.FILE_HEADER.size, previous_seq)


def _checked(fd: int, offset: int) -> layout.BlockHead:
    head = layout.BlockHead(posix.pread(fd, layout.BLOCK_HEADER.size, offset))
    layout.check_block(head, posix.pread(fd, head.length, offset))
    return head


def _walk_to_end(fd: int, offset: int, last_seq: int) -> tuple[int, int]:
    while True:
        try:
            head = _checked(fd, offset)
        except layout.FormatError:
            return offset, last_seq
        offset += head.length
        last_seq = head.end_seq - 1
