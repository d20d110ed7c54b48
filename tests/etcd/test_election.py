"""Elections: one leads, says something, and everyone may know both."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.election import Leadership
from c101.core.etcd.errors import LockLostError
from c101.core.etcd.txn import Put
from tests.etcd.conftest import client_of
from tests.etcd.test_lock import queued
from tests.processes import KVProcess


async def test_candidates_lead_in_the_order_they_came(client: Client, prefix: str) -> None:
    led: list[str] = []

    async def candidate(name: str) -> None:
        async with client.election(prefix).campaign(name, 5) as leadership:
            led.append(name)
            leader = await client.election(prefix).leader()
            assert leader is not None
            assert (leader.key, leader.value) == (leadership.key, name.encode())

    async with asyncio.TaskGroup() as group, client.election(prefix).campaign("a", 5):
        for count, name in enumerate("bcd", start=2):
            group.create_task(candidate(name))
            await queued(client, prefix, count)
    assert led == ["b", "c", "d"]
    assert await client.election(prefix).leader() is None


async def test_whoever_looks_on_sees_leaders_come_speak_and_go(client: Client, prefix: str) -> None:
    election = client.election(prefix)
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def look_on() -> None:
        async for leader in election.observe():
            seen.put_nowait(leader.value.decode())

    looking = asyncio.create_task(look_on())
    async with asyncio.timeout(20):
        async with election.campaign("a", 5) as first:
            assert await seen.get() == "a"
            await first.proclaim("a, busy")
            assert await seen.get() == "a, busy"
            second = asyncio.create_task(lead(client, prefix, "b"))
            await queued(client, prefix, 2)
            assert seen.empty(), "of those who wait nothing is heard"
        assert await seen.get() == "b"
        await second
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking


async def lead(client: Client, name: str, value: str) -> None:
    async with client.election(name).campaign(value, 5):
        await asyncio.sleep(0.2)


async def test_an_onlooker_that_came_too_late_for_the_history_goes_on(
    own_server: KVProcess,
) -> None:
    async with client_of(own_server) as client:
        election = client.election("/e")
        watcher = election.observe()
        async with election.campaign("a", 5) as leadership:
            assert (await anext(watcher)).value == b"a"
            for number in range(10):
                await leadership.proclaim(f"a{number}")
            written = await client.put("/other", "x")
            await client.compact(written.revision)
            async with asyncio.timeout(10):
                assert (await anext(watcher)).value == b"a9"
        await watcher.aclose()  # type: ignore[attr-defined]


async def test_who_resigned_or_lost_its_lease_cannot_speak_as_leader(
    client: Client, prefix: str
) -> None:
    async with client.election(prefix).campaign("a", 5) as first:
        await first.resign()
        await first.resign()
        async with client.election(prefix).campaign("b", 5) as second:
            assert second.revision > first.revision
            with pytest.raises(LockLostError):
                await first.proclaim("still me")
            fenced = await client.transaction(
                compare=[first.held()], success=[Put(prefix + "x", "1")]
            )
            assert not fenced.succeeded
            await client.revoke_lease(int(second.key.rpartition(b"/")[2], 16))
            with pytest.raises(LockLostError):
                await second.proclaim("me")
            async with asyncio.timeout(10):
                await second.lost.wait()


async def test_one_lease_carries_several_leaderships_and_gives_up_each_alone(
    client: Client, prefix: str
) -> None:
    async with client.held_lease(5) as lease:
        async with (
            client.election(prefix + "a").campaign("x", lease=lease),
            client.election(prefix + "b").campaign("x", lease=lease) as other,
        ):
            assert (await client.get_prefix(prefix)).count == 2
            await other.resign()
            assert (await client.get_prefix(prefix)).count == 1
        assert (await client.get_prefix(prefix)).count == 0
        assert not lease.lost.is_set()


@contextlib.asynccontextmanager
async def elect(
    server: KVProcess, name: str, value: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``etcdctl elect``."""
    process = await asyncio.create_subprocess_exec(
        "etcdctl", f"--endpoints={server.url}", "elect", name, value,
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def test_etcdctl_and_we_stand_in_the_same_election(
    client: Client, server: KVProcess, prefix: str
) -> None:
    async with elect(server, prefix, "theirs") as process:
        await queued(client, prefix, 1)
        leader = await client.election(prefix).leader()
        assert leader is not None
        assert leader.value == b"theirs"
        entering = asyncio.create_task(entered(client, prefix))
        await queued(client, prefix, 2)
        assert not entering.done()
        # etcdctl resigns when it is told to end.
        process.terminate()
        async with asyncio.timeout(20):
            await process.wait()
            leadership = await entering
        assert leadership.revision > leader.create_revision
        await leadership.resign()


async def entered(client: Client, name: str) -> Leadership:
    return await client.election(name).campaign("ours", 5).__aenter__()
