"""The tables of a data directory's SQLite file, and how an earlier file becomes a current one.

``log`` has a row for every change, under its id; ``record`` is the encoded KeyValue, NULL for a
deletion. The key stands before the record in the row, so that it is read without the value.
``bucket`` holds etcd's small buckets beside the keys (users, roles, alarms) as etcd's backend does:
bytes by bytes, so that a snapshot copies them. Every row ends with its checksum (``checksum``).
"""

import secrets
import sqlite3
from collections.abc import Callable

from c101.core.kv import checksum

FORMAT = 3
DATABASE_NAME = "kv.db"
LOCK_NAME = "lock"
PAGE_BYTES = 4096

#: Each table with the columns that its checksum covers, and the function that makes it.
SUMS: dict[str, tuple[str, Callable[..., int]]] = {
    "log": ("id, key, record", checksum.log_sum),
    "lease": ("id, ttl", checksum.lease_sum),
    "bucket": ("name, key, value", checksum.bucket_sum),
    "meta": ("name, value", checksum.meta_sum),
}

_TABLES = """
create table if not exists log(
    id integer primary key, key blob not null, record blob, sum integer not null
);
create table if not exists lease(
    id integer primary key, ttl integer not null, sum integer not null
);
create table if not exists bucket(
    name text not null, key blob not null, value blob not null, sum integer not null,
    primary key(name, key)
) without rowid;
create table if not exists meta(
    name text primary key, value integer not null, sum integer not null
) without rowid;
"""


def random_id() -> int:
    """Return an id for a cluster or a member: positive, as etcd's are."""
    return secrets.randbits(62) | 1


def prepare(connection: sqlite3.Connection, new_id: Callable[[], int] = random_id) -> None:
    """Have the tables in an open file: made, or taken over from an earlier format, or as they are.

    The file must be ours to write, and not of a later format.
    """
    found = format_of(connection)
    if found == FORMAT:
        return
    connection.execute("begin immediate")
    if found:
        _add_sums(connection)
    for statement in _TABLES.split(";"):
        connection.execute(statement)
    for name in ("cluster_id", "member_id"):
        identity = new_id()
        connection.execute(
            "insert or ignore into meta values(?, ?, ?)",
            (name, identity, checksum.meta_sum(name, identity)),
        )
    connection.execute(f"pragma user_version={FORMAT}")
    connection.execute("commit")


def format_of(connection: sqlite3.Connection) -> int:
    """Return the format of an open file; 0 for one that is empty."""
    found: int = connection.execute("pragma user_version").fetchone()[0]
    return found


def _add_sums(connection: sqlite3.Connection) -> None:
    """Give the rows of an earlier format their checksums: what is there is taken for right."""
    names = [name for (name,) in connection.execute("select name from sqlite_master")]
    for table, (columns, function) in SUMS.items():
        if table in names:
            connection.execute(f"alter table {table} add column sum integer not null default 0")
            count = columns.count(",") + 1
            connection.create_function(f"{table}_sum", count, function, deterministic=True)
            connection.execute(f"update {table} set sum = {table}_sum({columns})")  # noqa: S608
