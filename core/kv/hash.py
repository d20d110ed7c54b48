"""What etcd hashes of a store, so that two members, or two stores, can be compared.

etcd keeps a change under its revision, in the bucket ``key``: main and sub-revision as eight bytes
each, and ``t`` behind a deletion's. Hashed are the bucket's name and, in order, key and value of
each change up to a revision. What a compaction leaves of older revisions counts only while it is
current, so that it makes no difference how far the cleaning is.
"""

from collections.abc import AsyncIterator

import google_crc32c

from c101.core.clock import Clock
from c101.core.kv.revision import bound
from c101.core.kv.snapshot import etcd_buckets as etcd
from c101.core.kv.storage import LogRow
from c101.core.kv.store import Store

#: A step ends with so many rows, or the one that makes it so many bytes: about a millisecond.
ROWS_PER_STEP = 500
BYTES_PER_STEP = 1 << 20

_KEYS_PER_STEP = 500


class Hasher:
    """Hashes a store in steps, while everything else goes on."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def everything(self) -> int:
        """Return the hash of every change that is still there."""
        checksum: int = google_crc32c.value(etcd.KEY)
        async for rows in self._rows(bound(self._store.revision)):
            checksum = _extend(checksum, rows)
        return checksum

    async def up_to(self, revision: int) -> int:
        """Return the hash at *revision*, not older than what is compacted: equal to an etcd's."""
        store = self._store
        compacted = store.compact_revision
        # No compaction that begins while this runs takes anything away.
        store.pin(compacted)
        try:
            limit, old = bound(revision), bound(compacted)
            kept = limit if await self._anything_lives(limit) else old
            checksum: int = google_crc32c.value(etcd.KEY)
            put_before = store.index.put_before
            async for rows in self._rows(limit):
                if rows[0][0] < old:
                    rows = [  # noqa: PLW2901
                        row for row in rows if row[0] >= old or put_before(row[1], kept) == row[0]
                    ]
                checksum = _extend(checksum, rows)
            return checksum
        finally:
            store.unpin(compacted)

    async def _anything_lives(self, limit: int) -> bool:
        """Say whether any key exists just before the change id *limit*."""
        index = self._store.index
        after: bytes | None = None
        while keys := index.keys_after(after, _KEYS_PER_STEP):
            if any(index.existed_before(key, limit) for key in keys):
                return True
            after = keys[-1]
            await self._clock.sleep(0)
        return False

    async def _rows(self, limit: int) -> AsyncIterator[list[LogRow]]:
        """Yield the rows below *limit*, a step's at a time."""
        scan = self._store.storage.scan_bytes
        start = 0
        while rows := scan(start, limit, ROWS_PER_STEP, BYTES_PER_STEP):
            yield rows
            start = rows[-1][0] + 1
            await self._clock.sleep(0)


def _extend(checksum: int, rows: list[LogRow]) -> int:
    pieces: list[bytes] = []
    for change, key, record in rows:
        pieces += (etcd.revision_key(change), etcd.change_value(key, record))
    extended: int = google_crc32c.extend(checksum, b"".join(pieces))
    return extended
