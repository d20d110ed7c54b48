"""The quota: how much more the database may take.

To ask SQLite after every commit would cost each of them; so it is asked when what was written
since, had every row been as large as a row may be, could have used up half of the room there was.
"""

import sys

from c101.core.kv.storage import Storage

#: What a row takes beside key and value, as etcd reckons it.
ROW_OVERHEAD_BYTES = 256


class Quota:
    """The room below *quota_bytes*; ``None`` is no quota. A row has at most *row_bytes_max*."""

    def __init__(self, storage: Storage, quota_bytes: int | None, row_bytes_max: int) -> None:
        self._storage = storage
        self._quota = quota_bytes
        self._row_bytes_max = row_bytes_max + ROW_OVERHEAD_BYTES
        #: the largest request that does not fill the database up; negative when it is full
        self.room_bytes = sys.maxsize
        self._rows_until_measured = 0
        self.measure()

    def measure(self) -> None:
        """Ask how large the database is."""
        if self._quota is not None:
            size, _ = self._storage.size_bytes()
            self.room_bytes = self._quota - size - ROW_OVERHEAD_BYTES
            self._rows_until_measured = self.room_bytes // (2 * self._row_bytes_max)

    def wrote(self, rows: int) -> bool:
        """Note that *rows* were written; return whether ``room_bytes`` was measured anew."""
        if self._quota is None:
            return False
        self._rows_until_measured -= rows
        if self._rows_until_measured >= 0:
            return False
        self.measure()
        return True
