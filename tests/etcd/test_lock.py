"""Locks: one at a time, in order, fenced."""

import asyncio

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.errors import LockLostError
from c101.core.etcd.txn import Put


async def test_only_one_holds_a_lock_at_a_time(client: Client, prefix: str) -> None:
    inside = 0
    most = 0
    revisions: list[int] = []

    async def work() -> None:
        nonlocal inside, most
        async with client.lock(prefix, 5) as lock:
            inside += 1
            most = max(most, inside)
            revisions.append(lock.revision)
            await asyncio.sleep(0.01)
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(work())
    assert most == 1
    assert len(revisions) == 8
    assert revisions == sorted(revisions), "first come, first served; the revision only grows"
    assert (await client.get_prefix(prefix)).count == 0


async def test_one_who_gives_up_waiting_does_not_hold_up_the_others(
    client: Client, prefix: str
) -> None:
    async with client.lock(prefix, 5):
        impatient = asyncio.create_task(hold(client, prefix))
        await queued(client, prefix, 2)
        patient = asyncio.create_task(hold(client, prefix))
        await queued(client, prefix, 3)
        impatient.cancel()
        await queued(client, prefix, 2)
    async with asyncio.timeout(5):
        await patient
    assert impatient.cancelled()


async def test_a_lock_fences_a_transaction(client: Client, prefix: str) -> None:
    async with client.lock(prefix, 5) as lock:
        held = await client.transaction(compare=[lock.held()], success=[Put(prefix + "x", "1")])
        assert held.succeeded
    late = await client.transaction(compare=[lock.held()], success=[Put(prefix + "x", "2")])
    assert not late.succeeded


async def test_waiting_ends_when_the_lease_under_the_wait_ends(client: Client, prefix: str) -> None:
    async with client.lock(prefix, 5):
        waiting = asyncio.create_task(hold(client, prefix))
        keys = await queued(client, prefix, 2)
        await client.revoke_lease(int(keys[1].rpartition(b"/")[2], 16))
        async with asyncio.timeout(5):
            with pytest.raises(LockLostError):
                await waiting


async def hold(client: Client, name: str) -> None:
    async with client.lock(name, 1.5):
        pass


async def queued(client: Client, prefix: str, count: int) -> list[bytes]:
    """Return the keys in the queue, oldest first, once there are *count*."""
    async with asyncio.timeout(5):
        while True:
            found = await client.get_prefix(prefix)
            if found.count == count:
                kvs = sorted(found.kvs, key=lambda kv: kv.create_revision)
                return [kv.key for kv in kvs]
            await asyncio.sleep(0.005)
