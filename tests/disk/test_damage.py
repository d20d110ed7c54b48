"""A damaged data directory is refused with its name, or what is served is what was acknowledged."""

import asyncio
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest

from c101.core.clock import SystemClock
from c101.core.kv import storage
from c101.core.kv.compactor import Compactor
from c101.core.kv.schema import PAGE_BYTES
from c101.core.kv.storage import LogRow, Storage, StorageError
from c101.core.kv.store import Store
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import Code, RpcError
from tests.disk.work import SMALL_LOG, Dump, Work, dump
from tests.kvserver.processes import Ours, WatchStream

STEPS = 60
DATABASE, LOG = "kv.db", "kv.db-wal"


@dataclass(frozen=True, kw_only=True)
class Left:
    """A data directory that was left, and what it showed; *seen* has all that it ever showed."""

    directory: Path
    rows: list[LogRow]
    seen: list[Dump]

    @property
    def last(self) -> Dump:
        return self.seen[-1]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory in memory where there is one, and logs of a size to be damaged everywhere."""
    for name, value in SMALL_LOG.items():
        monkeypatch.setattr(storage, name, value)
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as directory:
        yield Path(directory)


async def leave(directory: Path, *, seed: int, orderly: bool) -> Left:
    """Work in *directory*, and leave it in order or as a kill does."""
    working = directory / "working"
    store = Store(Storage(working), SystemClock())
    compactor = Compactor(store, SystemClock())
    running = asyncio.create_task(compactor.run())
    # None fills a page by itself: what is in such a page nobody could check.
    work = Work(store, compactor, random.Random(seed), value_bytes=(1, 200, 3_000))
    seen = [dump(store)]
    for _ in range(STEPS):
        await work.next()()
        seen.append(dump(store))
    await compactor.finished(store.compact_revision)
    await store.durable()
    rows = store.storage.scan(0, 1 << 62, 1 << 30)
    seen.append(dump(store))
    left = directory / "left"
    if not orderly:
        shutil.copytree(working, left)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await store.close()
    if orderly:
        shutil.copytree(working, left)
    return Left(directory=left, rows=rows, seen=seen)


async def outcome(left: Left, damage: Callable[[Path], None], allowed: list[Dump]) -> str:
    """Damage a copy and open it; return how it was refused, empty when what is served is right."""
    with TemporaryDirectory(dir=left.directory.parent) as directory:
        copy = Path(directory, "kv")
        shutil.copytree(left.directory, copy)
        damage(copy)
        try:
            store = Store(Storage(copy), SystemClock())
            try:
                assert dump(store) in allowed
            finally:
                await store.close()
        except StorageError as exc:
            refused = str(exc)
        else:
            return ""
        assert str(copy / DATABASE) in refused
        return refused


def page_count(left: Left) -> int:
    return (left.directory / DATABASE).stat().st_size // PAGE_BYTES


def overwrite(name: str, offset: int, content: bytes) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        with (directory / name).open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return damage


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda directory: os.truncate(directory / name, size)


async def test_a_database_cut_off_anywhere_is_refused(memory: Path) -> None:
    left = await leave(memory, seed=1, orderly=True)
    for pages in range(page_count(left)):
        for size in (pages * PAGE_BYTES, pages * PAGE_BYTES + 100):
            assert await outcome(left, cut(DATABASE, size), []), size


async def test_a_database_that_is_gone_empty_or_garbage_is_refused(memory: Path) -> None:
    left = await leave(memory, seed=1, orderly=True)
    noise = random.Random(1).randbytes(page_count(left) * PAGE_BYTES)
    assert "gone or empty" in await outcome(left, lambda at: (at / DATABASE).unlink(), [])
    assert "gone or empty" in await outcome(left, cut(DATABASE, 0), [])
    assert "not a database" in await outcome(left, overwrite(DATABASE, 0, noise), [])
    assert await outcome(left, overwrite(DATABASE, 100, noise), [])


async def test_a_page_of_zeros_is_refused_or_held_nothing(memory: Path) -> None:
    left = await leave(memory, seed=1, orderly=True)
    refused = 0
    for page in range(page_count(left)):
        damage = overwrite(DATABASE, page * PAGE_BYTES, bytes(PAGE_BYTES))
        refused += bool(await outcome(left, damage, [left.last]))
    assert refused > page_count(left) // 3


async def test_a_log_that_is_gone_is_missed_only_where_it_held_something(memory: Path) -> None:
    left = await leave(memory, seed=2, orderly=False)
    assert "its log is gone" in await outcome(left, lambda at: (at / LOG).unlink(), [])
    other = await leave(memory / "other", seed=2, orderly=True)
    assert not (other.directory / LOG).exists()
    assert not await outcome(other, lambda _: None, [other.last])


async def test_the_log_or_the_database_of_another_is_refused(memory: Path) -> None:
    left = await leave(memory / "ours", seed=3, orderly=False)
    other = await leave(memory / "theirs", seed=4, orderly=False)

    def take(name: str) -> Callable[[Path], None]:
        def damage(directory: Path) -> None:
            shutil.copy(other.directory / name, directory / name)

        return damage

    assert "log is that of another database" in await outcome(left, take(LOG), [])
    assert await outcome(left, take(DATABASE), [])

    def take_both(directory: Path) -> None:
        take(DATABASE)(directory)
        take(LOG)(directory)

    assert await outcome(left, take_both, [])
    orderly = await leave(memory / "orderly", seed=5, orderly=True)
    refused = await outcome(left, lambda at: _replace(at, orderly), [])
    assert "another cluster" in refused


def _replace(directory: Path, left: Left) -> None:
    (directory / LOG).write_bytes(b"")
    shutil.copy(left.directory / DATABASE, directory / DATABASE)


async def test_garbage_in_the_log_takes_back_to_what_was_acknowledged_or_is_refused(
    memory: Path,
) -> None:
    left = await leave(memory, seed=6, orderly=False)
    random_ = random.Random(6)
    size = (left.directory / LOG).stat().st_size
    outcomes = set()
    for _ in range(60):
        count = random_.choice((1, 40, 5_000))
        damage = overwrite(LOG, random_.randrange(size), random_.randbytes(count))
        outcomes.add(await outcome(left, damage, left.seen) != "")
    for end in range(0, size, size // 20):
        outcomes.add(await outcome(left, cut(LOG, end), left.seen) != "")
    assert False in outcomes
    garbage = await outcome(left, overwrite(LOG, 0, b"garbage"), [])
    assert "the write-ahead log begins with no valid header" in garbage


async def test_what_another_program_took_out_of_the_log_is_missed(memory: Path) -> None:
    left = await leave(memory, seed=7, orderly=True)
    keys = [change for change, _, record in left.rows if record is not None]

    def statement(text: str, *parameters: object) -> Callable[[Path], None]:
        def damage(directory: Path) -> None:
            connection = sqlite3.connect(directory / DATABASE)
            with connection:
                connection.execute(text, parameters)
            connection.close()

        return damage

    middle, newest = keys[-10], keys[-1]
    recent = "delete from log where id >> 22 = ? >> 22"
    assert "changes are missing" in await outcome(left, statement(recent, middle), [])
    for text in (
        "update log set record = (select record from log where id = ?2) where id = ?1",
        "update log set record = substr(record, 3) where id = ?1 or id = ?2 and 0",
        "update log set record = null where id = ?1 or id = ?2 and 0",
        "update log set record = 7 where id = ?1 or id = ?2 and 0",
    ):
        assert await outcome(left, statement(text, newest, middle), []), text


async def test_damage_found_while_running_is_an_error_of_those_who_read_it(memory: Path) -> None:
    left = await leave(memory, seed=8, orderly=True)
    store = Store(Storage(left.directory), SystemClock())
    old = [change for change, _, record in left.rows if record is not None]
    overwrite(DATABASE, PAGE_BYTES, bytes((page_count(left) - 1) * PAGE_BYTES))(left.directory)
    # What the reader remembers of the file it need not read again.
    store.storage._reader.execute("pragma shrink_memory")
    for read in (
        lambda: store.storage.scan(0, 1 << 62, 1 << 30),
        lambda: store.storage.fetch_rows(old[:100]),
        lambda: store.storage.fetch_records(old[:100]),
    ):
        with pytest.raises(RpcError, match="etcdserver: corrupt cluster") as refused:
            read()
        assert refused.value.status is Code.DATA_LOSS
    assert {key: state[0] for key, state in store.index.states.items()} == left.last.states
    store._writer.close()
    store.storage.close()


def test_a_server_whose_file_is_damaged_serves_what_it_has_and_says_so_of_the_rest(
    tmp_path: Path,
) -> None:
    own = Ours(tmp_path)
    own.start()
    client = own.client()
    first = client.put(b"k", b"1").header.revision
    for number in range(200):
        # More than the reader of old revisions remembers.
        client.put(b"k", b"%06d" % number + bytes(50_000))
    # From the log into the file.
    defragment = rpc_pb2.DefragmentRequest()
    client.call("Maintenance/Defragment", defragment, rpc_pb2.DefragmentResponse)
    database = tmp_path / "kv" / DATABASE
    size = database.stat().st_size
    overwrite(DATABASE, PAGE_BYTES, bytes(size - PAGE_BYTES))(database.parent)

    def read_all() -> None:
        for revision in range(first, client.revision):
            client.get(b"k", revision=revision)

    with pytest.raises(grpc.RpcError, match="etcdserver: corrupt cluster") as refused:
        read_all()
    assert refused.value.code() is grpc.StatusCode.DATA_LOSS
    watch = WatchStream(client)
    watch.create(key=b"k", start_revision=first)
    assert watch.ended() is grpc.StatusCode.DATA_LOSS
    watch.close()
    assert client.get(b"k").kvs[0].value.startswith(b"000199")
    client.close()
    own.kill()
