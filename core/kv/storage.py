"""The SQLite file under the store: opening, identity, load, point reads.

What its tables hold is in ``schema``. One connection writes (the writer thread's), one reads (the
loop's); the reader sees commits only. Nothing is loaded from a damaged file: see ``damage``.
"""

import fcntl
import logging
import os
import sqlite3
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, TextIO

from c101.core.errors import C101Error, ConfigError
from c101.core.kv import damage, refusal, schema
from c101.core.kv.key_index import History
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import FIRST_REVISION, NEVER_COMPACTED, TOMBSTONE, revision_of
from c101.core.kv.schema import DATABASE_NAME, FORMAT, LOCK_NAME, PAGE_BYTES

logger = logging.getLogger(__name__)

#: The write-ahead log is copied into the database when it has this many pages (16 MiB).
CHECKPOINT_PAGES = 4000
#: The write-ahead log has its blocks from the start: a commit then overwrites and need not grow
#: the file, which makes its sync about twice as fast. What is there is not taken for frames: those
#: carry salts and checksums.
LOG_BYTES_RESERVED = 20 << 20
CACHE_KIB = 8000
READ_CACHE_KIB = 2000
#: Point reads are gathered into statements of at most this many ids.
IDS_PER_STATEMENT = 500

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
        self._lock = lock_directory(directory)
        with ExitStack() as undo:
            undo.callback(self._lock.close)
            with self._named():
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
            undo.pop_all()
        self._reserve_log()
        self.cluster_id = self.meta["cluster_id"]
        self.member_id = self.meta["member_id"]

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

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Have damage that is found within raised as a StorageError that names the file."""
        try:
            yield
        except damage.FOUND as exc:
            raise StorageError(
                f"{self.path}: {exc}",
                hint=f"`c101ctl kv check {self.path.parent}` says all that is wrong; restore a"
                " snapshot into another DIR: `c101ctl kv snapshot restore`",
            ) from exc

    def _prepare(self, random_id: Callable[[], int]) -> None:
        execute = self.writer.execute
        found = schema.format_of(self.writer)
        # Before anything is written: that would write over what is to be looked at.
        damage.check_write_ahead_log(self.path)
        if found > FORMAT:
            raise StorageError(f"{self.path}: format {found} was written by a later c101")
        execute("pragma journal_mode=wal")
        # FULL: the write-ahead log is synced at every commit, so an answer is never taken back.
        execute("pragma synchronous=full")
        execute(f"pragma wal_autocheckpoint={CHECKPOINT_PAGES}")
        if found < FORMAT:
            schema.prepare(self.writer, random_id)
            sync_directory(self.path.parent)

    def _reserve_log(self) -> None:
        log = Path(f"{self.path}-wal")
        try:
            with log.open("r+b") as file:
                size = file.seek(0, os.SEEK_END)
                if size < LOG_BYTES_RESERVED:
                    file.write(bytes(LOG_BYTES_RESERVED - size))
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as exc:
            # It only costs speed; a disk that is full will say so at the next write.
            logger.warning("no room reserved for the log", extra={"reason": exc.strerror})

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
        with self._named():
            for changes, keys in damage.checked_changes(self._reader):
                for change, key in zip(changes, keys, strict=True):
                    history = histories.get(key)
                    if history is None:
                        histories[key] = change
                    elif isinstance(history, int):
                        histories[key] = array("q", (history, change))
                    else:
                        history.append(change)
                last = changes[-1]
        revision = max(
            FIRST_REVISION, revision_of(last), self.scheduled_compaction, self.finished_compaction
        )
        return histories, revision

    def load_records(self, changes: list[int]) -> Iterator[tuple[int, bytes]]:
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
        with self._named():
            return list(damage.checked(self._reader, "lease"))

    def load_bucket(self, name: str) -> dict[bytes, bytes]:
        """Return what the bucket *name* holds, in the order of its keys."""
        with self._named():
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

    # ---- reads while running ----

    def _fetch(self, statement: str, values: Sequence[int]) -> list[Any]:
        """Return rows. Raises RpcError where the file cannot be read: who asked is to be told."""
        try:
            return self._reader.execute(statement, values).fetchall()
        except damage.FOUND as exc:
            logger.error("database damaged", extra={"path": str(self.path), "reason": str(exc)})  # noqa: TRY400 who handles it logs it
            raise refuse(refusal.CORRUPT) from exc

    def fetch_records(self, changes: list[int]) -> dict[int, bytes]:
        """Return the records of *changes*, at most IDS_PER_STATEMENT puts that are in the log."""
        statement = f"select id, record from log where id in ({marks(len(changes))})"  # noqa: S608
        return dict(self._fetch(statement, changes))

    def fetch_rows(self, changes: list[int]) -> list[LogRow]:
        """Return the rows of *changes* (at most IDS_PER_STATEMENT) that are there, oldest first."""
        return self._fetch(
            f"select id, key, record from log where id in ({marks(len(changes))})"  # noqa: S608
            " order by id",
            changes,
        )

    def scan(self, start: int, limit: int, rows_max: int) -> list[LogRow]:
        """Return up to *rows_max* rows from id *start* up to, not including, *limit*."""
        return self._fetch(
            "select id, key, record from log where id >= ? and id < ? order by id limit ?",
            (start, limit, rows_max),
        )

    def size_bytes(self) -> tuple[int, int]:
        """Return the size of the database, and how much of it is in use."""
        pages = self._reader.execute("pragma page_count").fetchone()[0]
        free = self._reader.execute("pragma freelist_count").fetchone()[0]
        return pages * PAGE_BYTES, (pages - free) * PAGE_BYTES

    def close(self) -> None:
        """Close both connections and let go of the directory; the writer thread has ended."""
        self._reader.close()
        self.writer.close()
        self._lock.close()


def marks(count: int) -> str:
    """Return *count* parameter marks of a statement."""
    return ",".join("?" * count)


def lock_directory(directory: Path) -> TextIO:
    """Make *directory* if need be, and hold it until what is returned is closed.

    Raises ConfigError when another process has it, StorageError when it cannot be used.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (directory / LOCK_NAME).open("a+")
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
