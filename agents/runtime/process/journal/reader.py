"""Reading the journal of a machine: blocks of one unit, forwards and backwards.

Synchronous and in small steps: ``follow.py`` runs them in a thread. Files may grow, rotate and
vanish meanwhile; a descriptor once opened can be read to its end.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from c101.agents.runtime.process.journal import format as layout

#: Read from a file at once.
WINDOW_BYTES = 64 * 1024
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC

#: A block and its head.
Block = tuple[layout.BlockHead, memoryview]


class JournalFile:
    """One file, open for reading. ``previous_seq`` is the unit's last entry before this file."""

    def __init__(self, directory: Path, name: str) -> None:
        """Open it. Raises OSError, FormatError."""
        self._fd = os.open(directory / name, _OPEN)
        try:
            head = os.pread(self._fd, layout.FILE_HEADER.size, 0)
            self.previous_seq, self.first_seq, self.realtime_us = layout.unpack_file_header(head)
        except layout.FormatError:
            os.close(self._fd)
            raise
        self._window = b""
        self._window_start = 0

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def size(self) -> int:
        """Return its present length in bytes."""
        return os.fstat(self._fd).st_size

    def block_at(self, offset: int) -> Block:
        """Return the checked block at *offset*. Raises FormatError: none, or not a whole one."""
        if offset < layout.FILE_HEADER.size:
            raise layout.FormatError("no block begins there")
        head = layout.BlockHead(self._read(offset, layout.BLOCK_HEADER.size))
        block = self._read(offset, head.length)
        layout.check_block(head, block)
        return head, block

    def next_block(self, offset: int) -> tuple[Block, int, bool] | None:
        """Return the block at *offset*, where the next one is, and whether damage was skipped.

        ``None`` at the end. Damage is skipped as far as a whole block follows it.
        """
        start = offset
        while offset + layout.BLOCK_BYTES_MIN <= self.size():
            try:
                block = self.block_at(offset)
            except layout.FormatError:
                offset = self._find_magic(offset + 1)
                continue
            return block, offset + block[0].length, offset != start
        return None

    def backwards(self, end_seq: int) -> Iterator[Block]:
        """Yield the blocks that begin below *end_seq*, the last one first."""
        end = self.size()
        while end - layout.BLOCK_BYTES_MIN >= layout.FILE_HEADER.size:
            try:
                length = layout.unpack_length(self._read_before(end, layout.TRAILER.size))
                block = self.block_at(end - length)
            except layout.FormatError:
                yield from self._backwards_by_walking(end, end_seq)
                return
            end -= length
            if block[0].first_seq < end_seq:
                yield block

    def _backwards_by_walking(self, end: int, end_seq: int) -> Iterator[Block]:
        """Do the same up to *end* where damage, or a block being written, bars the way back."""
        offsets = []
        offset = layout.FILE_HEADER.size
        while (found := self.next_block(offset)) is not None and found[1] <= end:
            (head, _), offset, _ = found
            if head.first_seq < end_seq:
                offsets.append(offset - head.length)
        for start in reversed(offsets):
            yield self.block_at(start)

    def _read(self, offset: int, length: int) -> memoryview:
        """Return *length* bytes at *offset*, fewer at the end, through a window."""
        begin = offset - self._window_start
        if begin < 0 or begin + length > len(self._window):
            self._window = os.pread(self._fd, max(WINDOW_BYTES, length), offset)
            self._window_start, begin = offset, 0
        return memoryview(self._window)[begin : begin + length]

    def _read_before(self, end: int, length: int) -> memoryview:
        """Return the *length* bytes before *end*, with a window that reaches back from there."""
        start = max(0, end - WINDOW_BYTES)
        if not self._window_start <= end - length < end <= self._window_start + len(self._window):
            self._window = os.pread(self._fd, end - start, start)
            self._window_start = start
        begin = end - length - self._window_start
        if begin < 0:
            raise layout.FormatError("torn trailer")
        return memoryview(self._window)[begin : begin + length]

    def _find_magic(self, offset: int) -> int:
        size = self.size()
        while offset < size:
            window = os.pread(self._fd, WINDOW_BYTES, offset)
            found = window.find(layout.BLOCK_MAGIC_BYTES)
            if found >= 0:
                return offset + found
            # The magic may lie across two windows.
            offset += max(1, len(window) - len(layout.BLOCK_MAGIC_BYTES) + 1)
        return size


class UnitJournal:
    """The files of one unit, read forwards block by block.

    ``gap`` is set when entries between the place asked for and the next block are lost.
    """

    def __init__(self, root: Path, unit: str) -> None:
        self.unit = unit
        self.gap = False
        self._directory = root / unit
        self._file: JournalFile | None = None
        self._offset = 0
        self._last_seq = 0

    def close(self) -> None:
        """Close what is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def names(self) -> list[str]:
        """Return the names of the unit's files, oldest first."""
        try:
            names = os.listdir(self._directory)  # noqa: PTH208 - names are all that is needed
        except OSError:
            return []
        return sorted(name for name in names if layout.is_file_name(name))

    def seek(self, after_seq: int, since_us: int) -> None:
        """Go to the first block that may hold entries after *after_seq* and from *since_us* on."""
        self.close()
        self._last_seq = after_seq
        names = self.names()
        begin = 0
        for index, name in enumerate(names):
            if int(name) <= after_seq + 1 or (since_us and self._begun(name) <= since_us):
                begin = index
        self._open_first(names[begin:])
        self.gap = bool(after_seq) and self._lost_before(names) > after_seq

    def next_block(self, end_seq: int) -> Block | None:
        """Return the next block that begins below *end_seq*; ``None`` when there is none yet."""
        while True:
            if self._file is None and not self._open_first(self._newer()):
                return None
            file = self._file
            assert file is not None
            newer = self._newer() if self._offset >= file.size() else []
            found = file.next_block(self._offset)
            if found is not None:
                block, after, skipped = found
                if block[0].first_seq >= end_seq:
                    return None
                self.gap |= skipped
                self._offset = after
                self._last_seq = max(self._last_seq, block[0].end_seq - 1)
                return block
            newer = newer or self._newer()
            if not newer:
                return None
            if self._offset >= file.size() or file.next_block(self._offset) is None:
                self._open_first(newer)

    def backwards(self, end_seq: int) -> Iterator[Block]:
        """Yield the blocks that begin below *end_seq*, the last one first."""
        for name in reversed(self.names()):
            try:
                file = JournalFile(self._directory, name)
            except (OSError, layout.FormatError):
                continue
            try:
                yield from file.backwards(end_seq)
            finally:
                file.close()

    def _newer(self) -> list[str]:
        if self._file is None:
            return self.names()
        return [name for name in self.names() if int(name) > self._file.first_seq]

    def _open_first(self, names: list[str]) -> bool:
        """Open the first of *names* that can be; False without any."""
        for name in names:
            try:
                file = JournalFile(self._directory, name)
            except (OSError, layout.FormatError):
                continue
            self.close()
            self.gap |= 0 < self._last_seq < file.previous_seq
            self._file = file
            self._offset = layout.FILE_HEADER.size
            return True
        return False

    def _lost_before(self, names: list[str]) -> int:
        """Return the number of the last entry that was rotated away; 0 for none."""
        for name in names:
            try:
                file = JournalFile(self._directory, name)
            except (OSError, layout.FormatError):
                continue
            file.close()
            return file.previous_seq
        return 0

    def _begun(self, name: str) -> int:
        try:
            file = JournalFile(self._directory, name)
        except (OSError, layout.FormatError):
            return 0
        file.close()
        return file.realtime_us
