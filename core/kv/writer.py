"""The one thread that writes, and what it is given: batches.

A batch is everything that came in while the one before it was being made durable. It is written in
one transaction, so it is there as a whole or not at all.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

from c101.core.clock import Clock
from c101.core.kv import refusal
from c101.core.kv.answers import Answer
from c101.core.kv.checksum import bucket_sum, lease_sum, meta_sum
from c101.core.kv.durations import Durations
from c101.core.kv.lessor import Lease
from c101.core.kv.record import Change
from c101.core.kv.refusal import Refusal
from c101.core.kv.storage import IDS_PER_STATEMENT, Storage, marks
from c101.core.proto import rpc_pb2

#: Up to this many changes are one multi-row INSERT, a transaction by itself: one statement, one
#: hand-over of the interpreter lock.
ROWS_PER_STATEMENT = 256
#: Of a row of the log, all in one list.
COLUMNS = 4
_CHUNKS = (256, 128, 64, 32, 16, 8, 4, 2, 1)


class Batch:
    """Changes to be committed together, and who is to be told."""

    __slots__ = (
        "alarms",
        "answers",
        "buckets",
        "changes",
        "deletions",
        "failure",
        "leases",
        "meta",
        "revision",
        "rows",
        "vacuum",
    )

    def __init__(self) -> None:
        #: id, key, record, checksum, id, key, record, checksum ... for the log
        self.rows: list[int | bytes | None] = []
        self.changes: list[Change] = []
        #: grants, and revocations (a TTL of 0), in the order they happened
        self.leases: list[Lease] = []
        self.meta: dict[str, int] = {}
        #: bucket, key and value (None for a deletion), in the order they happened
        self.buckets: list[tuple[str, bytes, bytes | None]] = []
        #: the alarms among those, and whether each is raised or disarmed
        self.alarms: list[tuple[rpc_pb2.AlarmMember, bool]] = []
        #: ids that a compaction drops
        self.deletions: list[int] = []
        self.answers: list[tuple[Answer, bytes]] = []
        #: the store's revision once this is committed
        self.revision = 0
        self.failure: Refusal | None = None
        #: whether free pages are to be given back to the disk first
        self.vacuum = False

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write and nobody to tell."""
        return self.only_rows and not (self.answers or self.changes)

    @property
    def only_rows(self) -> bool:
        """Whether there is nothing to write but the log."""
        return not (self.leases or self.meta or self.buckets or self.deletions or self.vacuum)


class Writer:
    """Writes one batch at a time; *done* is called on the loop, with ``failure`` set on error."""

    def __init__(
        self,
        storage: Storage,
        loop: asyncio.AbstractEventLoop,
        done: Callable[[Batch], None],
        clock: Clock,
    ) -> None:
        self._storage = storage
        self._connection = storage.writer
        self._loop = loop
        self._done = done
        self._now = clock.monotonic
        #: how long the commits took, their sync to disk included
        self.durations = Durations()
        self._inserts = {count: _insert(count) for count in range(1, ROWS_PER_STATEMENT + 1)}
        # Holds one batch at most: the store submits the next when this one is done.
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name="kv-writer", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Begin to write *batch*."""
        self._queue.put(batch)

    def close(self) -> None:
        """End the thread; nothing may be in the writing."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (batch := self._queue.get()) is not None:
            start = self._now()
            try:
                self._write(batch)
                seconds = self._now() - start
            except Exception as exc:  # noqa: BLE001 a thread that died would leave all waiting
                batch.failure = self._failure(exc)
                self._loop.call_soon_threadsafe(self._done, batch)
            else:
                self._loop.call_soon_threadsafe(self._done, batch)
                self.durations.add(seconds)

    def _write(self, batch: Batch) -> None:
        rows = batch.rows
        count = len(rows) // COLUMNS
        if batch.only_rows and count <= ROWS_PER_STATEMENT:
            if count:
                self._connection.execute(self._inserts[count], rows)
            return
        execute = self._connection.execute
        if batch.vacuum:
            self._storage.vacuum()
        execute("begin immediate")
        self._write_rows(rows, count)
        for lease in batch.leases:
            if lease.ttl_seconds:
                grant = (lease.id, lease.ttl_seconds)
                execute("insert or replace into lease values(?, ?, ?)", (*grant, lease_sum(*grant)))
            else:
                execute("delete from lease where id = ?", (lease.id,))
        for item in batch.meta.items():
            execute("insert or replace into meta values(?, ?, ?)", (*item, meta_sum(*item)))
        for name, key, value in batch.buckets:
            if value is None:
                execute("delete from bucket where name = ? and key = ?", (name, key))
            else:
                row = (name, key, value, bucket_sum(name, key, value))
                execute("insert or replace into bucket values(?, ?, ?, ?)", row)
        for first in range(0, len(batch.deletions), IDS_PER_STATEMENT):
            # One statement for many: each one waits for the interpreter lock when it returns.
            some = batch.deletions[first : first + IDS_PER_STATEMENT]
            execute(f"delete from log where id in ({marks(len(some))})", some)  # noqa: S608
        execute("commit")

    def _write_rows(self, rows: list[int | bytes | None], count: int) -> None:
        first = 0
        for size in _CHUNKS:
            while count - first >= size:
                some = rows[COLUMNS * first : COLUMNS * (first + size)]
                self._connection.execute(self._inserts[size], some)
                first += size

    def _failure(self, exc: Exception) -> Refusal:
        try:
            if self._connection.in_transaction:
                self._connection.execute("rollback")
        except sqlite3.Error:
            return refusal.STORAGE_FAILED
        if getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return refusal.NO_SPACE
        return (refusal.STORAGE_FAILED[0], f"{refusal.STORAGE_FAILED[1]}: {exc}")


def _insert(count: int) -> str:
    return "insert into log values " + ",".join(["(?,?,?,?)"] * count)  # noqa: S608 marks only
