"""An export of a store and what is restored of it, with nobody else's programs."""

import asyncio
import contextlib
import os
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.errors import C101Error, ConfigError
from c101.core.kv.check import check
from c101.core.kv.revision import NEVER_COMPACTED, SHIFT, TOMBSTONE
from c101.core.kv.schema import DATABASE_NAME
from c101.core.kv.snapshot import etcd_buckets as etcd
from c101.core.kv.snapshot.bbolt_reader import BoltFile
from c101.core.kv.snapshot.bbolt_writer import Bucket, Layout
from c101.core.kv.snapshot.crc32c import Crc32c
from c101.core.kv.snapshot.etcd_buckets import LeaseRecord, SnapshotError
from c101.core.kv.snapshot.export import Export
from c101.core.kv.snapshot.restore import restore
from c101.core.kv.snapshot.snapshot_file import whole_file
from c101.core.kv.storage import Storage, lock_directory
from c101.core.kv.store import Store
from c101.core.proto import kv_pb2


def put(store: Store, key: bytes, value: bytes, lease: int = 0) -> None:
    store.staged_revision += 1
    store.stage_put(store.staged_revision << SHIFT, key, value, lease)


def delete(store: Store, key: bytes) -> None:
    store.staged_revision += 1
    store.stage_delete(store.staged_revision << SHIFT | TOMBSTONE, key)


def exported(directory: Path, file: Path) -> int:
    """Write an export without a hash; return its revision."""
    with Export(directory / DATABASE_NAME) as export:
        size = export.plan()
        file.write_bytes(b"".join(export.pieces()))
        assert file.stat().st_size == size
        revision: int = export.revision
        return revision


def keys_of(file: Path) -> list[tuple[bytes, kv_pb2.KeyValue]]:
    with BoltFile(file) as opened:
        return [(key, kv_pb2.KeyValue.FromString(value)) for key, value in opened.items(b"key")]


async def test_an_export_is_the_revision_at_which_it_began(tmp_path: Path) -> None:
    store = Store(Storage(tmp_path / "kv"), SystemClock())
    for number in range(500):
        put(store, b"k%d" % number, b"before" * number)
    await store.durable()
    with Export(tmp_path / "kv" / DATABASE_NAME) as export:
        for number in range(500):
            put(store, b"k%d" % number, b"after")
        store.stage_compaction(600)
        store.stage_cleaning([revision << SHIFT for revision in range(2, 400)], finished=600)
        await store.durable()
        (tmp_path / "file").write_bytes(b"".join(export.pieces()))
        assert export.revision == 501
    found = keys_of(tmp_path / "file")
    assert [kv.mod_revision for _, kv in found] == list(range(2, 502))
    assert {kv.value for _, kv in found} == {b"before" * number for number in range(500)}
    await store.close()


async def test_a_deletion_is_a_key_alone_under_a_marked_revision(tmp_path: Path) -> None:
    store = Store(Storage(tmp_path / "kv"), SystemClock())
    put(store, b"a", b"1")
    delete(store, b"a")
    await store.durable()
    await store.close()
    exported(tmp_path / "kv", tmp_path / "file")
    assert keys_of(tmp_path / "file") == [
        (
            b"\0\0\0\0\0\0\0\2_\0\0\0\0\0\0\0\0",
            kv_pb2.KeyValue(key=b"a", value=b"1", create_revision=2, mod_revision=2, version=1),
        ),
        (b"\0\0\0\0\0\0\0\3_\0\0\0\0\0\0\0\0t", kv_pb2.KeyValue(key=b"a")),
    ]


@pytest.mark.parametrize("length", [1, 126, 127, 128, 129, 16_383, 16_384, 2_100_000])
async def test_deletions_of_keys_of_any_length_have_the_length_that_was_planned(
    tmp_path: Path, length: int
) -> None:
    store = Store(Storage(tmp_path / "kv"), SystemClock())
    put(store, b"k" * length, b"")
    delete(store, b"k" * length)
    await store.durable()
    await store.close()
    exported(tmp_path / "kv", tmp_path / "file")
    assert keys_of(tmp_path / "file")[1][1].key == b"k" * length


async def test_what_an_export_holds_in_memory_does_not_grow_with_the_store(tmp_path: Path) -> None:
    store = Store(Storage(tmp_path / "kv"), SystemClock())
    for number in range(20_000):
        put(store, b"k%d" % (number % 100), os.urandom(1_000))
    await store.durable()
    await store.close()
    tracemalloc.start()
    size = 0
    try:
        with Export(tmp_path / "kv" / DATABASE_NAME) as export:
            for piece in export.pieces():
                size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 20_000_000
    assert peak < 4_000_000


