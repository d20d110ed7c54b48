"""What is found of a damaged database before anything of it is served.

Three looks, at every start, and by ``c101ctl kv check``:

* SQLite's own, at every page: headers, pointers, order (``check_pages``). It knows no contents.
* every row against its checksum (``checked``).
* the write-ahead log, which SQLite reads up to the first frame that is not right and takes what
  follows for never written: rightly after a power cut, silently losing what was acknowledged after
  damage (``check_write_ahead_log``).

Together they cost less than a second for a million revisions (ADR 14).
"""

import os
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from itertools import repeat, starmap
from operator import and_
from pathlib import Path
from typing import Any, BinaryIO
from zlib import crc32

from c101.core.kv.checksum import LOW_BITS
from c101.core.kv.revision import CHANGES_PER_REVISION_MAX, SHIFT
from c101.core.kv.schema import PAGE_BYTES, SUMS

SUB_MASK = CHANGES_PER_REVISION_MAX - 1
#: Rows whose checksums are made at once.
ROWS_PER_STEP = 1_000

#: Of commits cut off in the write-ahead log, one is what a power cut leaves.
COMMITS_CUT_OFF_DAMAGED = 2

# SQLite's write-ahead log, as it documents it. Header: magic, version, page size, number, salts,
# checksum. Frame: page, pages of the database after a commit (else 0), salts, checksum.
LOG_MAGIC = 0x377F0682
_LOG_HEADER = struct.Struct(">IIIIIIII")
_FRAME_HEADER = struct.Struct(">IIIIII")
# And its index: the number of valid frames, in the machine's own byte order.
_INDEX_FRAMES = struct.Struct("=I")
_INDEX_HEADER_BYTES = 48


class DamageError(Exception):
    """A database is not as it was written. The text says what is wrong and where."""


#: What reading a damaged database raises: its texts need not be UTF-8, nor its numbers in range.
FOUND = (sqlite3.Error, DamageError, UnicodeError, OverflowError)


