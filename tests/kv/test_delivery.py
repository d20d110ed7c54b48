"""One change goes to very many watches in steps: each event once, in order, and nobody waits.

As in ``test_turns.py`` it is work that is counted, not time.
"""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from c101.core.kv import delivery, write
from c101.core.kv.delivery import EVENTS_PER_STEP
from c101.core.kv.store import Store
from c101.core.kv.tree import Interval
from c101.core.kv.watch import LEAVING_PER_STEP, CatchUp
from c101.core.kv.watcher import Watcher
from c101.core.proto import rpc_pb2
from tests.kv.held import Held
from tests.kv.test_store_model import Sink
from tests.turns import Turns

#: Stages changes of one revision, which it returns.
Changes = Callable[[Store], int]

WATCHES = 2_500
SPANS: dict[str, Interval] = {
    "one key": (b"k", b"k\0"),
    "a prefix": (b"k", b"l"),
    "an interval": (b"j", b"z"),
    "everything": (b"\0", None),
}


class CountingSink(Sink):
    """Counts as work what it is sent; its responses are kept undecoded, by watch."""

    def __init__(self, turns: Turns | None = None) -> None:
        super().__init__()
        self.turns = turns
        self.sent: list[bytes] = []

    def send(self, message: bytes, /) -> None:
        if self.turns is not None:
            self.turns.done += 1
        self.sent.append(message)

    def send_parts(self, parts: Sequence[bytes], /) -> None:
        self.send(b"".join(parts))

    def revisions(self) -> dict[int, list[int]]:
        """Return the revisions of the events that each watch was sent, in order."""
        found: dict[int, list[int]] = {}
        for message in self.sent:
            response = rpc_pb2.WatchResponse.FromString(message)
            some = found.setdefault(response.watch_id, [])
            some += [event.kv.mod_revision for event in response.events]
        return found


def put(store: Store, value: bytes = b"v") -> int:
    """Stage a put of the watched key; return its revision."""
    write.put(store, rpc_pb2.PutRequest(key=b"k", value=value))
    return store.staged_revision


def put_two(store: Store) -> int:
    """Stage two changes in one revision."""
    revision = store.staged_revision + 1
    for sub, key in enumerate((b"k", b"kk")):
        store.stage_put(revision << 22 | sub << 1, key, b"v", 0)
    store.staged_revision = revision
    return revision


def watch(
    store: Store, sink: Sink, watch_id: int, start: int = 0, span: str = "one key"
) -> Watcher:
    """Begin to watch; *start* 0 is the next revision, as in a request."""
    watcher = Watcher(sink, watch_id, SPANS[span], start or store.revision + 1)
    store.watches.add(watcher)
    return watcher


def catch_up(store: Store, sink: Sink) -> None:
    """Do what a stream does for its watches that are behind."""
    while sink.late:
        watcher = sink.late.pop()
        while store.watches.catch_up(watcher) is CatchUp.MORE:
            pass


async def delivered(store: Store) -> None:
    while store.merging or store.watches.delivered_revision < store.staged_revision:
        await asyncio.sleep(0)


@pytest.mark.parametrize("streams", [1, 100, WATCHES])
@pytest.mark.parametrize("span", SPANS)
async def test_one_change_goes_to_many_watches_some_hundred_at_a_time(
    store: Store, span: str, streams: int
) -> None:
    turns = Turns()
    sinks = [CountingSink(turns) for _ in range(streams)]
    for number in range(WATCHES):
        watch(store, sinks[number % streams], number + 1, span=span)
    revisions = []
    for _ in range(3):
        revisions.append(put(store))
        await store.durable()
    await delivered(store)
    await turns.end()
    # A turn may have the last step of one delivery and the first of the next.
    assert 0 < turns.most <= 2 * EVENTS_PER_STEP
    if streams == WATCHES:
        assert turns.most <= EVENTS_PER_STEP
    seen: dict[int, list[int]] = {}
    for sink in sinks:
        seen |= sink.revisions()
    assert seen == {number + 1: revisions for number in range(WATCHES)}


async def test_a_revision_of_two_changes_goes_to_many_watches_in_steps(store: Store) -> None:
    turns = Turns()
    sink = CountingSink(turns)
    for number in range(WATCHES):
        watch(store, sink, number + 1, span="a prefix")
    revision = put_two(store)
    await store.durable()
    await delivered(store)
    await turns.end()
    assert 0 < turns.most <= EVENTS_PER_STEP
    assert sink.revisions() == {number + 1: [revision] * 2 for number in range(WATCHES)}


async def test_many_intervals_of_which_none_has_the_key_are_gone_through_in_steps(
    store: Store,
) -> None:
    for number in range(20_000):
        low = b"x%06d" % number
        store.watches.add(Watcher(Sink(), number, (low, low + b"zz"), store.revision + 1))
    turns = 0
    revision = put(store)
    answered = store.durable()
    while store.watches.delivered_revision < revision:
        turns += store.revision == revision
        await asyncio.sleep(0)
    assert turns
    await answered