async def test_damage_does_not_travel_into_a_snapshot(tmp_path: Path) -> None:
    store = Store(Storage(tmp_path / "kv"), SystemClock())
    put(store, b"a", b"right")
    await store.durable()
    await store.close()
    with closing(sqlite3.connect(tmp_path / "kv" / DATABASE_NAME, isolation_level=None)) as file:
        file.execute("update log set record = replace(record, 'right', 'wrong')")
    with pytest.raises(SnapshotError, match="change 0 of revision 2, key b'a', does not match"):
        exported(tmp_path / "kv", tmp_path / "file")


async def test_a_store_is_restored_with_leases_buckets_and_compactions(tmp_path: Path) -> None:
    store = Store(Storage(tmp_path / "kv"), SystemClock())
    leases = [1, 2**62, -5, -(2**63)]
    for number, lease in enumerate(leases):
        store.stage_lease(lease, 100 + number)
    await store.durable()
    put(store, b"leased", b"x", lease=-5)
    store.stage_bucket("authUsers", b"root", b"\x00\xff")
    store.stage_bucket("auth", b"enabled", b"")
    store.stage_compaction(2)
    store.stage_cleaning([], finished=2)
    await store.durable()
    identity = store.storage.cluster_id
    await store.close()
    exported(tmp_path / "kv", tmp_path / "file")
    done = restore(tmp_path / "file", tmp_path / "back", skip_hash_check=True)
    assert (done.revision, done.compact_revision, done.keys) == (2, 2, 1)
    assert (done.leases, done.orphans) == (4, 0)
    storage = Storage(tmp_path / "back")
    assert sorted(storage.load_leases()) == sorted((o, 100 + n) for n, o in enumerate(leases))
    assert storage.load_bucket("authUsers") == {b"root": b"\x00\xff"}
    # The second an etcd has from the first moment on.
    auth = {b"enabled": b"", b"authRevision": (1).to_bytes(8, "big")}
    assert storage.load_bucket("auth") == auth
    assert (storage.scheduled_compaction, storage.finished_compaction) == (2, 2)
    # Whoever pinned the other cluster is to see that this is not it.
    assert storage.cluster_id != identity
    storage.close()
    assert check(tmp_path / "back").findings == []


def row(
    main: int, key: bytes = b"k", *, sub: int = 0, create: int = 0, version: int = 1, lease: int = 0
) -> tuple[bytes, bytes]:
    kv = kv_pb2.KeyValue(
        key=key,
        value=b"v",
        create_revision=create or main,
        mod_revision=main,
        version=version,
        lease=lease,
    )
    return etcd.pack_revision(main, sub), kv.SerializeToString()


def snapshot_of(path: Path, *rows: tuple[bytes, bytes], **buckets: dict[bytes, bytes]) -> Path:
    content = {b"meta": {}, b"key": dict(rows)}
    content |= {name.encode(): entries for name, entries in buckets.items()}
    layout = Layout([Bucket.of(name, entries) for name, entries in content.items()])
    path.write_bytes(b"".join(layout.write()))
    return path


COMPACTED = {etcd.FINISHED_COMPACTION: etcd.pack_revision(5, 0)}
LEASE = LeaseRecord(id=7, ttl=60)

REFUSED = {
    "a key that is no revision": ([(b"nonsense", b"")], {}, "no revision"),
    "a revision out of range": ([row(1 << 50)], {}, "out of range"),
    "a value that is no KeyValue": ([(etcd.pack_revision(2, 0), b"\xff")], {}, "no KeyValue"),
    "a key of no name": ([row(2, b"")], {}, "record is of key"),
    "another revision": ([(etcd.pack_revision(2, 0), row(3)[1])], {}, "record is of revision 3"),
    "a revision left out": ([row(2), row(4, b"b")], {}, "of 3, .* nothing is there"),
    "a change left out": ([row(2), row(2, b"b", sub=2)], {}, "change 1 of its revision is missing"),
    "a version left out": ([row(2), row(3, create=2, version=3)], {}, "it is version 3"),
    "another creation": ([row(2), row(3, create=3, version=2)], {}, "created at 3"),
    "a put that came from nowhere": ([row(2, create=1, version=9)], {}, "it is version 9"),
    "a deletion of nothing": ([(etcd.revision_key(2 << SHIFT | TOMBSTONE), b"\x0a\x01k")], {},
                              "deletes a key that is not there"),
    "a lease under another id": ([], {"lease": {LEASE.key[::-1]: LEASE.pack()}}, "stands under"),
    "a lease that is none": ([], {"lease": {LEASE.key: b"\xff\xff"}}, "no lease"),
    "a lease of no time": ([], {"lease": {LEASE.key: b"\x08\x07"}}, "TTL of 0 s"),
    "a compaction that is none": ([], {"meta": {etcd.FINISHED_COMPACTION: b"x"}}, "no revision"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "buckets", "text"), REFUSED.values(), ids=REFUSED)
