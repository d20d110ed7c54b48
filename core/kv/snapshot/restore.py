"""A data directory of ours from a snapshot of an etcd, or of ours.

What comes in is looked at as it is read: the file by its pages, each row by itself and by what is
before it (``history_check``). The database is made under another name and gets its own when it is
whole and on disk. The store that begins with it has the snapshot's revisions, and an id of its own:
whoever knew the other cluster finds that this is another one.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from c101.core.kv import damage, schema
from c101.core.kv.checksum import bucket_sum, lease_sum, log_sum, meta_sum
from c101.core.kv.history_check import HistoryCheck
from c101.core.kv.lessor import TTL_SECONDS_MAX
from c101.core.kv.revision import NEVER_COMPACTED, SHIFT, TOMBSTONE
from c101.core.kv.schema import DATABASE_NAME, LOCK_NAME
from c101.core.kv.snapshot import etcd_buckets as etcd
from c101.core.kv.snapshot.bbolt_reader import BoltFile
from c101.core.kv.snapshot.etcd_buckets import LeaseRecord, SnapshotError
from c101.core.kv.snapshot.snapshot_file import (
    HASH_BYTES,
    PARTIAL,
    Progress,
    has_hash,
    quiet,
    verify_hash,
)
from c101.core.kv.storage import lock_directory, sync_directory, sync_file
from c101.core.proto import kv_pb2

ROWS_PER_STATEMENT = 1_000
_PARTIAL_NAME = DATABASE_NAME + PARTIAL

LogRow = tuple[int, bytes, bytes | None, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was restored. ``orphans``: keys that exist, of leases that do not, as etcd has them.

    They stay until somebody deletes them; `kv check` will name them.
    """

    revision: int
    compact_revision: int
    keys: int
    leases: int
    orphans: int


def restore(
    snapshot: Path,
    directory: Path,
    *,
    skip_hash_check: bool = False,
    new_id: Callable[[], int] = schema.random_id,
    progress: Progress = quiet,
) -> Restored:
    """Make the data directory *directory*, which must not be there or be empty, from *snapshot*.

    *progress* counts bytes. Raises SnapshotError for a file that is none or damaged, and for a
    directory that is not empty; StorageError or ConfigError for one that cannot be used. Whatever
    it raises, there is no database then.
    """
    _refuse_if_used(directory)
    if not skip_hash_check:
        verify_hash(snapshot)
    trailer = HASH_BYTES if has_hash(snapshot) else 0
    made = not directory.exists()
    with ExitStack() as stack:
        file = stack.enter_context(BoltFile(snapshot, trailer_bytes=trailer))
        stack.enter_context(lock_directory(directory))
        try:
            restored = _build(file, snapshot, directory / _PARTIAL_NAME, new_id, progress)
            (directory / _PARTIAL_NAME).rename(directory / DATABASE_NAME)
            sync_directory(directory)
        except BaseException as exc:
            _remove(directory, made=made)
            if isinstance(exc, OSError | sqlite3.Error):
                reason = exc.strerror if isinstance(exc, OSError) else exc
                raise SnapshotError(f"{directory}: {reason}") from exc
            raise
    if made:
        sync_directory(directory.parent)
    return restored


def _refuse_if_used(directory: Path) -> None:
    try:
        names = {path.name for path in directory.iterdir()}
    except FileNotFoundError:
        return
    except OSError as exc:
        raise SnapshotError(f"{directory}: {exc.strerror}") from exc
    if names - {LOCK_NAME, _PARTIAL_NAME}:
        raise SnapshotError(
            f"{directory} is not empty", hint="a snapshot is restored into a directory of its own"
        )


def _remove(directory: Path, *, made: bool) -> None:
    """Remove what was made."""
    with suppress(OSError):
        (directory / _PARTIAL_NAME).unlink(missing_ok=True)
        if made:
            (directory / LOCK_NAME).unlink(missing_ok=True)
            directory.rmdir()


