"""One sequence of numbers for all entries of a machine, shared by its keepers through a file.

The file holds three u64: *reserved*, *published*, and the realtime (µs) of the last block. Under an
exclusive flock a writer reserves numbers, writes its block, and publishes them; a reader looks at
*published* without a lock, and every block below it has been written whole. Where a writer died in
between, the next one begins at *reserved*: numbers may be skipped, none is given twice.

Time never runs backwards in a journal: a block is stamped with the later of the clock and the
block before it, whichever unit that was of. So order by number is order by time.

Standard library only: the keeper imports this.
"""

from __future__ import annotations

import fcntl
import posix
import select
import struct
import time

#: A keeper that was stopped while it held the lock must not stop the others for longer than this.
LOCK_WAIT_SECONDS_MAX = 2.0
_LOCK_RETRY_MS = 1

_ORDER = struct.Struct("<QQQ")
_U64 = struct.Struct("<Q")


class Order:
    """The shared counter, opened by one writer."""

    def __init__(self, path: str) -> None:
        """Open the file at *path*, made when missing. Raises OSError."""
        flags = posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOFOLLOW
        self._fd = posix.open(path, flags, 0o600)

    def lock(self) -> None:
        """Wait for the lock; after LOCK_WAIT_SECONDS_MAX go on without it.

        Without the lock two blocks can at worst become visible in the wrong order.
        """
        deadline = time.monotonic() + LOCK_WAIT_SECONDS_MAX
        while True:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return
                select.poll().poll(_LOCK_RETRY_MS)
            else:
                return

    def unlock(self) -> None:
        """Give the lock back; harmless without it."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def reserve(self, count: int) -> tuple[int, int]:
        """Return (first number, realtime in µs) for *count* entries. Raises OSError."""
        reserved, published, last_us = read_order(self._fd)
        first = max(reserved, published, 1)
        realtime_us = max(time.time_ns() // 1000, last_us)
        posix.pwrite(self._fd, _U64.pack(first + count), 0)
        posix.pwrite(self._fd, _U64.pack(realtime_us), 16)
        return first, realtime_us

    def publish(self, end_seq: int) -> None:
        """Tell readers that every entry below *end_seq* is in its file. Raises OSError."""
        posix.pwrite(self._fd, _U64.pack(end_seq), 8)

    def close(self) -> None:
        """Close the file."""
        posix.close(self._fd)


def read_order(fd: int) -> tuple[int, int, int]:
    """Return (reserved, published, last realtime in µs); zeros for a new file."""
    raw = posix.pread(fd, _ORDER.size, 0)
    reserved, published, realtime_us = _ORDER.unpack(raw.ljust(_ORDER.size, b"\0"))
    return reserved, published, realtime_us
