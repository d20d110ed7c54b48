"""The file itself: what is found again, and what is refused, whatever wrote it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.kv.check import check
from c101.core.kv.checksum import meta_sum
from c101.core.kv.schema import DATABASE_NAME, FORMAT
from c101.core.kv.storage import Storage, StorageError
from c101.core.kv.store import Store


async def reopened(directory: Path) -> dict[bytes, bytes]:
    """Return what the bucket "b" holds on disk."""
    store = Store(Storage(directory), SystemClock())
    found = store.storage.load_bucket("b")
    await store.close()
    return found


async def test_entries_of_a_bucket_are_found_again_in_the_order_of_their_keys(
    tmp_path: Path,
) -> None:
    store = Store(Storage(tmp_path), SystemClock())
    for key in (b"\xff", b"\0", b"a"):
        store.stage_bucket("b", key, b"old")
        store.stage_bucket("other", key, b"x")
    store.stage_bucket("b", b"a", b"")
    store.stage_bucket("b", b"\xff", None)
    store.stage_bucket("b", b"never there", None)
    await store.durable()
    await store.close()
    assert list((await reopened(tmp_path)).items()) == [(b"\0", b"old"), (b"a", b"")]


async def test_a_bucket_alone_moves_no_revision(tmp_path: Path) -> None:
    store = Store(Storage(tmp_path), SystemClock())
    revision = store.revision
    store.stage_bucket("b", b"a", b"1")
    await store.durable()
    assert store.revision == revision
    await store.close()


@pytest.mark.parametrize("noted", ["scheduled_compaction", "finished_compaction"])
async def test_the_revision_is_never_below_a_compaction_though_it_left_nothing_as_in_etcd_17780(
    tmp_path: Path, noted: str
) -> None:
    await Store(Storage(tmp_path), SystemClock()).close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)) as file:
        file.execute("insert into meta values(?, 50, ?)", (noted, meta_sum(noted, 50)))
    store = Store(Storage(tmp_path), SystemClock())
    assert store.revision == 50
    assert store.compact_revision == 50
    await store.close()


FORMER = """
create table log(id integer primary key, key blob not null, record blob);
create table lease(id integer primary key, ttl integer not null);
create table meta(name text primary key, value integer not null) without rowid;
insert into log values(8388608, x'61', x'0a0161100218022001'), (12582913, x'61', null);
insert into lease values(9, 60);
insert into meta values('cluster_id', 5), ('member_id', 7);
"""
BUCKET = """
create table bucket(
    name text not null, key blob not null, value blob not null, primary key(name, key)
) without rowid;
insert into bucket values('b', x'6b', x'76');
"""


@pytest.mark.parametrize(
    ("former", "script", "bucket"), [(1, FORMER, {}), (2, FORMER + BUCKET, {b"k": b"v"})]
)
async def test_a_file_of_an_earlier_format_is_taken_over(
    tmp_path: Path, former: int, script: str, bucket: dict[bytes, bytes]
) -> None:
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as file:
        file.executescript(f"pragma journal_mode=wal; {script} pragma user_version={former};")
    assert await reopened(tmp_path) == bucket
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as file:
        assert file.execute("pragma user_version").fetchone() == (FORMAT,)
    storage = Storage(tmp_path)
    assert (storage.cluster_id, storage.member_id) == (5, 7)
    assert storage.load_leases() == [(9, 60)]
    histories, revision = storage.load_histories()
    assert (list(histories), revision) == ([b"a"], 3)
    storage.close()
    assert check(tmp_path).findings == []


def test_a_file_of_a_later_format_is_refused(tmp_path: Path) -> None:
    Storage(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)) as file:
        file.execute(f"pragma user_version={FORMAT + 1}")
    with pytest.raises(StorageError, match="written by a later c101"):
        Storage(tmp_path)
