"""A stream with very many watches, within the process: bookmarks, turns, its end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import pytest

from c101.core.clock import SystemClock
from c101.core.kv import write
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from c101.core.kvserver import watch
from c101.core.kvserver.context import Context
from c101.core.kvserver.options import KvOptions
from c101.core.kvserver.watch import WatchSession
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import ServerStream
from c101.core.rpc.status import Code, RpcError
from tests.kv.held import Held
from tests.turns import Turns

WATCHES = 2_500


class Stream:
    """A stream whose client reads everything at once."""

    def __init__(self) -> None:
        self.responses: list[rpc_pb2.WatchResponse] = []
        self.pending_bytes = 0
        self.stopped: tuple[Code, str] | None = None
        self.full = False

    def send(self, message: bytes) -> None:
        self.responses.append(rpc_pb2.WatchResponse.FromString(message))

    def send_parts(self, parts: Sequence[bytes]) -> None:
        if self.full:
            raise RpcError(Code.RESOURCE_EXHAUSTED, "the reader is too slow")
        self.send(b"".join(parts))

    async def drain(self) -> None:
        return

    def stop(self, status: Code, message: str) -> None:
        self.stopped = (status, message)

    @property
    def bookmarks(self) -> list[int]:
        """The revisions of the progress responses."""
        return [one.header.revision for one in self.responses if one.watch_id == -1]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    one = Store(Storage(tmp_path / "kv"), SystemClock())
    yield one
    await one.close()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


@pytest.fixture
def stream() -> Stream:
    return Stream()


@pytest.fixture
async def session(store: Store, stream: Stream) -> AsyncIterator[WatchSession]:
    at_once = KvOptions(watch_progress_notify_seconds=0)
    one = WatchSession(Context.of(store, SystemClock(), at_once), cast("ServerStream", stream))
    catching_up = asyncio.create_task(one.catch_up())
    yield one
    catching_up.cancel()
    await asyncio.gather(catching_up, return_exceptions=True)
    one.close()


def create(session: WatchSession, start: int = 0, **options: object) -> None:
    create = rpc_pb2.WatchCreateRequest(key=b"k", start_revision=start, **options)  # type: ignore[arg-type]
    session.receive(rpc_pb2.WatchRequest(create_request=create))


def cancel(session: WatchSession, watch_id: int) -> None:
    request = rpc_pb2.WatchCancelRequest(watch_id=watch_id)
    session.receive(rpc_pb2.WatchRequest(cancel_request=request))


def ask_progress(session: WatchSession) -> None:
    session.receive(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))


async def put(store: Store) -> int:
    """Put the watched key; return the revision, which is committed."""
    write.put(store, rpc_pb2.PutRequest(key=b"k", value=b"v"))
    await store.durable()
    return store.revision


async def test_a_bookmark_waits_for_the_events_of_a_delivery_that_is_under_way(
    store: Store, stream: Stream, session: WatchSession, held: Held
) -> None:
    for _ in range(WATCHES):
        create(session)
    first = await put(store)
    ask_progress(session)
    assert not stream.bookmarks
    then = await put(store)
    held.step()
    ask_progress(session)
    held.finish()
    # One that covers both requests, behind every event up to it and before any later one.
    [revision] = stream.bookmarks
    assert revision == then
    assert stream.responses[-1].watch_id == -1
    events = [event for response in stream.responses for event in response.events]
    assert len(events) == 2 * WATCHES
    assert first == then - 1


async def test_a_bookmark_is_not_older_than_what_a_watch_was_caught_up_to(
    store: Store, stream: Stream, session: WatchSession, held: Held
) -> None:
    for _ in range(WATCHES):
        create(session)
    first = await put(store)
    ask_progress(session)
    then = await put(store)
    create(session, start=first)
    async with asyncio.timeout(30):
        while [one.watch_id for one in stream.responses if one.events].count(WATCHES) < 1:
            await asyncio.sleep(0)
    assert not stream.bookmarks
    held.finish()
    assert stream.bookmarks == [then]


async def test_a_bookmark_is_not_older_than_the_start_of_a_watch(
    store: Store, stream: Stream, session: WatchSession
) -> None:
    create(session, start=store.revision + 2, watch_id=7)
    create(session, start=store.revision + 3, watch_id=8)
    ask_progress(session)
    await put(store)
    assert not stream.bookmarks
    ask_progress(session)
    assert not stream.bookmarks
    cancel(session, 8)
    ask_progress(session)
    assert stream.bookmarks == [store.revision]


async def test_a_notification_of_progress_is_not_ahead_of_a_watchs_events(
    store: Store, stream: Stream, session: WatchSession, held: Held
) -> None:
    before = store.revision
    for _ in range(WATCHES):
        create(session, progress_notify=True)
    revision = await put(store)
    had = {one.watch_id for one in stream.responses if one.events}
    assert 0 < len(had) < WATCHES
    del stream.responses[:]
    notifying = asyncio.create_task(session.notify_progress())
    async with asyncio.timeout(30):
        while len(stream.responses) < WATCHES - len(had):
            await asyncio.sleep(0)
    notifying.cancel()
    await asyncio.gather(notifying, return_exceptions=True)
    notified = {one.watch_id: one.header.revision for one in stream.responses}
    assert set(notified).isdisjoint(had)
    assert set(notified.values()) == {before}
    held.finish()
    assert store.watches.delivered_revision == revision


async def test_watches_are_notified_of_progress_and_closed_in_steps(
    store: Store, stream: Stream, session: WatchSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "WATCHES_PER_STEP", 100)
    turns = Turns()

    def counted(message: bytes) -> None:
        turns.done += 1
        stream.send(message)

    for _ in range(WATCHES):
        create(session, progress_notify=True)
    session.send = counted
    notifying = asyncio.create_task(session.notify_progress())
    async with asyncio.timeout(30):
        while len(stream.responses) < 2 * WATCHES:
            await asyncio.sleep(0)
    notifying.cancel()
    await asyncio.gather(notifying, return_exceptions=True)
    await turns.end()
    assert 0 < turns.most <= 100
    session.close()
    assert store.watches.watching
    async with asyncio.timeout(30):
        while store.watches.watching:
            await asyncio.sleep(0)


async def test_a_stream_that_more_waits_for_than_it_may_ends_and_others_go_on(
    store: Store, stream: Stream, session: WatchSession
) -> None:
    create(session, fragment=True)
    create(session)
    stream.full = True
    for _ in range(2):
        # Large enough to be sent in parts, in one revision: the sink refuses it.
        for sub in range(2):
            change = store.staged_revision + 1 << 22 | sub << 1
            store.stage_put(change, b"k", bytes(2_000_000), 0)
        store.staged_revision += 1
        await store.durable()
    assert stream.stopped == (Code.RESOURCE_EXHAUSTED, "the reader is too slow")
    assert store.watches.delivered_revision == store.revision