def check_pages(connection: sqlite3.Connection) -> None:
    """Raise DamageError unless the pages of an open database make trees; contents aside."""
    found: str = connection.execute("pragma quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DamageError(f"damaged: {found}")


def checked(
    connection: sqlite3.Connection, table: str, *, where: str = "true", values: tuple[Any, ...] = ()
) -> Iterator[Any]:
    """Yield the rows of *table* in the order of its key, without their checksums.

    Raises DamageError for a row that does not match its own.
    """
    columns, function = SUMS[table]
    key = "name, key" if table == "bucket" else columns.partition(",")[0]
    cursor = connection.execute(
        f"select {columns}, sum from {table} where {where} order by {key}",  # noqa: S608 ours
        values,
    )
    while rows := cursor.fetchmany(ROWS_PER_STEP):
        contents = [row[:-1] for row in rows]
        try:
            right = list(starmap(function, contents)) == [row[-1] for row in rows]
        except (TypeError, AttributeError):
            right = False  # a value of another type than any that was written
        if not right:
            raise DamageError(_first_wrong(table, rows))
        yield from contents


def checked_changes(
    connection: sqlite3.Connection,
) -> Iterator[tuple[Sequence[int], Sequence[bytes]]]:
    """Yield ids and keys of the rows of ``log``, some at a time, after a look at all of each row.

    ``checked`` in a fraction of the time: a start waits for it. Raises DamageError.
    """
    cursor = connection.execute("select id, key, coalesce(record, x''), sum from log order by id")
    low_bits = repeat(LOW_BITS)
    while rows := cursor.fetchmany(ROWS_PER_STEP):
        ids, keys, records, sums = zip(*rows, strict=True)
        try:
            found = tuple(map(crc32, records, map(crc32, keys, map(and_, ids, low_bits))))
        except TypeError:
            found = ()
        if found != sums:
            raise DamageError(_first_wrong("log", rows))
        yield ids, keys


def _first_wrong(table: str, rows: list[Any]) -> str:
    wrong = next(row for row in rows if not matches(table, row))
    return f"damaged: {row_name(table, wrong)} does not match its checksum"


def matches(table: str, row: tuple[Any, ...]) -> bool:
    """Say whether *row* of *table* matches the checksum at its end."""
    _, function = SUMS[table]
    try:
        return bool(function(*row[:-1]) == row[-1])
    except (TypeError, AttributeError):
        return False


def row_name(table: str, row: tuple[Any, ...]) -> str:
    """Return what a person calls *row* of *table*."""
    match table:
        case "log" | "lease" if not isinstance(row[0], int):
            return f"a row of table {table}"
        case "log":
            revision, sub = row[0] >> SHIFT, row[0] >> 1 & SUB_MASK
            return f"change {sub} of revision {revision}, key {row[1]!r},"
        case "lease":
            return f"lease {row[0]:x}"
        case "bucket":
            return f"entry {row[1]!r} of bucket {row[0]}"
        case _:
            return f"{row[0]!r} of table {table}"


def check_files(database: Path) -> None:
    """Raise DamageError if there is a write-ahead log of a database that is gone.

    Call it before the database is opened: SQLite removes such a log.
    """
    log = Path(f"{database}-wal")
    if log.exists() and log.stat().st_size and not (database.exists() and database.stat().st_size):
        raise DamageError("damaged: it is not there or empty, and its write-ahead log is not")


def check_write_ahead_log(path: Path, index: BinaryIO) -> None:
    """Raise DamageError if changes that were acknowledged are cut off in the write-ahead log.

    *path* is the log, *index* its open index. The database must be open, and read from since, on a
    connection of this process; and nobody may be writing it.

    SQLite syncs each commit before it writes the next, so a power cut leaves at most one commit
    unfinished. Behind the last frame that SQLite takes for valid there is then at most one frame
    that ends a commit; two of them were written by commits of which the first, at least, was
    acknowledged. (Damage to the very last commit cannot be told from one that was cut off.)
    """
    try:
        with path.open("rb") as log:
            salts = log_salts(log.read(_LOG_HEADER.size))
            if salts is None:
                return
            cut_off = _commits_after(log, _valid_frames(index), salts)
    except FileNotFoundError:
        return
    if cut_off >= COMMITS_CUT_OFF_DAMAGED:
        raise DamageError(
            f"damaged: the write-ahead log breaks off before {cut_off} commits that were written"
        )


def log_salts(header: bytes) -> tuple[int, int] | None:
    """Return what marks the frames of a log that begins with *header*; ``None``: it has none.

    Raises DamageError for what is no header of a log.
    """
    if not any(header):
        return None
    if len(header) < _LOG_HEADER.size:
        raise DamageError("damaged: the write-ahead log ends within its header")
    fields = _LOG_HEADER.unpack(header)
    # The lowest bit of the magic number says in which byte order the checksum is made.
    words = struct.unpack("<6I" if fields[0] == LOG_MAGIC else ">6I", header[:24])
    first = second = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    if fields[0] & ~1 != LOG_MAGIC or fields[6:] != (first, second):
        raise DamageError("damaged: the write-ahead log begins with no valid header")
    return fields[4], fields[5]


def _valid_frames(index: BinaryIO) -> int:
    """Return how many frames of the log SQLite took for valid when it opened it."""
    header = os.pread(index.fileno(), _INDEX_HEADER_BYTES, 0)
    frames: int = _INDEX_FRAMES.unpack_from(header, 16)[0]
    return frames


def _commits_after(log: BinaryIO, frame: int, salts: tuple[int, int]) -> int:
    """Return how many commits end in the frames of *log* from number *frame* on."""
    commits = 0
    while True:
        log.seek(_LOG_HEADER.size + frame * (_FRAME_HEADER.size + PAGE_BYTES))
        header = log.read(_FRAME_HEADER.size)
        if len(header) < _FRAME_HEADER.size:
            return commits
        _, pages_after_commit, *found, _, _ = _FRAME_HEADER.unpack(header)
        if tuple(found) == salts and pages_after_commit:
            commits += 1
        frame += 1