def test_a_snapshot_that_makes_no_sense_is_refused_and_leaves_nothing(
    tmp_path: Path,
    rows: list[tuple[bytes, bytes]],
    buckets: dict[str, dict[bytes, bytes]],
    text: str,
) -> None:
    file = snapshot_of(tmp_path / "file", *rows, **buckets)
    with pytest.raises(SnapshotError, match=text):
        restore(file, tmp_path / "kv", skip_hash_check=True)
    assert not (tmp_path / "kv").exists()
    (tmp_path / "kv").mkdir()
    with pytest.raises(SnapshotError, match=text):
        restore(file, tmp_path / "kv", skip_hash_check=True)
    assert not (tmp_path / "kv" / DATABASE_NAME).exists()


def test_what_etcd_leaves_of_a_compaction_is_taken(tmp_path: Path) -> None:
    # The oldest of each key up to the compaction are gone, and revisions with them; etcdutl raises
    # a revision by a row without a value.
    rows = [row(3, b"b", create=2, version=2), (etcd.pack_revision(5, 0), b""), row(6, b"c")]
    file = snapshot_of(tmp_path / "file", *rows, meta=COMPACTED)
    done = restore(file, tmp_path / "kv", skip_hash_check=True)
    assert (done.revision, done.compact_revision, done.keys) == (6, 5, 2)
    assert check(tmp_path / "kv").findings == []


def test_keys_of_a_lease_that_is_gone_are_taken_and_counted(tmp_path: Path) -> None:
    file = snapshot_of(tmp_path / "file", row(2, lease=9), row(3, b"b", lease=7),
                       lease={LEASE.key: LEASE.pack()})  # fmt: skip
    assert restore(file, tmp_path / "kv", skip_hash_check=True).orphans == 1
    assert check(tmp_path / "kv").findings == ["key b'k': its lease 9 is not there"]


def test_a_directory_in_use_or_with_something_in_it_is_refused(tmp_path: Path) -> None:
    file = snapshot_of(tmp_path / "file")
    storage = Storage(tmp_path / "used")
    with pytest.raises(C101Error, match="is not empty"):
        restore(file, tmp_path / "used", skip_hash_check=True)
    storage.close()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter").write_text("dear")
    with pytest.raises(SnapshotError, match="is not empty"):
        restore(file, tmp_path / "other", skip_hash_check=True)
    assert (tmp_path / "other" / "letter").read_text() == "dear"
    empty = tmp_path / "empty"
    empty.mkdir()
    with lock_directory(empty), pytest.raises(ConfigError, match="in use"):
        restore(file, empty, skip_hash_check=True)
    # What a restore that was killed left behind is no reason.
    (empty / "kv.db.part").write_bytes(b"half of it")
    assert restore(file, empty, skip_hash_check=True).revision == 1
    assert check(empty).compact_revision == NEVER_COMPACTED


def test_a_file_gets_its_name_when_it_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with contextlib.suppress(KeyboardInterrupt), whole_file(path) as out:
        out.write(b"half")
        assert not path.exists()
        raise KeyboardInterrupt

    def refuse(partial: Path) -> None:
        assert partial.read_bytes() == b"whole"
        raise SnapshotError("not like that")

    with pytest.raises(SnapshotError, match="not like that"), whole_file(path, refuse) as out:
        out.write(b"whole")
    assert list(tmp_path.iterdir()) == []
    with whole_file(path) as out:
        out.write(b"whole")
    assert path.read_bytes() == b"whole"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SnapshotError, match="exists"), whole_file(path):
        pass
    with pytest.raises(SnapshotError, match="No such file"), whole_file(tmp_path / "no" / "file"):
        pass


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_crc32c_is_castagnolis_however_it_is_cut_up(data: bytes, checksum: int) -> None:
    for size in (1, 3, 100):
        found = Crc32c()
        for first in range(0, len(data), size):
            found.update(data[first : first + size])
        assert found.digest() == checksum
    long = Crc32c()
    long.update(data * 100_000)
    pieces = Crc32c()
    for _ in range(1_000):
        pieces.update(data * 100)
    assert long.digest() == pieces.digest()


async def test_an_export_that_is_given_up_lets_go_of_the_log(tmp_path: Path) -> None:
    store = Store(Storage(tmp_path / "kv"), SystemClock())
    for number in range(2_000):
        put(store, b"k%d" % number, bytes(500))
    await store.durable()
    export = Export(tmp_path / "kv" / DATABASE_NAME)
    pieces = export.pieces()
    assert len(next(pieces)) > 0
    export.close()
    await asyncio.wait_for(store.defragment(), 20)
    busy, _, _ = store.storage.writer.execute("pragma wal_checkpoint(truncate)").fetchone()
    assert busy == 0
    await store.close()
