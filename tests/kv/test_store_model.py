"""The store against the naive model: random puts, deletes, transactions, compactions, restarts."""

import asyncio
import tempfile
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from c101.core.clock import SystemClock
from c101.core.kv import write
from c101.core.kv.compactor import Compactor
from c101.core.kv.reads import Reads
from c101.core.kv.stepper import Steps
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from c101.core.kv.watch import CatchUp
from c101.core.kv.watcher import Watcher
from c101.core.proto import kv_pb2, rpc_pb2
from c101.core.rpc.status import RpcError
from tests.kv.model import Event, Model

KEYS = (b"a", b"b", b"ba", b"c", b"d\xff")
keys = st.sampled_from(KEYS)
values = st.sampled_from((b"", b"1", b"22"))
ends = st.sampled_from((None, None, b"c", b"z", b"\0"))
_T = TypeVar("_T")


class Sink:
    """Takes what a watch sends."""

    def __init__(self) -> None:
        self.responses: list[rpc_pb2.WatchResponse] = []
        self.late: list[Watcher] = []
        self.pending_bytes = 0

    def send(self, message: bytes, /) -> None:
        self.responses.append(rpc_pb2.WatchResponse.FromString(message))

    def send_parts(self, parts: Sequence[bytes], /) -> None:
        self.send(b"".join(parts))

    def behind(self, watcher: Watcher, /) -> None:
        self.late.append(watcher)


def drive(steps: Steps) -> list[bytes]:
    """Take all *steps* in one turn of the loop."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            found: list[bytes] = stop.value
            return found


class StoreMachine(RuleBasedStateMachine):
    """Both stores, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory(prefix="c101-kv-")
        self.model = Model()
        self.watch_from = 2

    def run(self, work: Coroutine[object, object, _T]) -> _T:
        return self.loop.run_until_complete(work)

    async def _open(self) -> None:
        self.store = Store(Storage(Path(self.directory.name)), SystemClock())
        self.reads = Reads(self.store, SystemClock())
        self.compactor = Compactor(self.store, SystemClock())
        self.compaction = self.loop.create_task(self.compactor.run())
        self.sink = Sink()
        self.watch_from = max(self.model.revision + 1, 2)
        self.watcher = Watcher(self.sink, 1, (b"a", None), self.watch_from)
        self.watcher.prev_kv = True
        self.store.watches.add(self.watcher)

    async def _close(self) -> None:
        self.compaction.cancel()
        await asyncio.gather(self.compaction, return_exceptions=True)
        await self.store.close()

    @initialize()
    def open(self) -> None:
        self.run(self._open())

    def teardown(self) -> None:
        self.run(self._close())
        self.loop.close()
        self.directory.cleanup()

    @rule(key=keys, value=values)
    def put(self, key: bytes, value: bytes) -> None:
        write.put(self.store, rpc_pb2.PutRequest(key=key, value=value))
        self.model.apply({key: (value, 0)}, [])

    @rule(low=keys, end=ends)
    def delete(self, low: bytes, end: bytes | None) -> None:
        request = rpc_pb2.DeleteRangeRequest(key=low, range_end=end or b"")
        body = b"".join(drive(write.delete_range(self.store, request)))
        deleted = rpc_pb2.DeleteRangeResponse.FromString(body).deleted
        doomed = self.model.within(low, _high(low, end), self.model.revision)
        assert deleted == len(doomed)
        self.model.apply({}, doomed)

    @rule()
    def commit(self) -> None:
        self.run(self._commit())

    async def _commit(self) -> None:
        await self.store.durable()
        assert self.store.revision == self.model.revision

    @rule(back=st.integers(0, 6))
    def compact(self, back: int) -> None:
        revision = self.model.revision - back
        self.run(self._compact(revision))

    async def _compact(self, revision: int) -> None:
        await self._commit()
        if revision <= self.model.compacted:
            with pytest.raises(RpcError, match="compacted"):
                self.compactor.schedule(revision)
            return
        self.compactor.schedule(revision)
        await self.store.durable()
        self.compactor.begin()
        await self.compactor.finished(revision)
        self.model.compacted = revision

    @rule(
        low=keys,
        end=ends,
        back=st.integers(-1, 8),
        limit=st.integers(0, 3),
        order=st.sampled_from((0, 1, 2)),
        count_only=st.booleans(),
    )
    def read(
        self, low: bytes, end: bytes | None, back: int, limit: int, order: int, *, count_only: bool
    ) -> None:
        self.run(self._commit())
        revision = max(1, self.model.revision - back)
        request = rpc_pb2.RangeRequest(
            key=low,
            range_end=end or b"",
            revision=revision,
            limit=limit,
            sort_order=order,  # type: ignore[arg-type]
            count_only=count_only,
        )
        answers: list[list[bytes] | RpcError] = []
        if not self.model.compacted <= revision <= self.model.revision:
            with pytest.raises(RpcError, match=r"compacted|future"):
                self.reads.range(request, answers.append, lambda: False)
            return
        self.reads.range(request, answers.append, lambda: False)
        while not answers:
            self.run(asyncio.sleep(0))
        assert isinstance(answers[0], list)
        found = rpc_pb2.RangeResponse.FromString(b"".join(answers[0]))
        expected = self.model.within(low, _high(low, end), revision)
        assert found.count == len(expected)
        if count_only:
            assert not found.kvs
            return
        if order == 2:
            expected.reverse()
        if limit:
            assert found.more == (len(expected) > limit)
            expected = expected[:limit]
        state = self.model.states[revision]
        assert list(found.kvs) == [state[key].message(key) for key in expected]

    @rule(back=st.integers(0, 10))
    def watch_history(self, back: int) -> None:
        self.run(self._commit())
        start = max(1, self.model.revision - back)
        sink = Sink()
        watcher = Watcher(sink, 2, (b"a", None), start)
        watcher.prev_kv = True
        step = CatchUp.MORE
        while step is CatchUp.MORE:
            step = self.store.watches.catch_up(watcher)
        self.store.watches.remove(watcher)
        if step is CatchUp.COMPACTED:
            assert start < self.model.compacted
            return
        events = [event for event in self.model.events if event[0] >= start]
        self._compare(sink.responses, events, self.model.compacted)

    @rule()
    def restart(self) -> None:
        self.run(self._commit())
        self.run(self._close())
        self.run(self._open())
        assert self.store.revision == self.model.revision
        assert self.store.compact_revision == self.model.compacted

    @invariant()
    def live_watch_has_seen_what_is_committed(self) -> None:
        if not hasattr(self, "store"):
            return
        revision = self.store.revision
        events = [event for event in self.model.events if self.watch_from <= event[0] <= revision]
        self._compare(self.sink.responses, events, -1)

    def _compare(
        self, responses: list[rpc_pb2.WatchResponse], events: list[Event], compacted: int
    ) -> None:
        found = [event for response in responses for event in response.events]
        assert len(found) == len(events)
        for one, (revision, key, state, previous) in zip(found, events, strict=True):
            assert (one.kv.key, one.kv.mod_revision) == (key, revision)
            if state is None:
                assert one.type == kv_pb2.Event.DELETE
            else:
                assert one.kv == state.message(key)
            if previous is None or revision - 1 < compacted:
                assert not one.HasField("prev_kv")
            else:
                assert one.prev_kv == previous.message(key)


def _high(low: bytes, end: bytes | None) -> bytes | None:
    if end is None:
        return low + b"\0"
    return None if end == b"\0" else end


TestStore = StoreMachine.TestCase
TestStore.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
