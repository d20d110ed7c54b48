"""Parts of long work beside commits: they wait for the one that is on its way, and not for ever."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from c101.core.kv import patience, write
from c101.core.kv.patience import Patience
from c101.core.kv.reads import Reads
from c101.core.kv.store import Store
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import RpcError

#: Longer than any test: only the end of a commit ends the waiting.
FOR_EVER = 3_600.0


@contextmanager
def no_commits(store: Store) -> Iterator[None]:
    """Let no commit of *store* come to its end: another one has the database."""
    other = sqlite3.connect(store.storage.path, isolation_level=None)
    try:
        other.execute("begin immediate")
        yield
        other.execute("rollback")
    finally:
        other.close()


@pytest.fixture
async def waiting(store: Store) -> Patience:
    store.storage.writer.execute("pragma busy_timeout = 60000")
    return Patience(asyncio.get_running_loop(), store)


def put(store: Store) -> None:
    write.put(store, rpc_pb2.PutRequest(key=b"k", value=b"v"))


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_without_commits_a_part_is_done_in_the_next_turn(waiting: Patience) -> None:
    done: list[int] = []
    waiting.put_off(lambda: done.append(1))
    assert not done
    await turns(1)
    assert done == [1]


async def test_a_part_waits_for_a_commit_that_began_before_its_turn(
    store: Store, waiting: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", FOR_EVER)
    done: list[int] = []
    with no_commits(store):
        # Behind the part in this very turn: what was read last may be a put.
        waiting.put_off(lambda: done.append(1))
        put(store)
        durable = store.durable()
        waiting.put_off(lambda: done.append(2))
        await asyncio.sleep(0.05)
        assert store.committing
        assert not done
    await durable
    await turns(1)
    assert done == [1, 2]


async def test_a_commit_that_takes_long_is_not_waited_for(store: Store, waiting: Patience) -> None:
    done = asyncio.Event()
    with no_commits(store):
        put(store)
        durable = store.durable()
        for _ in range(3):
            done.clear()
            waiting.put_off(done.set)
            await done.wait()
        assert store.committing
    await durable


async def test_commits_without_end_leave_a_part_each(
    store: Store, waiting: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", FOR_EVER)
    parts = commits = 0

    def part() -> None:
        nonlocal parts
        parts += 1
        waiting.put_off(part)

    put(store)
    waiting.put_off(part)
    while parts < 20:
        put(store)
        await store.durable()
        commits += 1
    assert commits <= 2 * parts


async def test_a_commit_that_fails_is_over_too(
    store: Store, waiting: Patience, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", FOR_EVER)
    done = asyncio.Event()
    store.storage.writer.close()
    put(store)
    durable = store.durable()
    waiting.put_off(done.set)
    with pytest.raises(RpcError, match="storage failed"):
        await durable
    await done.wait()


async def test_long_reads_go_on_between_commits_and_are_given_up_while_they_wait(
    store: Store, reads: Reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", FOR_EVER)
    store.storage.writer.execute("pragma busy_timeout = 60000")
    for number in range(2_000):
        write.put(store, rpc_pb2.PutRequest(key=b"k%04d" % number))
    await store.durable()
    answers: list[list[bytes] | RpcError] = []
    request = rpc_pb2.RangeRequest(key=b"k", range_end=b"l")
    with no_commits(store):
        put(store)
        durable = store.durable()
        await turns(1)
        reads.range(request, answers.append, lambda: False)
        await asyncio.sleep(0.05)
        assert [reads.running, len(answers)] == [True, 0]
        reads.close()
        assert [reads.running, len(answers)] == [False, 0]
    await durable
    await turns(3)
    assert not answers
    reads.range(request, answers.append, lambda: False)
    while not answers:
        put(store)
        await store.durable()
    assert isinstance(answers[0], list)
    assert rpc_pb2.RangeResponse.FromString(b"".join(answers[0])).count == 2_001
