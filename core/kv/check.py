"""Looks at a data directory and says all that is wrong with it; nothing in it is changed.

It may be in use: what is looked at then is one revision of the store, as a reader sees it. If it is
not, no KV can begin to use it before the check is done.
"""

import fcntl
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from c101.core.kv import damage
from c101.core.kv.history_check import HistoryCheck
from c101.core.kv.lessor import TTL_SECONDS_MAX
from c101.core.kv.revision import NEVER_COMPACTED
from c101.core.kv.schema import DATABASE_NAME, FORMAT, LOCK_NAME, SUMS, format_of
from c101.core.kv.storage import StorageError

#: Of more than this only the number is told.
FINDINGS_MAX = 100
#: Rows looked at before it is told how far the check is.
ROWS_PER_STEP = 10_000
_META_NAMES = frozenset(("cluster_id", "member_id", "scheduled_compaction", "finished_compaction"))

#: Called with the rows looked at, and how many there are.
Progress = Callable[[int, int], None]


@dataclass(kw_only=True)
class Report:
    """What a check found. ``findings`` has at most FINDINGS_MAX of the ``wrong`` things there are.

    ``in_use``: a KV was running on it.
    """

    in_use: bool
    revision: int = 0
    compact_revision: int = NEVER_COMPACTED
    rows: int = 0
    keys: int = 0
    leases: int = 0
    wrong: int = 0
    findings: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        """Note something that is wrong."""
        self.wrong += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(text)


def check(directory: Path, progress: Progress = lambda _done, _of: None) -> Report:
    """Look at all of *directory*. Raises StorageError when there is nothing to look at."""
    database = directory / DATABASE_NAME
    if not database.is_file():
        raise StorageError(
            f"{directory}: no data directory of a KV", hint=f"one holds a file {DATABASE_NAME}"
        )
    with ExitStack() as stack:
        in_use = stack.enter_context(_kept_from_use(directory))
        connection = stack.enter_context(_opened(database, in_use=in_use))
        report = Report(in_use=in_use)
        look = _Check(connection, report, progress)
        steps = [look.pages, look.meta, look.log, look.leases, look.buckets]
        if not in_use:
            with look.going_on():
                _check_write_ahead_log(database)
        if report.wrong and format_of(connection) != FORMAT:
            # The file itself is one that never was filled: all is in the log that is damaged.
            return report
        _refuse_other_formats(connection, database)
        for step in steps:
            with look.going_on():
                step()
        return report


def _check_write_ahead_log(database: Path) -> None:
    """Look at the log of an open database, which nobody but this check uses."""
    index = Path(f"{database}-shm")
    if index.exists():
        with index.open("rb") as opened:
            damage.check_write_ahead_log(Path(f"{database}-wal"), opened)


def _refuse_other_formats(connection: sqlite3.Connection, database: Path) -> None:
    found = format_of(connection)
    if found != FORMAT:
        raise StorageError(
            f"{database}: format {found}, this c101 checks format {FORMAT}",
            hint="c101-core kv takes an earlier format over when it starts on it",
        )


class _Check:
    """The steps of a check, on one transaction."""

    def __init__(self, connection: sqlite3.Connection, report: Report, progress: Progress) -> None:
        self._connection = connection
        self._report = report
        self._progress = progress
        self._history = HistoryCheck(NEVER_COMPACTED)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Note what keeps SQLite from reading on: the next step may find more."""
        try:
            yield
        except damage.FOUND as exc:
            self._report.add(str(exc))

    def pages(self) -> None:
        for (text,) in self._connection.execute(f"pragma integrity_check({FINDINGS_MAX})"):
            if text != "ok":
                self._report.add(str(text))

    def meta(self) -> None:
        found: dict[str, Any] = {}
        for row in self._rows("meta"):
            found[row[0]] = row[1]
        report = self._report
        for name in found.keys() - _META_NAMES:
            report.add(f"{name!r} of table meta is nothing we know")
        for name in ("cluster_id", "member_id"):
            if not isinstance(found.get(name), int) or not found[name]:
                report.add(f"it has no {name}")
        scheduled = found.get("scheduled_compaction", NEVER_COMPACTED)
        finished = found.get("finished_compaction", NEVER_COMPACTED)
        if finished > scheduled:
            report.add(f"compaction {finished} is finished, and {scheduled} was the last asked for")
        report.compact_revision = max(scheduled, finished)
        self._history = HistoryCheck(report.compact_revision)

    def log(self) -> None:
        report, history = self._report, self._history
        (count,) = self._connection.execute("select count(*) from log").fetchone()
        for row in self._rows("log"):
            change, key, record, _ = row
            try:
                wrong = history.take(change, key, record)
            except (TypeError, AttributeError):
                continue  # Of another type than any that was written: its checksum said so.
            if wrong is not None:
                report.add(f"{damage.row_name('log', row)}: {wrong}")
            if not history.rows % ROWS_PER_STEP:
                self._progress(history.rows, count)
        report.rows, report.keys, report.revision = history.rows, history.keys, history.revision

    def leases(self) -> None:
        found = {lease_id for (lease_id,) in self._connection.execute("select id from lease")}
        for row in self._rows("lease"):
            _, ttl, _ = row
            if not 0 < ttl <= TTL_SECONDS_MAX:
                self._report.add(f"{damage.row_name('lease', row)} has a TTL of {ttl} s")
        self._report.leases = len(found)
        for lease_id, keys in self._history.leases().items():
            if lease_id not in found:
                also = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
                self._report.add(f"key {keys[0]!r}{also}: its lease {lease_id:x} is not there")

    def buckets(self) -> None:
        for _ in self._rows("bucket"):
            pass

    def _rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of *table* in order, after a look at the checksum of each.

        One that does not match is told, and yielded only of the log, whose rows belong together.
        """
        columns, _ = SUMS[table]
        key = "name, key" if table == "bucket" else columns.partition(",")[0]
        for row in self._connection.execute(
            f"select {columns}, sum from {table} order by {key}"  # noqa: S608 names of ours
        ):
            if not damage.matches(table, row):
                self._report.add(f"{damage.row_name(table, row)} does not match its checksum")
                if table != "log":
                    continue
            yield row


@contextmanager
def _kept_from_use(directory: Path) -> Iterator[bool]:
    """Say whether a KV runs on *directory*; if not, keep one from starting within."""
    try:
        lock = (directory / LOCK_NAME).open("rb")
    except OSError:
        yield False
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield True
            return
        yield False


@contextmanager
def _opened(database: Path, *, in_use: bool) -> Iterator[sqlite3.Connection]:
    """Open *database* for reading, in one transaction; it is left as it was.

    Without a write-ahead log SQLite is told that the file is immutable. With one, of a KV that was
    killed, it has to make the index of it, which is removed at the end.
    """
    log, index = Path(f"{database}-wal"), Path(f"{database}-shm")
    immutable = not in_use and not (log.exists() and log.stat().st_size)
    remains = in_use or index.exists()
    mode = "immutable=1" if immutable else "mode=ro"
    try:
        with closing(
            sqlite3.connect(
                f"{database.absolute().as_uri()}?{mode}", uri=True, isolation_level=None
            )
        ) as connection:
            connection.execute("begin")
            # The first read: whether it is a database at all.
            format_of(connection)
            yield connection
    except damage.FOUND as exc:
        raise StorageError(f"{database}: {exc}") from exc
    finally:
        if not remains and not immutable:
            index.unlink(missing_ok=True)
