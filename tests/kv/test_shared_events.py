"""Revisions that wait for delivery go out together, and a watch gets what it wants of them once."""

import itertools

import pytest

from c101.core.kv import delivery, replay, write
from c101.core.kv.storage import LogRow
from c101.core.kv.store import Store
from c101.core.kv.watch import CatchUp
from c101.core.kv.watcher import Watcher
from c101.core.proto import kv_pb2, rpc_pb2
from tests.kv.held import Held
from tests.kv.test_store_model import Sink

REVISIONS = 40
SPAN = (b"k", b"l")

Wish = tuple[bool, bool, bool, bool, int]
#: no_put, no_delete, prev_kv, fragment, and how many revisions ahead the watch starts
WISHES: list[Wish] = [
    (no_put, no_delete, prev_kv, fragment, ahead)
    for no_put, no_delete, prev_kv, fragment in itertools.product((False, True), repeat=4)
    for ahead in (0, 1, 15)
]


def done(outcome: object) -> None:
    if isinstance(outcome, Exception):
        raise outcome


def change(store: Store, number: int) -> None:
    """Stage one revision: puts of three keys in turn, now and then a deletion, or two at once."""
    key = b"k%d" % (number % 3)
    if number % 10 == 7:
        begin = store.staged_revision + 1
        for sub in range(2):
            store.stage_put(begin << 22 | sub << 1, b"k%d" % sub, b"two", 0)
        store.staged_revision = begin
    elif number % 5 == 4 and key in store.staged | store.index.states:
        request = rpc_pb2.DeleteRangeRequest(key=key)
        store.gate.perform(write.delete_range(store, request), done)
    else:
        write.put(store, rpc_pb2.PutRequest(key=key, value=b"%d" % number * 20))


def wishing(sink: Sink, watch_id: int, wish: Wish, start: int) -> Watcher:
    watcher = Watcher(sink, watch_id, SPAN, start + wish[4])
    watcher.no_put, watcher.no_delete, watcher.prev_kv, watcher.fragment, _ = wish
    return watcher


def wanted(events: list[kv_pb2.Event], wish: Wish, start: int) -> list[kv_pb2.Event]:
    """Return what a watch gets of *events*, which have all there is to have."""
    no_put, no_delete, prev_kv, _, ahead = wish
    found = []
    for event in events:
        deleted = event.type == kv_pb2.Event.DELETE
        if event.kv.mod_revision < start + ahead or (no_delete if deleted else no_put):
            continue
        copy = kv_pb2.Event()
        copy.CopyFrom(event)
        if not prev_kv:
            copy.ClearField("prev_kv")
        found.append(copy)
    return found


def events_of(sink: Sink, watch_id: int) -> list[kv_pb2.Event]:
    return [
        event
        for response in sink.responses
        if response.watch_id == watch_id
        for event in response.events
    ]


@pytest.mark.parametrize("fragment_bytes_max", [200, 1 << 20])
async def test_revisions_that_wait_are_sent_together_as_each_watch_wants_them(
    store: Store, held: Held, fragment_bytes_max: int
) -> None:
    store.watches.fragment_bytes_max = fragment_bytes_max
    sink = Sink()
    start = store.revision + 1
    # A crowd elsewhere keeps the first commit in delivery while the others come.
    for number in range(2_500):
        store.watches.add(Watcher(Sink(), number, (b"x", b"x\0"), start))
    for number, wish in enumerate(WISHES, 1):
        store.watches.add(wishing(sink, number, wish, start))
    write.put(store, rpc_pb2.PutRequest(key=b"x"))
    await store.durable()
    for number in range(REVISIONS):
        change(store, number)
        if number % 3 == 0:
            await store.durable()
    await store.durable()
    held.finish()
    assert store.watches.delivered_revision == store.revision
    fullest = WISHES.index((False, False, True, False, 0)) + 1
    everything = events_of(sink, fullest)
    assert len({event.kv.mod_revision for event in everything}) == REVISIONS
    assert any(event.prev_kv.key for event in everything)
    for number, wish in enumerate(WISHES, 1):
        assert events_of(sink, number) == wanted(everything, wish, start), wish
    together = [response for response in sink.responses if response.watch_id == fullest]
    assert len(together) < REVISIONS // 2
    for response in sink.responses:
        assert response.header.revision in (0, max(e.kv.mod_revision for e in response.events))
        if response.fragment:
            assert response.ByteSize() <= max(200, fragment_bytes_max)


async def test_a_watch_that_is_slow_in_the_middle_of_it_is_caught_up_from_what_it_has_not_seen(
    store: Store, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, quick = Sink(), Sink()
    start = store.revision + 1
    for number in range(2_500):
        store.watches.add(Watcher(Sink(), number, (b"x", b"x\0"), start))
    for number in range(50):
        store.watches.add(Watcher(slow, number, SPAN, start))
        store.watches.add(Watcher(quick, number, SPAN, start))
    write.put(store, rpc_pb2.PutRequest(key=b"x"))
    await store.durable()
    for number in range(REVISIONS):
        change(store, number)
    await store.durable()
    slow.pending_bytes = delivery.PENDING_BYTES_MAX + 1
    held.finish()
    slow.pending_bytes = 0
    assert len(slow.late) == 50
    reads = 0
    scan = store.storage.scan

    def counted(first: int, limit: int, rows_max: int) -> list[LogRow]:
        nonlocal reads
        reads += 1
        return scan(first, limit, rows_max)

    monkeypatch.setattr(store.storage, "scan", counted)
    for watcher in slow.late:
        while store.watches.catch_up(watcher) is CatchUp.MORE:
            pass
    # One read serves all fifty.
    assert reads == 1
    for number in range(50):
        found = events_of(quick, number)
        assert found
        assert events_of(slow, number) == found


async def test_what_is_kept_of_the_log_is_bounded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "KEPT_BYTES_MAX", 5_000)
    steps = replay.Replay(store.index, store.storage)
    start = store.revision + 1
    for _ in range(REVISIONS):
        write.put(store, rpc_pb2.PutRequest(key=b"k", value=bytes(1_000)))
        await store.durable()
    for number in range(REVISIONS):
        steps.step(Watcher(Sink(), number, SPAN, start + number), -1)
    kept = steps._kept
    assert 0 < len(kept) <= replay.KEPT_MAX
    for step in kept.values():
        assert sum(len(piece) for pieces in step.responses for piece in pieces) <= 5_000


@pytest.mark.parametrize("rows", [3, 5, 499])
async def test_a_revision_is_sent_whole_wherever_a_step_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr(replay, "ROWS_PER_STEP", rows)
    start = store.revision + 1
    sizes = (1, 1, 4, 1, 12, 2, 3, 1)
    for size in sizes:
        begin = store.staged_revision + 1
        for sub in range(size):
            store.stage_put(begin << 22 | sub << 1, b"k%d" % sub, b"v", 0)
        store.staged_revision = begin
    await store.durable()
    sink = Sink()
    for watch_id in (1, 2):
        store.watches.add(Watcher(sink, watch_id, SPAN, start))
    for watcher in sink.late:
        while store.watches.catch_up(watcher) is CatchUp.MORE:
            pass
    for watch_id in (1, 2):
        revisions = [event.kv.mod_revision for event in events_of(sink, watch_id)]
        assert revisions == [start + n for n, size in enumerate(sizes) for _ in range(size)]
    for response in sink.responses:
        first, last = (response.events[at].kv.mod_revision for at in (0, -1))
        for edge in (first, last):
            whole = sum(event.kv.mod_revision == edge for event in response.events)
            assert whole == sizes[edge - start]
