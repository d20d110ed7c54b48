"""The file itself: what is found again, and what is refused, whatever wrote it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.kv.storage import DATABASE_NAME, FORMAT, Storage, StorageError
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
        file.execute("insert into meta values(?, 50)", (noted,))
    store = Store(Storage(tmp_path), SystemClock())
    assert store.revision == 50
    assert store.compact_revision == 50
    await store.close()


async def test_a_file_of_the_first_format_is_taken_over(tmp_path: Path) -> None:
    await Store(Storage(tmp_path), SystemClock()).close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)) as file:
        identity = file.execute("select * from meta order by name").fetchall()
        file.execute("drop table bucket")
        file.execute("pragma user_version=1")
    assert await reopened(tmp_path) == {}
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME)) as file:
        assert file.execute("pragma user_version").fetchone() == (FORMAT,)
        assert file.execute("select * from meta order by name").fetchall() == identity


def test_a_file_of_a_later_format_is_refused(tmp_path: Path) -> None:
    Storage(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / DATABASE_NAME, isolation_level=None)) as file:
        file.execute(f"pragma user_version={FORMAT + 1}")
    with pytest.raises(StorageError, match="written by a later c101"):
        Storage(tmp_path)