async def test_commits_are_answered_while_one_is_being_delivered(store: Store, held: Held) -> None:
    sink = CountingSink()
    for number in range(WATCHES):
        watch(store, sink, number + 1)
    revisions = []
    for _ in range(3):
        revisions.append(put(store))
        await store.durable()
        assert store.revision == revisions[-1]
        assert store.watches.delivered_revision < revisions[0]
    assert 0 < len(sink.sent) < WATCHES
    held.finish()
    assert store.watches.delivered_revision == store.revision
    assert sink.revisions() == {number + 1: revisions for number in range(WATCHES)}


@pytest.mark.parametrize("changes", [put, put_two])
async def test_who_begins_to_watch_during_a_delivery_sees_it_exactly_by_its_start_revision(
    store: Store, held: Held, changes: Changes
) -> None:
    old = put(store)
    await store.durable()
    crowd, late = CountingSink(), CountingSink()
    for number in range(WATCHES):
        watch(store, crowd, number + 1)
    current = changes(store)
    await store.durable()
    waiting = changes(store)
    await store.durable()
    assert store.watches.delivered_revision == old
    starts = {1: 0, 2: old, 3: current, 4: waiting, 5: waiting + 1, 6: waiting + 2}
    for watch_id, start in starts.items():
        watch(store, late, watch_id, start)
        held.step()
        # Some are caught up during the delivery, some after it.
        if watch_id < 4:
            catch_up(store, late)
    held.finish()
    catch_up(store, late)
    then = [put(store), put(store)]
    await store.durable()
    held.finish()
    everything = [old, current, waiting, *then]
    # Of two changes in a revision one is of the watched key.
    assert late.revisions() == {
        watch_id: [one for one in everything if one >= (start or waiting + 1)]
        for watch_id, start in starts.items()
    }
    assert crowd.revisions() == {number + 1: everything[1:] for number in range(WATCHES)}


@pytest.mark.parametrize("changes", [put, put_two])
async def test_a_watch_that_is_cancelled_during_a_delivery_gets_nothing_after_it(
    store: Store, held: Held, changes: Changes
) -> None:
    sink = CountingSink()
    watchers = [watch(store, sink, number + 1) for number in range(WATCHES)]
    changes(store)
    await store.durable()
    while not sink.sent:
        held.step()
    had = len(sink.sent)
    for watcher in watchers:
        store.watches.remove(watcher)
    again = watch(store, sink, WATCHES + 1)
    held.finish()
    assert 0 < had < WATCHES
    assert len(sink.sent) == had
    assert again.synced


async def test_watches_that_fall_behind_during_a_delivery_get_each_event_once(
    store: Store, held: Held
) -> None:
    sink = CountingSink()
    for number in range(WATCHES):
        watch(store, sink, number + 1)
    revisions = [put(store)]
    await store.durable()
    revisions.append(put(store))
    await store.durable()
    sink.pending_bytes = delivery.PENDING_BYTES_MAX + 1
    held.step()
    assert sink.late
    sink.pending_bytes = 0
    # They rejoin while the rest of both revisions is still to be delivered.
    catch_up(store, sink)
    held.finish()
    assert sink.revisions() == {number + 1: revisions for number in range(WATCHES)}


async def test_when_too_much_waits_for_delivery_commits_wait(
    store: Store, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BACKLOG_BYTES_MAX", 1_000)
    sink = CountingSink()
    for number in range(WATCHES):
        watch(store, sink, number + 1)
    revisions = [put(store)]
    await store.durable()
    revisions.append(put(store, bytes(2_000)))
    await store.durable()
    revisions.append(put(store))
    answered = store.durable()
    while not store.merging:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not answered.done()
    while store.watches.backlogged:
        held.step()
    await answered
    held.finish()
    assert sink.revisions() == {number + 1: revisions for number in range(WATCHES)}


async def test_the_watches_of_a_stream_that_is_over_leave_in_steps(store: Store) -> None:
    turns = Turns()
    sink = Sink()
    watchers = {number: watch(store, sink, number) for number in range(3 * LEAVING_PER_STEP)}
    remove = store.watches.remove

    def counted(watcher: Watcher) -> None:
        turns.done += 1
        remove(watcher)

    store.watches.remove = counted  # type: ignore[method-assign]
    store.watches.let_go(watchers)
    while watchers:
        await asyncio.sleep(0)
    await turns.end()
    assert 0 < turns.most <= LEAVING_PER_STEP
    assert not store.watches.watching


async def test_closing_delivers_what_was_committed(store: Store) -> None:
    sink = CountingSink()
    for number in range(WATCHES):
        watch(store, sink, number + 1)
    put(store)
    closing = asyncio.create_task(store.close())
    async with asyncio.timeout(30):
        await closing
    assert len(sink.sent) == WATCHES
