"""Very many leases: listed, ended and merged in turns."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from c101.core.kv import write
from c101.core.kv.lessor import EXPIRIES_PER_PASS_MAX, Lease, Lessor
from c101.core.kv.storage import Storage
from c101.core.kv.store import CHANGES_PER_STEP, Store
from c101.core.kv.write import KEYS_PER_STEP, LEASES_PER_STEP
from c101.core.kvserver.context import Context
from c101.core.kvserver.lease import LeaseService, end_all
from c101.core.kvserver.options import KvOptions
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import UnaryCall
from tests.turns import Turns

LEASES = 3_000
TTL_SECONDS = 100


class StandingClock:
    """Time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        del seconds
        await asyncio.sleep(0)


class Call:
    """A call, as the service sees it."""

    cancelled = False

    def __init__(self) -> None:
        self.message = b""

    def reply(self, message: bytes) -> None:
        self.message = message

    def reply_parts(self, parts: Sequence[bytes]) -> None:
        self.reply(b"".join(parts))


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def store(tmp_path: Path, clock: StandingClock) -> AsyncIterator[Store]:
    one = Store(Storage(tmp_path / "kv"), clock)
    yield one
    await one.close()


async def grant(store: Store, clock: StandingClock) -> list[int]:
    """Grant many leases, the first to end last; return their ids."""
    for lease_id in range(1, LEASES + 1):
        store.stage_lease(lease_id, TTL_SECONDS + LEASES - lease_id)
    await store.durable()
    while store.merging:
        await asyncio.sleep(0)
    del clock
    return list(range(1, LEASES + 1))


async def test_grants_of_one_commit_are_merged_in_steps(
    store: Store, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    merge = store.lessor.merge

    def counted(lease: Lease) -> None:
        turns.done += 1
        merge(lease)

    monkeypatch.setattr(store.lessor, "merge", counted)
    await grant(store, clock)
    await turns.end()
    assert 0 < turns.most <= CHANGES_PER_STEP


async def test_many_leases_are_listed_in_steps_the_next_to_end_first(
    store: Store, clock: StandingClock
) -> None:
    ids = await grant(store, clock)
    call = Call()
    LeaseService(Context.of(store, clock, KvOptions())).leases(cast("UnaryCall", call), b"")
    steps = 0
    while not call.message:
        # What ends or begins meanwhile was there, or was not, when it was asked for.
        if steps == 2:
            store.lessor.merge(store.lessor.stage(LEASES, 0))
            store.lessor.merge(store.lessor.stage(LEASES + 1, 5))
        steps += 1
        await asyncio.sleep(0)
    response = rpc_pb2.LeaseLeasesResponse.FromString(call.message)
    assert [lease.ID for lease in response.leases] == ids[::-1]
    assert steps > LEASES // 500


async def test_no_leases_are_listed_at_once(store: Store, clock: StandingClock) -> None:
    call = Call()
    LeaseService(Context.of(store, clock, KvOptions())).leases(cast("UnaryCall", call), b"")
    assert not rpc_pb2.LeaseLeasesResponse.FromString(call.message).leases


async def test_leases_that_are_over_are_ended_some_at_a_time_with_all_their_keys(
    store: Store, clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await grant(store, clock)
    for lease_id in ids[::2]:
        write.put(store, rpc_pb2.PutRequest(key=b"k%d" % lease_id, lease=lease_id))
    await store.durable()
    # Some hang on a lease, or hang on another, by what is staged only.
    write.put(store, rpc_pb2.PutRequest(key=b"staged", lease=ids[1]))
    write.put(store, rpc_pb2.PutRequest(key=b"k1"))
    turns = Turns()
    stage = store.stage_lease

    def counted(lease_id: int, ttl_seconds: int) -> None:
        turns.done += 1
        stage(lease_id, ttl_seconds)

    monkeypatch.setattr(store, "stage_lease", counted)
    await end_all(store, clock, ids[:-1])
    while store.merging:
        await asyncio.sleep(0)
    await turns.end()
    assert 0 < turns.most <= LEASES_PER_STEP
    assert list(store.index.states) == [b"k1"]
    assert [lease_id for lease_id in ids if store.lessor.committed(lease_id)] == ids[-1:]


async def test_writes_wait_for_one_large_lease_at_most(store: Store, clock: StandingClock) -> None:
    ids = await grant(store, clock)
    for lease_id in ids[:3]:
        for number in range(KEYS_PER_STEP):
            key = b"%d-%d" % (lease_id, number)
            write.put(store, rpc_pb2.PutRequest(key=key, lease=lease_id))
    await store.durable()
    while store.merging:
        await asyncio.sleep(0)
    ended: list[object] = []
    store.gate.perform(write.revoke_some(store, ids), ended.append)
    assert ended == [1]


def drain(lessor: Lessor) -> tuple[list[int], int]:
    """Return what is due, and in how many passes it was found."""
    found: list[int] = []
    passes = 0
    while lessor.next_expiry_seconds() == 0:
        some = lessor.due()
        assert len(some) <= EXPIRIES_PER_PASS_MAX
        found += some
        passes += 1
    return found, passes


def test_expiries_of_renewed_leases_are_gone_through_in_passes(clock: StandingClock) -> None:
    lessor = Lessor(clock)
    for lease_id in range(1, LEASES + 1):
        lessor.merge(lessor.stage(lease_id, TTL_SECONDS))
    clock.now += TTL_SECONDS / 2
    for lease_id in range(1, LEASES):
        lease = lessor.committed(lease_id)
        assert lease is not None
        lessor.renew(lease)
    clock.now += TTL_SECONDS / 2
    assert drain(lessor) == ([LEASES], LEASES // EXPIRIES_PER_PASS_MAX)
    assert lessor.next_expiry_seconds() == TTL_SECONDS / 2


def test_a_stall_prolongs_every_lease_also_one_granted_before_a_second_stall(
    clock: StandingClock,
) -> None:
    lessor = Lessor(clock)
    lessor.merge(lessor.stage(1, TTL_SECONDS))
    clock.now += 30
    lessor.postpone(20)
    lessor.merge(lessor.stage(2, TTL_SECONDS))
    clock.now += 10
    lessor.postpone(5)
    first, second = lessor.committed(1), lessor.committed(2)
    assert first is not None
    assert second is not None
    assert lessor.remaining_seconds(first) == TTL_SECONDS - 40 + 25
    assert lessor.remaining_seconds(second) == TTL_SECONDS - 10 + 5
    assert lessor.next_expiry_seconds() == TTL_SECONDS - 15