def _build(
    file: BoltFile, snapshot: Path, database: Path, new_id: Callable[[], int], progress: Progress
) -> Restored:
    database.unlink(missing_ok=True)
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        database.chmod(0o600)
        # Nothing has to survive a crash before it is whole; it is synced as a file, then.
        for pragma in (
            f"page_size={schema.PAGE_BYTES}",
            "journal_mode=off",
            "synchronous=off",
            "locking_mode=exclusive",
        ):
            connection.execute(f"pragma {pragma}")
        schema.prepare(connection, new_id)
        connection.execute("begin")
        restored = _Filling(connection, file, snapshot, progress).fill()
        connection.execute("commit")
    sync_file(database)
    return restored


class _Filling:
    """Fills the tables of an empty database from a bbolt file."""

    def __init__(
        self, connection: sqlite3.Connection, file: BoltFile, snapshot: Path, progress: Progress
    ) -> None:
        self._connection = connection
        self._file = file
        self._snapshot = snapshot
        self._progress = progress

    def fill(self) -> Restored:
        missing = {etcd.KEY, etcd.META} - set(self._file.buckets)
        if missing:
            raise self._wrong(f"it has no bucket {missing.pop().decode()}: no etcd wrote it")
        compacted = self._fill_meta()
        history = HistoryCheck(compacted)
        self._connection.executemany(
            "insert into log values(?, ?, ?, ?)", self._log_rows(history, compacted)
        )
        leases = dict(self._leases())
        self._connection.executemany(
            "insert into lease values(?, ?, ?)",
            ((one, ttl, lease_sum(one, ttl)) for one, ttl in leases.items()),
        )
        for bucket in etcd.MIRRORED:
            name = bucket.decode()
            self._connection.executemany(
                "insert into bucket values(?, ?, ?, ?)",
                (
                    (name, key, value, bucket_sum(name, key, value))
                    for key, value in self._file.items(bucket)
                ),
            )
        attached = history.leases()
        return Restored(
            revision=history.revision,
            compact_revision=compacted,
            keys=history.keys,
            leases=len(leases),
            orphans=sum(len(keys) for one, keys in attached.items() if one not in leases),
        )

    def _wrong(self, text: str) -> SnapshotError:
        return SnapshotError(f"{self._snapshot}: {text}")

    def _fill_meta(self) -> int:
        """Take over what was compacted; return the compact revision."""
        found = dict(self._file.items(etcd.META))
        scheduled, finished = (
            etcd.unpack_revision(found[name])[0] if name in found else NEVER_COMPACTED
            for name in (etcd.SCHEDULED_COMPACTION, etcd.FINISHED_COMPACTION)
        )
        compacted = max(scheduled, finished)
        # What is finished was asked for.
        for name, revision in (
            ("scheduled_compaction", compacted),
            ("finished_compaction", finished),
        ):
            if revision != NEVER_COMPACTED:
                self._connection.execute(
                    "insert into meta values(?, ?, ?)", (name, revision, meta_sum(name, revision))
                )
        return compacted

    def _log_rows(self, history: HistoryCheck, compacted: int) -> Iterator[LogRow]:
        done = 0
        for key, value in self._file.items(etcd.KEY):
            done += len(key) + len(value)
            change = etcd.change_of(key)
            if not value and change >> SHIFT <= compacted:
                # etcdutl writes such a row to raise the revision (--bump-revision).
                continue
            row = self._log_row(change, value)
            wrong = history.take(*row[:3])
            if wrong is not None:
                raise self._wrong(f"damaged: {damage.row_name('log', row)} {wrong}")
            yield row
            if not history.rows % ROWS_PER_STATEMENT:
                self._progress(done, self._file.size)

    def _log_row(self, change: int, value: bytes) -> LogRow:
        try:
            key = kv_pb2.KeyValue.FromString(value).key
        except DecodeError as exc:
            raise self._wrong(
                f"damaged: revision {change >> SHIFT} in bucket key is no KeyValue"
            ) from exc
        record = None if change & TOMBSTONE else value
        return change, key, record, log_sum(change, key, record)

    def _leases(self) -> Iterator[tuple[int, int]]:
        for key, value in self._file.items(etcd.LEASE):
            lease = LeaseRecord.unpack(value)
            if lease.key != key or not lease.id:
                raise self._wrong(f"damaged: lease {lease.id:x} stands under {key.hex()}")
            if not 0 < lease.ttl <= TTL_SECONDS_MAX:
                raise self._wrong(f"damaged: lease {lease.id:x} has a TTL of {lease.ttl} s")
            yield lease.id, lease.ttl
