"""No request of many keys is handled in one turn of the loop, and nobody sees half of one.

A turn is what happens between two waits of the loop. What is counted is not time but work: every
key that a request touches is looked up, staged, merged, encoded or sent, and how many of those are
done between two turns is what the maxima here bound.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from c101.core.clock import SystemClock
from c101.core.kv import write
from c101.core.kv.reads import Reads
from c101.core.kv.record import Change, State
from c101.core.kv.storage import Storage
from c101.core.kv.store import CHANGES_PER_STEP, Store
from c101.core.kv.watch import CatchUp
from c101.core.kv.watcher import Watcher
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import RpcError
from tests.kv.conftest import HurriedClock
from tests.kv.test_store_model import Sink

KEYS = 6_000
LEASE = 7
#: A step looks at a few hundred keys; a turn has one step of each thing that is going on.
KEYS_PER_TURN_MAX = 1_200


def key(number: int) -> bytes:
    return b"k%06d" % number


def drain(steps: Generator[None, None, object]) -> int:
    """Return in how many steps they are done."""
    count = 1
    while True:
        try:
            next(steps)
        except StopIteration:
            return count
        count += 1


@pytest.fixture
async def full(tmp_path: Path) -> AsyncIterator[Store]:
    """A store of many keys, all on one lease."""
    store = Store(Storage(tmp_path / "kv"), SystemClock())
    store.stage_lease(LEASE, 3600)
    for number in range(KEYS):
        request = rpc_pb2.PutRequest(key=key(number), value=b"v" * 100, lease=LEASE)
        write.put(store, request)
    await store.durable()
    yield store
    await store.close()


async def perform(store: Store, steps: Generator[None, None, list[bytes]]) -> bytes:
    """Do a write and wait until it is durable and told to everybody."""
    done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def staged(result: list[bytes] | RpcError) -> None:
        assert isinstance(result, list)
        store.durable().add_done_callback(lambda _: done.set_result(b"".join(result)))

    store.gate.perform(steps, staged)
    answer = await done
    await delivered(store)
    return answer


async def delivered(store: Store) -> None:
    """Wait until all that is durable is merged and told to every watch."""
    while store.merging or store.watches.delivered_revision < store.revision:
        await asyncio.sleep(0)


def deletion(store: Store, **options: Any) -> Generator[None, None, list[bytes]]:
    request = rpc_pb2.DeleteRangeRequest(key=b"k", range_end=b"l", **options)
    return write.delete_range(store, request)


WRITES: dict[str, Callable[[Store], Generator[None, None, list[bytes]]]] = {
    "delete": deletion,
    "delete and return": lambda store: deletion(store, prev_kv=True),
    "revoke": lambda store: write.revoke(store, LEASE),
}


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_of_many_keys_is_staged_and_merged_some_hundred_at_a_time(
    full: Store, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched = most = 0
    apply, stage = full.index.apply, full.stage_delete

    def counted_apply(change: Change) -> State | None:
        nonlocal touched
        touched += 1
        return apply(change)

    def counted_stage(change: int, key: bytes) -> None:
        nonlocal touched
        touched += 1
        stage(change, key)

    async def count() -> None:
        nonlocal touched, most
        while True:
            most = max(most, touched)
            touched = 0
            await asyncio.sleep(0)

    monkeypatch.setattr(full.index, "apply", counted_apply)
    monkeypatch.setattr(full, "stage_delete", counted_stage)
    sink = Sink()
    full.watches.add(Watcher(sink, 1, (b"k", b"l"), full.revision + 1))
    counting = asyncio.create_task(count())
    await perform(full, WRITES[name](full))
    counting.cancel()
    await asyncio.gather(counting, return_exceptions=True)
    assert 0 < most <= KEYS_PER_TURN_MAX
    assert [len(response.events) for response in sink.responses] == [KEYS]
    assert not full.index.living
    assert not full.staged


RANGES: dict[str, dict[str, Any]] = {
    "all": {},
    "keys only": {"keys_only": True},
    "by value": {"sort_target": 4, "sort_order": 1},
    "old": {"revision": KEYS + 1},
    "old, counted": {"revision": KEYS + 1, "count_only": True},
}


@pytest.mark.parametrize("name", RANGES)
async def test_a_range_of_many_keys_can_be_interrupted_every_few_hundred(
    full: Store, name: str
) -> None:
    write.put(full, rpc_pb2.PutRequest(key=b"z"))
    await full.durable()
    # Time passes at each look at the clock: the read pauses wherever it would after a while.
    reads = Reads(full, HurriedClock())
    answers: list[list[bytes] | RpcError] = []
    pauses = 0
    request = rpc_pb2.RangeRequest(key=b"k", range_end=b"l", **RANGES[name])
    reads.range(request, answers.append, lambda: False)
    while not answers:
        pauses += 1
        await asyncio.sleep(0)
    assert pauses > KEYS / KEYS_PER_TURN_MAX
    assert isinstance(answers[0], list)
    assert max(map(len, answers[0])) < 1 << 20
    assert rpc_pb2.RangeResponse.FromString(b"".join(answers[0])).count == KEYS


async def test_a_revision_of_many_changes_is_caught_up_in_steps_and_sent_whole(
    full: Store,
) -> None:
    start = full.revision + 1
    await perform(full, deletion(full))
    sink = Sink()
    watcher = Watcher(sink, 1, (b"k", b"l"), start)
    steps = 1
    while full.watches.catch_up(watcher) is not CatchUp.SYNCED:
        steps += 1
        assert not sink.responses
    full.watches.remove(watcher)
    assert steps > KEYS / KEYS_PER_TURN_MAX
    assert [len(response.events) for response in sink.responses] == [KEYS]


async def test_readers_see_all_of_a_merge_or_nothing(full: Store) -> None:
    before = full.revision
    reads = Reads(full, SystemClock())
    request = rpc_pb2.RangeRequest(key=b"k", range_end=b"l", count_only=True)
    found: list[tuple[int, int]] = []

    def look() -> None:
        revision = full.revision

        def counted(body: list[bytes] | RpcError) -> None:
            assert isinstance(body, list)
            found.append((revision, rpc_pb2.RangeResponse.FromString(b"".join(body)).count))

        reads.range(request, counted, lambda: False)

    merging = 0
    deleting = asyncio.create_task(perform(full, deletion(full)))
    while not deleting.done():
        await asyncio.sleep(0)
        if full.index.merging:
            merging += 1
            assert full.index.state_before(key(0), (full.revision + 1) << 22) is not None
            if merging % 10 == 0:
                look()
    look()
    while len(found) < merging // 10 + 1:
        await asyncio.sleep(0)
    assert merging >= KEYS // CHANGES_PER_STEP - 1
    assert set(found) == {(before, KEYS), (before + 1, 0)}


async def test_writes_wait_for_one_that_takes_many_turns_and_see_all_of_it(full: Store) -> None:
    order: list[str] = []
    revision = full.staged_revision

    def staged(_: list[bytes] | RpcError) -> None:
        order.append("delete")

    def put() -> None:
        order.append("put")
        assert full.current(key(1)) is None
        write.put(full, rpc_pb2.PutRequest(key=key(1), value=b"new"))

    full.gate.perform(deletion(full), staged)
    assert full.gate.staging
    full.gate.wait(put)
    full.gate.perform(deletion(full, prev_kv=True), staged)
    while full.gate.closed:
        assert full.revision == revision
        await asyncio.sleep(0)
    assert order == ["delete", "put", "delete"]
    await full.durable()
    assert full.revision == revision + 3
    assert not full.index.living


async def test_a_commit_that_fails_takes_the_write_that_was_being_staged_with_it(
    full: Store,
) -> None:
    errors: list[object] = []
    full.storage.writer.close()
    write.put(full, rpc_pb2.PutRequest(key=b"a"))
    failing = full.durable()
    await asyncio.sleep(0)

    def half_staged() -> Generator[None, None, list[bytes]]:
        steps = deletion(full)
        next(steps)
        # Whenever the writer's thread fails, it is heard of between two steps.
        while not failing.done():
            yield
        return (yield from steps)

    full.gate.perform(half_staged(), errors.append)
    with pytest.raises(RpcError, match="storage failed"):
        await failing
    while full.gate.closed:
        await asyncio.sleep(0)
    assert isinstance(errors[0], RpcError)
    assert not full.staged
    assert len(full.index.living) == KEYS


async def test_closing_lets_a_write_that_is_being_staged_through(full: Store) -> None:
    def durable(_: list[bytes] | RpcError) -> None:
        full.durable()

    full.gate.perform(deletion(full), durable)
    assert full.gate.staging
    await full.close()
    assert not full.index.living


async def test_a_lease_of_many_keys_is_found_in_steps(full: Store) -> None:
    assert drain(write.in_order(full.lessor.attached(LEASE), lambda _: True)) > 10
