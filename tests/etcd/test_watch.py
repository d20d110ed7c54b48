"""Watches: every change once and in order, over whatever happens to the link."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.errors import C101Error, LinkError
from c101.core.etcd.client import Client
from c101.core.etcd.errors import CompactedError, HistoryChangedError, WatchCancelledError
from c101.core.etcd.events import WatchEvent
from c101.core.etcd.txn import Delete, Put
from c101.core.etcd.watch import Watch
from c101.core.rpc.channel import UnixDialer
from tests.etcd.conftest import KINDS, client_of
from tests.etcd.relay import relay_to
from tests.processes import KVProcess


async def events(watch: Watch, count: int) -> list[WatchEvent]:
    """Return the next *count* events."""
    found: list[WatchEvent] = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += (await anext(watch)).events
    return found


async def test_a_watch_sees_what_is_written_once_it_is_entered(client: Client, prefix: str) -> None:
    async with client.watch(prefix) as watch:
        assert watch.connected
        put = await client.put(prefix, "1")
        await client.delete(prefix)
        first, second = await events(watch, 2)
    assert (first.kind, first.kv.value, first.kv.mod_revision) == ("put", b"1", put.revision)
    assert (second.kind, second.kv.key) == ("delete", prefix.encode())
    assert second.kv.mod_revision == put.revision + 1


async def test_a_watch_of_a_prefix_sees_its_keys_and_no_others(client: Client, prefix: str) -> None:
    async with client.watch_prefix(prefix) as watch:
        await client.put(prefix + "a", "")
        await client.put(prefix[:-1] + "0", "")
        await client.put(prefix + "b", "")
        seen = await events(watch, 2)
    assert [event.kv.key for event in seen] == [(prefix + "a").encode(), (prefix + "b").encode()]


async def test_changes_of_one_transaction_come_in_one_batch(client: Client, prefix: str) -> None:
    async with client.watch_prefix(prefix) as watch:
        await client.put(prefix + "old", "")
        await events(watch, 1)
        await client.transaction(
            compare=[],
            success=[Put(prefix + "a", ""), Put(prefix + "b", ""), Delete(prefix + "old")],
        )
        batch = await anext(watch)
    assert [event.kind for event in batch.events] == ["put", "put", "delete"]
    assert {event.kv.mod_revision for event in batch.events} == {batch.revision}


async def test_history_comes_first_then_what_is_live(client: Client, prefix: str) -> None:
    first = await client.put(prefix, "1")
    await client.put(prefix, "2")
    async with client.watch(prefix, start_revision=first.revision) as watch:
        await client.put(prefix, "3")
        seen = await events(watch, 3)
    assert [event.kv.value for event in seen] == [b"1", b"2", b"3"]


async def test_the_value_before_is_given_where_it_is_asked_for(client: Client, prefix: str) -> None:
    await client.put(prefix, "before")
    async with client.watch(prefix, prev_kv=True) as watch:
        await client.put(prefix, "after")
        (event,) = await events(watch, 1)
    assert event.prev_kv is not None
    assert event.prev_kv.value == b"before"


async def test_puts_or_deletes_are_left_out_on_demand(client: Client, prefix: str) -> None:
    async with (
        client.watch(prefix, no_put=True) as deletes,
        client.watch(prefix, no_delete=True) as puts,
    ):
        for value in ("1", "2"):
            await client.put(prefix, value)
            await client.delete(prefix)
        assert [event.kind for event in await events(deletes, 2)] == ["delete", "delete"]
        assert [event.kv.value for event in await events(puts, 2)] == [b"1", b"2"]


async def test_progress_is_told_when_asked_for(client: Client, prefix: str) -> None:
    async with client.watch(prefix) as watch:
        elsewhere = await client.put(prefix + "elsewhere", "")
        watch.request_progress()
        async with asyncio.timeout(5):
            batch = await anext(watch)
    assert batch.progress
    assert batch.events == ()
    assert batch.revision >= elsewhere.revision


async def test_giving_up_a_wait_loses_nothing(client: Client, prefix: str) -> None:
    async with client.watch(prefix) as watch:
        for number in range(20):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.001):
                    await anext(watch)
            await client.put(prefix, str(number))
            (event,) = await events(watch, 1)
            assert event.kv.value == str(number).encode()


async def test_a_range_that_ends_before_it_begins_is_refused(client: Client) -> None:
    async with client.watch("b", range_end="a") as watch:
        with pytest.raises(WatchCancelledError, match="range is empty"):
            await anext(watch)
        with pytest.raises(StopAsyncIteration):
            await anext(watch)


async def test_many_watches_each_see_their_own_key(client: Client, prefix: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        watches = [
            await stack.enter_async_context(client.watch(f"{prefix}{number}"))
            for number in range(300)
        ]
        for number in range(0, 300, 7):
            await client.put(f"{prefix}{number}", str(number))
        for number in range(0, 300, 7):
            (event,) = await events(watches[number], 1)
            assert event.kv.value == str(number).encode()


async def test_a_consumer_that_pauses_gets_everything_afterwards(
    client: Client, prefix: str
) -> None:
    value = b"x" * 60_000
    async with client.watch_prefix(prefix) as watch:
        for number in range(150):
            await client.put(f"{prefix}{number:03}", value)
        seen = await events(watch, 150)
    assert [event.kv.key[-3:].decode() for event in seen] == [f"{n:03}" for n in range(150)]


async def test_a_revision_larger_than_a_message_may_be_comes_whole(
    client: Client, prefix: str
) -> None:
    for number in range(60):
        await client.put(f"{prefix}{number:02}", b"x" * 60_000)
    async with client.watch_prefix(prefix, prev_kv=True) as watch:
        await client.delete_prefix(prefix)
        await client.put(prefix + "after", "")
        first = await anext(watch)
        second = await anext(watch)
    assert len(first.events) == 60
    assert all(event.prev_kv is not None for event in first.events)
    assert [event.kind for event in second.events] == ["put"]


async def test_what_was_compacted_cannot_be_watched(own_server: KVProcess) -> None:
    async with client_of(own_server) as client:
        for value in ("0", "1", "2", "3"):
            await client.put("k", value)
        last = await client.put("k", "4")
        await client.compact(last.revision)
        async with client.watch("k", start_revision=last.revision - 2) as watch:
            with pytest.raises(CompactedError) as caught:
                await anext(watch)
        assert (caught.value.revision, caught.value.compacted) == (
            last.revision - 2,
            last.revision,
        )
        async with client.watch("k", start_revision=last.revision) as watch:
            (event,) = await events(watch, 1)
            assert event.kv.value == b"4"


async def test_a_watch_resumes_over_kills_without_a_gap_or_a_repeat(
    own_server: KVProcess,
) -> None:
    links: list[bool] = []
    acknowledged: list[int] = []
    async with client_of(own_server, timeout_seconds=10) as client:
        async with client.watch_prefix("k/", on_link=links.append) as watch:
            last = asyncio.Event()
            writing = asyncio.create_task(write(client, acknowledged, upto=400, last=last))
            seen: list[WatchEvent] = []
            for killed_at in (50, 150):
                while len(seen) < killed_at:
                    seen += (await anext(watch)).events
                await asyncio.to_thread(own_server.kill)
                await asyncio.to_thread(own_server.start)
            # However fast the rest was written: this is seen over the third link.
            last.set()
            async with asyncio.timeout(30):
                while seen[-1].kv.value != b"last":
                    seen += (await anext(watch)).events
            await writing
        stored = {kv.key: kv for kv in (await client.get_prefix("k/")).kvs}
    revisions = [event.kv.mod_revision for event in seen]
    assert revisions == sorted(set(revisions))
    # Each key is written once, so the events are exactly what the store holds: also a write
    # whose answer was lost is in both or in neither.
    assert [event.kv for event in seen] == sorted(stored.values(), key=lambda kv: kv.mod_revision)
    assert {f"k/{number:04}".encode() for number in acknowledged} <= set(stored)
    assert links == [True, False, True, False, True, False][: len(links)]
    assert links.count(True) == 3


async def write(client: Client, acknowledged: list[int], *, upto: int, last: asyncio.Event) -> None:
    for number in range(upto):
        with contextlib.suppress(C101Error):
            await client.put(f"k/{number:04}", str(number))
            acknowledged.append(number)
    await last.wait()
    await client.put("k/last", "last")


async def test_a_watch_that_waits_is_told_when_the_link_goes_and_comes(
    client: Client, server: KVProcess, prefix: str
) -> None:
    links: list[bool] = []
    problems: list[C101Error] = []
    async with (
        relay_to(server.port) as relay,
        client_of(relay) as far,
        far.watch(prefix, on_link=links.append, on_problem=problems.append) as watch,
    ):
        waiting = asyncio.create_task(events(watch, 1))
        relay.cut()
        await until(lambda: links == [True, False] and bool(problems))
        assert watch.problem is not None
        assert str(problems[-1]) == str(watch.problem)
        await client.put(prefix, "while it was cut")
        relay.mend()
        (event,) = await waiting
    assert event.kv.value == b"while it was cut"
    assert links == [True, False, True]
    told = [str(problem) for problem in problems]
    assert all(one != other for one, other in pairwise(told)), "each reason is told once"


async def test_compaction_while_the_link_was_lost_is_told(own_server: KVProcess) -> None:
    async with (
        client_of(own_server) as near,
        relay_to(own_server.port) as relay,
        client_of(relay) as far,
        far.watch("k") as watch,
    ):
        first = await near.put("k", "0")
        await events(watch, 1)
        waiting = asyncio.create_task(anext(watch))
        relay.cut()
        await until(lambda: not watch.connected)
        await near.put("k", "1")
        last = await near.put("k", "2")
        await near.compact(last.revision)
        relay.mend()
        with pytest.raises(CompactedError) as caught:
            await waiting
    assert caught.value.revision == first.revision + 1
    assert caught.value.compacted == last.revision


async def test_another_kv_under_the_same_address_is_not_taken_for_the_first(
    own_server: KVProcess, kind: str, tmp_path: Path
) -> None:
    async with client_of(own_server) as client, client.watch("k") as watch:
        await client.put("k", "1")
        await events(watch, 1)
        waiting = asyncio.create_task(anext(watch))
        await asyncio.to_thread(own_server.kill)
        emptied = KINDS[kind][1](tmp_path / "emptied", port=own_server.port)
        await asyncio.to_thread(emptied.start)
        try:
            with pytest.raises(HistoryChangedError):
                await waiting
        finally:
            await asyncio.to_thread(emptied.kill)


async def test_a_kv_that_was_set_back_is_not_taken_for_a_later_one(
    own_server: KVProcess, tmp_path: Path
) -> None:
    async with client_of(own_server) as client, client.watch("k") as watch:
        await client.put("k", "1")
        own_server.kill()
        shutil.copytree(own_server.data, tmp_path / "backup")
        await asyncio.to_thread(own_server.start)
        for value in ("2", "3"):
            await client.put("k", value)
        await events(watch, 3)
        waiting = asyncio.create_task(anext(watch))
        own_server.kill()
        shutil.rmtree(own_server.data)
        shutil.copytree(tmp_path / "backup", own_server.data)
        await asyncio.to_thread(own_server.start)
        with pytest.raises(HistoryChangedError, match="set back"):
            await waiting


async def test_entering_a_watch_where_nobody_answers_fails_in_time() -> None:
    nobody = KVProcess(Path("/nowhere"))
    async with client_of(nobody, timeout_seconds=0.3) as client:
        with pytest.raises(LinkError, match="cannot reach"):
            async with client.watch("k"):
                pass


async def test_closing_the_client_ends_a_watch(server: KVProcess, prefix: str) -> None:
    async with client_of(server) as client, client.watch(prefix) as watch:
        waiting = asyncio.create_task(anext(watch))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(LinkError):
            await waiting


async def until(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_hundreds_of_watches_resume_together(own_server: KVProcess) -> None:
    async with (
        client_of(own_server, timeout_seconds=10) as client,
        contextlib.AsyncExitStack() as s,
    ):
        watches = [await s.enter_async_context(client.watch(f"k{n}")) for n in range(200)]
        waiting = [asyncio.create_task(events(watch, 1)) for watch in watches]
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        for number in range(200):
            await client.put(f"k{number}", str(number))
        seen = [await task for task in waiting]
    assert [found[0].kv.value for found in seen] == [str(n).encode() for n in range(200)]


async def test_a_watch_over_a_unix_socket(servers: Mapping[str, KVProcess], prefix: str) -> None:
    path = servers["own"].unix
    assert path is not None
    async with (
        Client([UnixDialer(path)], clock=SystemClock()) as client,
        client.watch(prefix) as watch,
    ):
        await client.put(prefix, "1")
        (event,) = await events(watch, 1)
    assert event.kv.value == b"1"
