"""The SQLite file under the store: opening, identity, load, point reads.

What its tables hold is in ``schema``. One connection writes (the writer thread's), one reads (the
loop's); the reader sees commits only. Nothing is loaded from a damaged file: see ``damage``.
"""

import fcntl
import logging
import os
import sqlite3
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from c101.core.errors import C101Error, ConfigError
from c101.core.kv import damage, refusal, schema
from c101.core.kv.damage import DamageError
from c101.core.kv.identity import Identity, log_salt
from c101.core.kv.key_index import History
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import FIRST_REVISION, NEVER_COMPACTED, SHIFT, TOMBSTONE, revision_of
from c101.core.kv.schema import DATABASE_NAME, FORMAT, LOCK_NAME, PAGE_BYTES
from c101.core.rpc.status import RpcError

logger = logging.getLogger(__name__)

#: The write-ahead log is copied into the database when it has this many pages (16 MiB).
CHECKPOINT_PAGES = 4000
#: The write-ahead log has its blocks from the start: a commit then overwrites and need not grow
#: the file, which makes its sync about twice as fast. What is there is not taken for frames: those
#: carry salts and checksums.
LOG_BYTES_RESERVED = 20 << 20
#: The same for the index of the log, which is in memory shared through a file: enough for a log of
#: 130 MB. Where it cannot grow a commit fails after it was written, and nobody knows what became of
#: it; a log that cannot grow just fails.
INDEX_BYTES_RESERVED = 256 << 10
CACHE_KIB = 8000
READ_CACHE_KIB = 2000
#: Point reads are gathered into statements of at most this many ids.
IDS_PER_STATEMENT = 500

#: What loading a damaged database raises; the last three for columns of another type, or none.
_DAMAGE = (*damage.FOUND, OSError, RpcError, LookupError, TypeError, AttributeError)

#: Two changes further apart may have something between them.
_NEXT_REVISION = 1 << SHIFT

#: id, key, record (None for a deletion)
LogRow = tuple[int, bytes, bytes | None]


class StorageError(C101Error):
    """The data directory cannot be used."""

    code = "storage"


