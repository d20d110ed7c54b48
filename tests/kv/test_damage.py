"""Whatever byte of a database is not as it was written, nothing else is served."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from c101.core.clock import SystemClock
from c101.core.kv import refusal
from c101.core.kv.check import check
from c101.core.kv.reads import Reads
from c101.core.kv.revision import SHIFT, TOMBSTONE
from c101.core.kv.schema import DATABASE_NAME, PAGE_BYTES
from c101.core.kv.storage import LOG_BYTES_RESERVED, Storage, StorageError
from c101.core.kv.store import Store
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import RpcError

#: Of what ``fill`` writes.
DELETIONS = 2
LOG_HEADER_BYTES = 32
FRAME_BYTES = 24 + PAGE_BYTES


async def fill(store: Store) -> None:
    """Write a bit of everything, in several commits."""
    for revision in range(2, 30):
        key = b"key/%02d" % (revision % 7)
        large = bytes(revision) * (400 if revision % 9 == 0 else 2)
        if revision % 7 == 6 and store.current(key) is not None:
            store.stage_delete(revision << SHIFT | TOMBSTONE, key)
        else:
            store.stage_put(revision << SHIFT, key, b"value " + large, lease=0)
        store.staged_revision = revision
        await store.durable()
    store.stage_lease(77, 600)
    store.stage_bucket("authUsers", b"root", b"secret")
    store.stage_compaction(4)
    await store.durable()


async def all_of(directory: Path) -> Any:
    """Return all that a start finds in *directory*. Raises StorageError."""
    storage = Storage(directory)
    try:
        histories, revision = storage.load_histories()
        changes = [c for h in histories.values() for c in ([h] if isinstance(h, int) else h)]
        records = dict(storage.load_records([c for c in changes if not c & TOMBSTONE]))
        bucket = storage.load_bucket("authUsers")
        found = ({key: str(h) for key, h in histories.items()}, revision, records)
        return (*found, storage.load_leases(), bucket, storage.meta)
    finally:
        storage.close()


async def filled(directory: Path) -> Path:
    store = Store(Storage(directory), SystemClock())
    await fill(store)
    await store.close()
    return directory / DATABASE_NAME


def flip(file: Path, at: int, mask: int) -> None:
    with file.open("r+b") as opened:
        opened.seek(at)
        (byte,) = opened.read(1)
        opened.seek(at)
        opened.write(bytes((byte ^ mask,)))


@pytest.mark.parametrize(("mask", "first"), [(0x01, 0), (0x80, 19), (0xFF, 7)])
async def test_a_start_finds_a_flipped_byte_or_what_it_finds_is_as_before(
    tmp_path: Path, mask: int, first: int
) -> None:
    database = await filled(tmp_path / "kv")
    before = await all_of(tmp_path / "kv")
    copy = tmp_path / "copy"
    copy.mkdir()
    refused = 0
    # A start writes, and so takes its time: some of the bytes.
    offsets = range(first, database.stat().st_size, 1_009)
    for at in offsets:
        shutil.copy(database, copy / DATABASE_NAME)
        flip(copy / DATABASE_NAME, at, mask)
        try:
            found = await all_of(copy)
        except StorageError:
            refused += 1
        else:
            assert found == before, f"byte {at}"
        for left in copy.iterdir():
            left.unlink()
    # The rest is free space that nothing is read from.
    assert refused > len(offsets) / 4


@pytest.mark.parametrize(("mask", "first"), [(0x01, 0), (0x80, 19), (0xFF, 7)])
async def test_a_check_finds_a_flipped_byte_or_all_is_as_before(
    tmp_path: Path, mask: int, first: int
) -> None:
    database = await filled(tmp_path / "kv")
    whole = database.read_bytes()
    before = rows_of(database)
    found = 0
    for at in range(first, len(whole), 149):
        flip(database, at, mask)
        try:
            wrong = check(tmp_path / "kv").wrong
        except StorageError:
            wrong = 1
        if wrong:
            found += 1
        else:
            assert rows_of(database) == before, f"byte {at}"
        database.write_bytes(whole)
    assert found > 60


def rows_of(database: Path) -> list[list[tuple[object, ...]]]:
    with closing(sqlite3.connect(f"{database.as_uri()}?immutable=1", uri=True)) as file:
        return [
            file.execute(f"select * from {table}").fetchall()
            for table in ("log", "lease", "bucket", "meta")
        ]


async def test_a_flipped_byte_anywhere_in_a_value_is_found_by_start_and_check(
    tmp_path: Path,
) -> None:
    database = await filled(tmp_path / "kv")
    content = database.read_bytes()
    values = [at for at in range(len(content)) if content.startswith(b"value ", at)]
    shutil.copy(database, tmp_path / "whole")
    found = 0
    for at in values:
        shutil.copy(tmp_path / "whole", database)
        flip(database, at + 3, 0x20)
        report = check(tmp_path / "kv")
        if not report.wrong:
            # A copy that SQLite left behind when it moved the row; nobody reads it.
            await all_of(tmp_path / "kv")
            continue
        found += 1
        assert (report.wrong, "does not match its checksum" in report.findings[0]) == (1, True)
        with pytest.raises(StorageError, match="does not match its checksum") as caught:
            await all_of(tmp_path / "kv")
        assert "kv check" in str(caught.value.hint)
    shutil.copy(tmp_path / "whole", database)
    assert found == check(tmp_path / "kv").rows - DELETIONS


async def crashed(directory: Path, copy: Path) -> int:
    """Leave in *copy* what a power cut would; return how many bytes its log's frames take."""
    store = Store(Storage(directory), SystemClock())
    await fill(store)
    copy.mkdir()
    for name in (DATABASE_NAME, f"{DATABASE_NAME}-wal"):
        shutil.copy(directory / name, copy)
    await store.close()
    log = (copy / f"{DATABASE_NAME}-wal").read_bytes()
    frames = 0
    while any(log[LOG_HEADER_BYTES + frames * FRAME_BYTES :][:FRAME_BYTES]):
        frames += 1
    assert 30 < frames < LOG_BYTES_RESERVED // FRAME_BYTES
    return frames


