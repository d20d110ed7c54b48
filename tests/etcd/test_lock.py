"""Locks: one at a time, in order, fenced."""

import asyncio

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.errors import LockHeldError, LockLostError
from c101.core.etcd.lease import HeldLease
from c101.core.etcd.txn import Put
from tests.etcd.conftest import client_of
from tests.etcd.relay import relay_to
from tests.processes import KVProcess


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


async def test_who_does_not_wait_is_told_who_holds_the_lock(client: Client, prefix: str) -> None:
    async with client.lock(prefix, 5) as lock:
        with pytest.raises(LockHeldError) as caught:
            async with client.lock(prefix, 5, wait=False):
                pytest.fail("two hold one lock")
        assert (caught.value.key, caught.value.revision) == (lock.key, lock.revision)
        assert len(await queued(client, prefix, 1)) == 1, "who gave up left the queue"
    async with client.lock(prefix, 5, wait=False) as lock:
        assert lock.revision > caught.value.revision


async def test_one_lease_holds_several_locks_and_gives_each_back_alone(
    client: Client, prefix: str
) -> None:
    async with client.held_lease(5) as lease:
        async with client.lock(prefix + "a", lease=lease) as first:
            async with client.lock(prefix + "b", lease=lease):
                assert (await client.get_prefix(prefix)).count == 2
            assert [kv.key for kv in (await client.get_prefix(prefix)).kvs] == [first.key]
            with pytest.raises(LockHeldError):
                async with client.lock(prefix + "a", wait=False):
                    pytest.fail("two hold one lock")
        assert (await client.get_prefix(prefix)).count == 0
        assert not lease.lost.is_set()


async def test_a_stalled_holder_cannot_write_over_the_next(client: Client, prefix: str) -> None:
    async with client.lock(prefix, 5) as stalled:
        await client.revoke_lease(int(stalled.key.rpartition(b"/")[2], 16))
        async with client.lock(prefix, 5) as lock:
            assert lock.revision > stalled.revision, "the fence grows"
            mine = Put(prefix + "data", "of the next")
            assert (await client.transaction(compare=[lock.held()], success=[mine])).succeeded
            late = Put(prefix + "data", "of who woke up")
            assert not (
                await client.transaction(compare=[stalled.held()], success=[late])
            ).succeeded
    found = await client.get(prefix + "data")
    assert found is not None
    assert found.value == b"of the next"


async def test_queueing_up_outlives_a_lost_answer(client: Client, server: KVProcess) -> None:
    async with (
        relay_to(server.port) as relay,
        client_of(relay) as far,
        client.held_lease(10) as lease,
    ):
        await far.get("k")
        relay.silence()
        entering = asyncio.create_task(lock_once(far, "/locks/lost answer", lease))
        await asyncio.sleep(0.05)
        relay.cut()
        relay.mend()
        async with asyncio.timeout(10):
            assert await entering > 0


async def lock_once(client: Client, name: str, lease: HeldLease) -> int:
    async with client.lock(name, lease=lease) as lock:
        return lock.revision


async def test_etcdctl_and_we_queue_up_for_the_same_lock(
    client: Client, server: KVProcess, prefix: str
) -> None:
    async with client.lock(prefix, 5):
        process = await asyncio.create_subprocess_exec(
            "etcdctl", f"--endpoints={server.url}", "lock", prefix, "echo", "locked",
            env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await queued(client, prefix, 2)
        assert process.returncode is None
    async with asyncio.timeout(20):
        output, _ = await process.communicate()
    assert output.strip() == b"locked"
