"""Many watches on one stream: each as if it were alone."""

import asyncio
import contextlib

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.errors import CompactedError, InvalidRequestError
from c101.core.etcd.watch_group import WatchEndedError, WatchGroup
from c101.core.etcd.watched import Watched
from tests.etcd.conftest import client_of
from tests.etcd.relay import relay_to
from tests.processes import KVProcess

WATCHES = 300


async def gathered(group: WatchGroup, count: int) -> dict[Watched, list[bytes]]:
    """Return the values of the next *count* events, by the watch they came from."""
    found: dict[Watched, list[bytes]] = {}
    seen = 0
    async with asyncio.timeout(30):
        while seen < count:
            watched, batch = await anext(group)
            found.setdefault(watched, []).extend(event.kv.value for event in batch.events)
            seen += len(batch.events)
    assert seen == count
    return found


async def test_hundreds_of_watches_take_one_stream_and_outlive_its_loss(
    own_server: KVProcess,
) -> None:
    async with (
        client_of(own_server, timeout_seconds=20) as client,
        client.watch_group() as group,
    ):
        watches = [await group.add(f"/k/{number}") for number in range(WATCHES)]
        every = await group.add_prefix("/k/")
        for number in range(WATCHES):
            await client.put(f"/k/{number}", f"a{number}")
        found = await gathered(group, 2 * WATCHES)
        assert [found[watched] for watched in watches] == [
            [f"a{number}".encode()] for number in range(WATCHES)
        ]
        assert found[every] == [f"a{number}".encode() for number in range(WATCHES)]
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        for number in range(WATCHES):
            await client.put(f"/k/{number}", f"b{number}")
        found = await gathered(group, 2 * WATCHES)
        assert [found[watched] for watched in watches] == [
            [f"b{number}".encode()] for number in range(WATCHES)
        ]


async def test_watches_come_and_go_while_the_consumer_waits(client: Client, prefix: str) -> None:
    async with client.watch_group() as group:
        waiting = asyncio.create_task(anext(group))
        await asyncio.sleep(0)
        first = await group.add(prefix + "a")
        await client.put(prefix + "a", "1")
        watched, _ = await waiting
        assert watched is first
        waiting = asyncio.create_task(anext(group))
        await asyncio.sleep(0)
        second = await group.add(prefix + "b")
        group.remove(first)
        await client.put(prefix + "a", "unseen")
        await client.put(prefix + "b", "1")
        async with asyncio.timeout(10):
            watched, batch = await waiting
        assert watched is second
        assert batch.events[0].kv.value == b"1"
        assert len(group) == 1


async def test_what_is_written_after_a_watch_was_added_is_seen_though_nobody_waited(
    client: Client, prefix: str
) -> None:
    async with client.watch_group() as group:
        for number in range(20):
            await group.add(f"{prefix}{number}")
            await client.put(f"{prefix}{number}", str(number))
        found = await gathered(group, 20)
    assert sorted(int(values[0]) for values in found.values()) == list(range(20))


async def test_a_link_that_breaks_again_and_again_costs_no_watch_an_event(
    server: KVProcess, client: Client, prefix: str
) -> None:
    async with (
        relay_to(server.port) as relay,
        client_of(relay) as far,
        far.watch_group() as group,
    ):
        watches = [await group.add(f"{prefix}{number}") for number in range(10)]
        collecting = asyncio.create_task(gathered(group, 200))
        for round_number in range(20):
            for number in range(10):
                await client.put(f"{prefix}{number}", str(round_number))
            if round_number % 4 == 0:
                relay.cut()
                relay.mend()
        found = await collecting
    wanted = [str(number).encode() for number in range(20)]
    assert all(found[watched] == wanted for watched in watches)


async def test_a_watch_that_is_over_ends_alone(own_server: KVProcess) -> None:
    async with client_of(own_server) as client, client.watch_group() as group:
        for number in range(5):
            await client.put("/a", str(number))
        late = await group.add("/a", start_revision=2)
        lasting = await group.add("/b")
        written = await client.put("/c", "x")
        await client.compact(written.revision)
        with pytest.raises(WatchEndedError) as caught:
            await anext(group)
        assert caught.value.watched is late
        assert isinstance(caught.value.reason, CompactedError)
        assert caught.value.reason.compacted == written.revision
        await client.put("/b", "x")
        assert (await gathered(group, 1)).keys() == {lasting}


async def test_a_range_that_is_empty_is_refused_before_it_is_watched(
    client: Client, prefix: str
) -> None:
    async with client.watch_group() as group:
        with pytest.raises(InvalidRequestError):
            await group.add("b", range_end="a")
        assert len(group) == 0


async def test_leaving_a_group_ends_who_waits_for_it(client: Client, prefix: str) -> None:
    async with client.watch_group() as group:
        waiting = asyncio.create_task(anext(group))
        await asyncio.sleep(0)
    with contextlib.suppress(StopAsyncIteration):
        async with asyncio.timeout(5):
            with pytest.raises(StopAsyncIteration):
                await waiting