async def test_a_commit_that_a_power_cut_left_unfinished_never_was(tmp_path: Path) -> None:
    frames = await crashed(tmp_path / "kv", tmp_path / "copy")
    flip(tmp_path / "copy" / f"{DATABASE_NAME}-wal", LOG_HEADER_BYTES + frames * FRAME_BYTES - 1, 1)
    _, revision, *_, leases, bucket, _ = await all_of(tmp_path / "copy")
    assert revision == 29
    assert (leases, bucket) == ([], {})


@pytest.mark.parametrize("frame", [0, 5, 20])
async def test_acknowledged_commits_behind_a_damaged_one_are_not_silently_dropped(
    tmp_path: Path, frame: int
) -> None:
    await crashed(tmp_path / "kv", tmp_path / "copy")
    log = tmp_path / "copy" / f"{DATABASE_NAME}-wal"
    flip(log, LOG_HEADER_BYTES + frame * FRAME_BYTES + 1000, 0x10)
    assert check(tmp_path / "copy").wrong
    with pytest.raises(StorageError, match="log breaks off before"):
        await all_of(tmp_path / "copy")


async def test_a_log_whose_header_is_damaged_is_not_taken_for_an_empty_one(
    tmp_path: Path,
) -> None:
    await crashed(tmp_path / "kv", tmp_path / "copy")
    flip(tmp_path / "copy" / f"{DATABASE_NAME}-wal", 17, 0x10)
    with pytest.raises(StorageError, match="no valid header"):
        await all_of(tmp_path / "copy")


async def test_a_page_that_is_lost_while_the_store_runs_is_an_error_of_the_read_that_needs_it(
    tmp_path: Path,
) -> None:
    database = await filled(tmp_path / "kv")
    store = Store(Storage(tmp_path / "kv"), SystemClock())
    with database.open("r+b") as file:
        file.seek(PAGE_BYTES)
        file.write(bytes(database.stat().st_size - PAGE_BYTES))
    # What SQLite has in memory it would still serve.
    store.storage._reader.execute("pragma shrink_memory")
    reads = Reads(store, SystemClock())
    answers: list[list[bytes] | RpcError] = []
    for revision in (10, 0):
        request = rpc_pb2.RangeRequest(key=b"key/", range_end=b"key0", revision=revision)
        reads.range(request, answers.append, lambda: False)
    old, current = answers
    assert isinstance(old, RpcError)
    assert (old.status, old.message) == refusal.CORRUPT
    assert isinstance(current, list)
    await store.close()