class Storage:
    """An open data directory.

    Raises ConfigError when another process has it, StorageError when it is damaged or not ours.
    """

    def __init__(self, directory: Path, *, random_id: Callable[[], int] = schema.random_id) -> None:
        self.path = directory / DATABASE_NAME
        self._log = directory / (DATABASE_NAME + "-wal")
        self._lock = lock_directory(directory)
        self._index: BinaryIO | None = None
        with ExitStack() as undo:
            undo.callback(self._lock.close)
            undo.callback(self._close_index)
            noted = Identity.read(self._lock.fileno())
            with self.damage_named():
                if noted is not None:
                    noted.check(self.path, self._log)
                damage.check_files(self.path)
                self.writer = undo.enter_context(
                    closing(self._connect(f"pragma cache_size=-{CACHE_KIB}"))
                )
                self._prepare(random_id)
                self._reader = undo.enter_context(
                    closing(self._connect(f"pragma cache_size=-{READ_CACHE_KIB}"))
                )
                self._reader.execute("pragma query_only=on")
                damage.check_pages(self._reader)
                self.meta: dict[str, int] = dict(damage.checked(self._reader, "meta"))
                # All of it: of a row whose bucket's name is damaged no bucket would know.
                for _ in damage.checked(self._reader, "bucket"):
                    pass
                self.cluster_id = self.meta["cluster_id"]
                self.member_id = self.meta["member_id"]
                if noted is not None and noted.cluster_id != self.cluster_id:
                    raise DamageError("the database of another cluster lies here")
                # The names of database and log: at every start, the one before may have been cut
                # off.
                sync_directory(directory)
                self._reserve_log()
                self._reserve_index()
                self._note_log()
            undo.pop_all()

    @contextmanager
    def damage_named(self) -> Iterator[None]:
        """Raise StorageError, with the path, for what turns out to be damaged within."""
        try:
            yield
        except _DAMAGE as exc:
            raise StorageError(
                f"{self.path}: {exc}",
                hint=f"`c101ctl kv check {self.path.parent}` says all that is wrong; restore a"
                " snapshot into another DIR: `c101ctl kv snapshot restore`",
            ) from exc

    def _connect(self, *pragmas: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, check_same_thread=False, cached_statements=512
        )
        try:
            for pragma in (f"pragma page_size={PAGE_BYTES}", *pragmas):
                connection.execute(pragma)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, random_id: Callable[[], int]) -> None:
        execute = self.writer.execute
        found = schema.format_of(self.writer)
        # Before anything is written: that would write over what is to be looked at.
        self._open_index()
        if self._index is not None:
            damage.check_write_ahead_log(self._log, self._index)
        if found > FORMAT:
            raise StorageError(f"{self.path}: format {found} was written by a later c101")
        execute("pragma journal_mode=wal")
        # FULL: the write-ahead log is synced at every commit, so an answer is never taken back.
        execute("pragma synchronous=full")
        execute(f"pragma wal_autocheckpoint={CHECKPOINT_PAGES}")
        if found < FORMAT:
            schema.prepare(self.writer, random_id)

    def _reserve_log(self) -> None:
        try:
            with self._log.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                try:
                    if size < LOG_BYTES_RESERVED:
                        # A log that was just cut off has to be so on disk, too: else a power cut
                        # could leave the old one with a hole, which would be read up to there.
                        os.fsync(file.fileno())
                        file.write(bytes(LOG_BYTES_RESERVED - size))
                        file.flush()
                        os.fsync(file.fileno())
                except OSError:
                    # What little room there is is better left to all.
                    os.ftruncate(file.fileno(), size)
                    raise
        except OSError as exc:
            # It only costs speed; a disk that is full will say so at the next write.
            logger.warning("no room reserved for the log", extra={"reason": exc.strerror})

    def _open_index(self) -> None:
        """Open the index of the log, once there is one, till the end.

        To close it would drop the locks that SQLite has on it in this process.
        """
        index = Path(f"{self.path}-shm")
        if self._index is None and index.exists():
            self._index = index.open("r+b", buffering=0)

    def _close_index(self) -> None:
        if self._index is not None:
            self._index.close()

    def _reserve_index(self) -> None:
        self._open_index()
        if self._index is None:
            return
        try:
            size = self._index.seek(0, os.SEEK_END)
            if size < INDEX_BYTES_RESERVED:
                os.posix_fallocate(self._index.fileno(), size, INDEX_BYTES_RESERVED - size)
        except OSError as exc:
            logger.warning("no room reserved for the log", extra={"reason": exc.strerror})

    def _note_log(self) -> None:
        """Note which log is in use: one commit makes sure that there is one to be known by."""
        try:
            self.writer.execute(f"pragma user_version={FORMAT}")
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            # Reads can be served; what was noted before holds on.
            logger.warning("the disk is full", extra={"reason": str(exc)})
        else:
            Identity(cluster_id=self.cluster_id, log_salt=log_salt(self._log)).write(
                self._lock.fileno()
            )

    def vacuum(self) -> None:
        """Give free pages back to the disk; on the writer's thread only."""
        self.writer.execute("vacuum")
        self.writer.execute("pragma wal_checkpoint(truncate)")
        self._reserve_log()

    # ---- load ----

    def load_histories(self) -> tuple[dict[bytes, History], int]:
        """Return the history of every key, and the revision the store stands at.

        Compactions count too: one may have dropped the very last changes. Raises StorageError for
        a row that is not as it was written.
        """
        histories: dict[bytes, History] = {}
        last = 0
        with self.damage_named():
            for changes, keys in damage.checked_changes(self._reader):
                for change, key in zip(changes, keys, strict=True):
                    if not 0 < change - last <= _NEXT_REVISION:
                        self._check_gap(last, change)
                    history = histories.get(key)
                    if history is None:
                        histories[key] = change
                    elif isinstance(history, int):
                        histories[key] = array("q", (history, change))
                    else:
                        history.append(change)
                    last = change
        revision = max(
            FIRST_REVISION, revision_of(last), self.scheduled_compaction, self.finished_compaction
        )
        return histories, revision

    def _check_gap(self, last: int, change: int) -> None:
        """Raise DamageError if changes between two neighbours of the log are missing."""
        compacted = max(self.scheduled_compaction, self.finished_compaction)
        if change <= last or revision_of(change) > max(revision_of(last), compacted, 1) + 1:
            raise DamageError(f"changes are missing between {last} and {change}")

    def load_records(self, changes: list[int]) -> Generator[tuple[int, bytes], None, None]:
        """Yield id and record for each of *changes*, none of which is a tombstone."""
        execute = self._reader.execute
        count = execute("select count(*) from log").fetchone()[0]
        if len(changes) * 3 > count:
            wanted = set(changes)
            for change, record in execute("select id, record from log order by id"):
                if change in wanted:
                    yield change, record
            return
        ordered = sorted(change for change in changes if not change & TOMBSTONE)
        for first in range(0, len(ordered), IDS_PER_STATEMENT):
            some = ordered[first : first + IDS_PER_STATEMENT]
            yield from execute(
                f"select id, record from log where id in ({marks(len(some))})",  # noqa: S608
                some,
            )

    def load_leases(self) -> list[tuple[int, int]]:
        """Return id and granted TTL in seconds of every lease."""
        with self.damage_named():
            return list(damage.checked(self._reader, "lease"))

    def load_bucket(self, name: str) -> dict[bytes, bytes]:
        """Return what the bucket *name* holds, in the order of its keys.

        Raises StorageError if it is damaged.
        """
        with self.damage_named():
            rows = damage.checked(self._reader, "bucket", where="name = ?", values=(name,))
            return {key: value for _, key, value in rows}

    @property
    def scheduled_compaction(self) -> int:
        """The revision of the last compaction that was asked for, NEVER_COMPACTED for none."""
        return self.meta.get("scheduled_compaction", NEVER_COMPACTED)

    @property
    def finished_compaction(self) -> int:
        """The revision of the last compaction whose deletions are all done."""
        return self.meta.get("finished_compaction", NEVER_COMPACTED)

    # ---- reads while running: RpcError for what turns out to be damaged, or cannot be read ----

    def fetch_records(self, changes: list[int]) -> dict[int, bytes]:
        """Return the records of *changes*, at most IDS_PER_STATEMENT puts that are in the log."""
        some = marks(len(changes))
        return dict(self._read(f"select id, record from log where id in ({some})", changes))  # noqa: S608

    def fetch_rows(self, changes: list[int]) -> list[LogRow]:
        """Return the rows of *changes* (at most IDS_PER_STATEMENT) that are there, oldest first."""
        some = marks(len(changes))
        statement = f"select id, key, record from log where id in ({some}) order by id"  # noqa: S608
        return self._read(statement, changes)

    def scan(self, start: int, limit: int, rows_max: int) -> list[LogRow]:
        """Return up to *rows_max* rows from id *start* up to, not including, *limit*."""
        statement = "select id, key, record from log where id >= ? and id < ? order by id limit ?"
        return self._read(statement, (start, limit, rows_max))

    def _read(self, statement: str, parameters: Sequence[int]) -> list[Any]:
        try:
            return self._reader.execute(statement, parameters).fetchall()
        except damage.FOUND as exc:
            logger.error("database damaged", extra={"path": str(self.path), "reason": str(exc)})  # noqa: TRY400
            raise refuse(refusal.CORRUPT) from exc

    def scan_bytes(self, start: int, limit: int, rows_max: int, bytes_max: int) -> list[LogRow]:
        """Return rows as ``scan`` does; the one that brings them to *bytes_max* is the last."""
        rows: list[LogRow] = []
        size = 0
        statement = "select id, key, record from log where id >= ? and id < ? order by id limit ?"
        with closing(self._reader.execute(statement, (start, limit, rows_max))) as found:
            for row in found:
                rows.append(row)
                size += len(row[1]) + len(row[2] or b"")
                if size >= bytes_max:
                    break
        return rows

    def size_bytes(self) -> tuple[int, int]:
        """Return the size of the database, and how much of it is in use."""
        pages = self._reader.execute("pragma page_count").fetchone()[0]
        free = self._reader.execute("pragma freelist_count").fetchone()[0]
        return pages * PAGE_BYTES, (pages - free) * PAGE_BYTES

    def close(self) -> None:
        """Close both connections and let go of the directory; the writer thread has ended."""
        if self._lock.closed:
            return
        # Before SQLite removes the log: cut off in between, a log that is not missed does no harm.
        with suppress(OSError):
            Identity(cluster_id=self.cluster_id, log_salt=None).write(self._lock.fileno())
        self._reader.close()
        self.writer.close()
        self._close_index()
        self._lock.close()


def marks(count: int) -> str:
    """Return *count* parameter marks of a statement."""
    return ",".join("?" * count)


def lock_directory(directory: Path) -> TextIO:
    """Make *directory* if need be, and hold it until what is returned is closed.

    Raises ConfigError when another process has it, StorageError when it cannot be used.
    """
    try:
        _make_directory(directory, mode=0o700)
        lock = os.fdopen(os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600), "r+")
    except OSError as exc:
        raise StorageError(f"{directory}: {exc.strerror}") from exc
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        lock.close()
        raise ConfigError(
            f"{directory} is in use by another process", hint="give each KV a --data-dir of its own"
        ) from exc
    return lock


def _make_directory(directory: Path, mode: int = 0o777) -> None:
    """Make *directory* and what it lies in, and sync their names."""
    if not directory.is_dir():
        _make_directory(directory.parent)
        directory.mkdir(mode=mode, exist_ok=True)
    # Also of one that is there: whoever made it may have been cut off. Where its name may not be
    # looked at it was made by others, for good.
    with suppress(PermissionError):
        sync_directory(directory.parent)


def sync_directory(directory: Path) -> None:
    """Have the names in *directory* on disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Have the contents of the file *path* on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
