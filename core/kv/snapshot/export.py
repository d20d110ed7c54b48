"""A store as a bbolt file, at one revision, while the store goes on.

The SQLite file is read on a connection of its own within one transaction: it sees what was
committed when that began, whatever is written meanwhile. While it lasts the write-ahead log is not
reused and grows by what is written; so who reads an export slowly must be given up some time.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Self

from c101.core.kv import damage
from c101.core.kv.auth.state import FIRST_AUTH_REVISION
from c101.core.kv.revision import FIRST_REVISION, NEVER_COMPACTED, SHIFT
from c101.core.kv.snapshot import etcd_buckets as etcd
from c101.core.kv.snapshot.bbolt_writer import Bucket, Item, Layout, Lengths
from c101.core.kv.snapshot.etcd_buckets import LeaseRecord

#: What ``pieces`` yields at a time, but for the last: some milliseconds of work.
PIECE_BYTES = 256 << 10

_CACHE_KIB = 2_000


class Export:
    """One revision of the store whose file is *database*. Used by one thread at a time.

    Raises SnapshotError when the file cannot be read or a row is not as it was written: damage does
    not travel on. ``close`` it soon: see above.
    """

    def __init__(self, database: Path) -> None:
        self._database = database
        self._cursors: list[sqlite3.Cursor] = []
        with ExitStack() as undo, self._named():
            self._connection = undo.enter_context(closing(_connect(database)))
            self._connection.execute("begin")
            # The first read settles what the transaction sees.
            meta = dict(damage.checked(self._connection, "meta"))
            last = self._connection.execute("select max(id) from log").fetchone()[0] or 0
            undo.pop_all()
        self._member_id = meta["member_id"]
        self._scheduled = meta.get("scheduled_compaction", NEVER_COMPACTED)
        self._finished = meta.get("finished_compaction", NEVER_COMPACTED)
        #: the revision of the store that is exported
        self.revision = max(FIRST_REVISION, last >> SHIFT, self._scheduled, self._finished)
        if self._scheduled > last >> SHIFT:
            # etcd 3.4 goes by the finished compaction when later changes are all gone.
            self._finished = self._scheduled
        self._layout: Layout | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the store."""
        # SQLite keeps a connection, and what it reads, as long as a statement on it is not done.
        for cursor in self._cursors:
            cursor.close()
        self._connection.close()

    def plan(self) -> int:
        """Return how many bytes ``pieces`` yields; a pass over the lengths of all rows."""
        if self._layout is None:
            with self._named():
                self._layout = Layout(self._buckets())
        return self._layout.size

    def pieces(self) -> Iterator[bytes]:
        """Yield the file, in pieces of PIECE_BYTES but for the last."""
        self.plan()
        assert self._layout is not None
        gathered = bytearray()
        with self._named():
            for pages in self._layout.write():
                gathered += pages
                while len(gathered) >= PIECE_BYTES:
                    yield bytes(gathered[:PIECE_BYTES])
                    del gathered[:PIECE_BYTES]
        if gathered:
            yield bytes(gathered)

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Have what keeps the file from being read raised as a SnapshotError that names it."""
        try:
            yield
        except damage.FOUND as exc:
            raise etcd.SnapshotError(f"{self._database}: {exc}") from exc

    def _select(self, statement: str, values: tuple[str, ...] = ()) -> sqlite3.Cursor:
        cursor = self._connection.execute(statement, values)
        self._cursors.append(cursor)
        return cursor

    # ---- etcd's buckets ----

    def _buckets(self) -> list[Bucket]:
        return [
            Bucket(name=etcd.KEY, lengths=self._log_lengths, items=self._log_items),
            Bucket(name=etcd.LEASE, lengths=self._lease_lengths, items=self._leases),
            Bucket.of(etcd.META, self._etcd_meta()),
            *(Bucket.of(name, self._mirrored(name)) for name in etcd.MIRRORED),
            *(Bucket.of(*bucket) for bucket in etcd.of_the_cluster(self._member_id).items()),
        ]

    def _log_lengths(self) -> Iterator[Lengths]:
        # length() of a blob is in the row's header: no value is read.
        rows = self._select("select length(key), length(record) from log order by id")
        for key_bytes, record_bytes in rows:
            if record_bytes is None:
                yield etcd.REVISION_BYTES + 1, etcd.tombstone_bytes(key_bytes)
            else:
                yield etcd.REVISION_BYTES, record_bytes

    def _log_items(self) -> Iterator[Item]:
        for row in self._select("select id, key, record, sum from log order by id"):
            change, key, record, _ = row
            if not damage.matches("log", row):
                name = damage.row_name("log", row)
                raise damage.DamageError(f"damaged: {name} does not match its checksum")
            yield etcd.revision_key(change), etcd.change_value(key, record)

    def _lease_lengths(self) -> Iterator[Lengths]:
        return ((len(key), len(value)) for key, value in self._leases())

    def _leases(self) -> Iterator[Item]:
        # As unsigned numbers, which their keys are, negative ids come last.
        for lease_id, ttl in self._select("select id, ttl from lease order by id < 0, id"):
            lease = LeaseRecord(id=lease_id, ttl=ttl)
            yield lease.key, lease.pack()

    def _etcd_meta(self) -> dict[bytes, bytes]:
        meta = {etcd.CONSISTENT_INDEX: etcd.INDEX.pack(self.revision)}
        for name, revision in (
            (etcd.SCHEDULED_COMPACTION, self._scheduled),
            (etcd.FINISHED_COMPACTION, self._finished),
        ):
            if revision != NEVER_COMPACTED:
                meta[name] = etcd.pack_revision(revision, 0)
        return meta

    def _mirrored(self, name: bytes) -> dict[bytes, bytes]:
        rows: Iterable[tuple[str, bytes, bytes]] = damage.checked(
            self._connection, "bucket", where="name = ?", values=(name.decode(),)
        )
        found = {key: value for _, key, value in rows}
        if name == etcd.AUTH:
            # etcd has it from the first moment on.
            found.setdefault(etcd.AUTH_REVISION, etcd.INDEX.pack(FIRST_AUTH_REVISION))
        return found


def _connect(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{database.absolute().as_uri()}?mode=ro",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.execute(f"pragma cache_size=-{_CACHE_KIB}")
    return connection
