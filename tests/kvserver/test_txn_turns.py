"""Transactions of very many compares or operations: in turns, and all of one at one state."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import cast

import pytest

from c101.core.kv import txn_decide, write
from c101.core.kv.record import State
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from c101.core.kv.txn import WORK_PER_STEP
from c101.core.kvserver.context import Context
from c101.core.kvserver.kv import KvService
from c101.core.kvserver.options import KvOptions
from c101.core.proto import rpc_pb2
from c101.core.rpc.header_decoder import Field
from c101.core.rpc.peer import Peer
from c101.core.rpc.server import UnaryCall
from c101.core.rpc.status import Code
from tests.kv.conftest import HurriedClock
from tests.turns import Turns

KEYS = 3_000
Compare = rpc_pb2.Compare


class Call:
    """A call, as the service sees it."""

    def __init__(self) -> None:
        self.cancelled = False
        self.metadata: tuple[Field, ...] = ()
        self.peer = Peer()
        self.response: rpc_pb2.TxnResponse | None = None
        self.error: tuple[Code, str] | None = None

    def reply(self, message: bytes) -> None:
        self.response = rpc_pb2.TxnResponse.FromString(message)

    def reply_parts(self, parts: Sequence[bytes]) -> None:
        self.reply(b"".join(parts))

    def fail(self, status: Code, message: str) -> None:
        self.error = (status, message)

    @property
    def over(self) -> bool:
        return self.response is not None or self.error is not None


def key(number: int) -> bytes:
    return b"k%06d" % number


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[Context]:
    """A store of many keys."""
    clock = HurriedClock()
    store = Store(Storage(tmp_path / "kv"), clock)
    for number in range(KEYS):
        write.put(store, rpc_pb2.PutRequest(key=key(number), value=b"v%d" % number))
    await store.durable()
    one = Context.of(store, clock, KvOptions())
    compacting = asyncio.create_task(one.compactor.run())
    yield one
    compacting.cancel()
    await asyncio.gather(compacting, return_exceptions=True)
    one.reads.close()
    await store.close()


def begin(context: Context, request: rpc_pb2.TxnRequest) -> Call:
    """Ask for a transaction; what takes more than one step goes on by itself."""
    call = Call()
    KvService(context).txn(cast("UnaryCall", call), request.SerializeToString())
    return call


async def ended(call: Call) -> rpc_pb2.TxnResponse:
    async with asyncio.timeout(30):
        while not call.over:
            await asyncio.sleep(0)
    assert call.error is None
    assert call.response is not None
    return call.response


def compare_all(
    request: rpc_pb2.TxnRequest, target: int = Compare.VERSION, result: int = Compare.EQUAL
) -> rpc_pb2.Compare:
    """Add a compare over all the keys."""
    compare = request.compare.add(key=b"k", range_end=b"l")
    compare.target, compare.result = target, result  # type: ignore[assignment]
    return compare


def read_all(operation: rpc_pb2.RequestOp) -> None:
    operation.request_range.key, operation.request_range.range_end = b"k", b"l"


def reading() -> rpc_pb2.TxnRequest:
    """A transaction that compares everything twice and reads everything, also in a nested one."""
    request = rpc_pb2.TxnRequest()
    compare_all(request).version = 1
    nested = request.success.add().request_txn
    compare_all(nested, Compare.CREATE, Compare.LESS).create_revision = KEYS + 2
    read_all(nested.success.add())
    nested.success.add().request_range.key = key(1)
    request.success.add().request_range.key = key(2)
    read_all(request.success.add())
    return request


def check_reading(response: rpc_pb2.TxnResponse, revision: int) -> None:
    """Check that *response* is what ``reading`` sees at *revision*, when the keys were filled."""
    assert response.header.revision == revision
    assert response.succeeded
    nested = response.responses[0].response_txn
    assert nested.succeeded
    for found in (nested.responses[0], response.responses[2]):
        assert [kv.key for kv in found.response_range.kvs] == [key(n) for n in range(KEYS)]
        assert {kv.version for kv in found.response_range.kvs} == {1}
    assert nested.responses[1].response_range.kvs[0].value == b"v1"
    assert response.responses[1].response_range.kvs[0].value == b"v2"


def writing() -> rpc_pb2.TxnRequest:
    request = rpc_pb2.TxnRequest()
    compare_all(request, Compare.VALUE, Compare.GREATER).value = b"a"
    request.success.add().request_put.key = b"a"
    return request


@pytest.mark.parametrize("make", [reading, writing])
async def test_a_compare_over_many_keys_is_evaluated_some_hundred_at_a_time(
    context: Context, make: Callable[[], rpc_pb2.TxnRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    compared = 0
    holds_for = txn_decide._holds_for

    def counted(state: State | None, compare: rpc_pb2.Compare) -> bool:
        nonlocal compared
        compared += 1
        turns.done += 1
        return holds_for(state, compare)

    monkeypatch.setattr(txn_decide, "_holds_for", counted)
    response = await ended(begin(context, make()))
    await turns.end()
    assert response.succeeded
    assert compared >= KEYS
    assert turns.most <= WORK_PER_STEP


def delete_all(store: Store) -> None:
    request = rpc_pb2.DeleteRangeRequest(key=b"k", range_end=b"l")
    context_free: list[object] = []
    store.gate.perform(write.delete_range(store, request), context_free.append)


def put_all(store: Store) -> None:
    for number in range(KEYS):
        write.put(store, rpc_pb2.PutRequest(key=key(number), value=b"later"))


@pytest.mark.parametrize("steps_first", [0, 1, 4, 30])
@pytest.mark.parametrize("change", [delete_all, put_all])
async def test_one_that_only_reads_sees_one_revision_whatever_is_committed_meanwhile(
    context: Context,
    change: Callable[[Store], None],
    steps_first: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, stepper = context.store, context.reads._stepper
    revision = store.revision
    # Its turns come when this test says so.
    monkeypatch.setattr(stepper, "_schedule", lambda: None)
    call = begin(context, reading())
    for _ in range(steps_first):
        stepper._turn()
    write.put(store, rpc_pb2.PutRequest(key=b"k0", value=b"new"))
    change(store)
    committed = store.durable()
    while not committed.done():
        # Some of its steps are taken while the commit is being merged.
        if store.merging and not call.over:
            stepper._turn()
        await asyncio.sleep(0)
    while store.gate.closed or not store.settled:
        await asyncio.sleep(0)
    assert store.revision > revision
    while not call.over:
        stepper._turn()
    assert call.response is not None
    check_reading(call.response, revision)


async def test_one_that_begins_while_a_commit_is_merged_sees_nothing_of_it(
    context: Context,
) -> None:
    store = context.store
    revision = store.revision
    put_all(store)
    store.durable()
    async with asyncio.timeout(30):
        while not store.index.merging:
            await asyncio.sleep(0)
    assert store.revision == revision
    check_reading(await ended(begin(context, reading())), revision)


async def test_a_compaction_leaves_what_a_transaction_that_reads_still_needs(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, stepper = context.store, context.reads._stepper
    revision = store.revision
    request = reading()
    old = request.success.add().request_range
    old.key, old.range_end, old.revision, old.count_only = b"k", b"l", 11, True
    monkeypatch.setattr(stepper, "_schedule", lambda: None)
    call = begin(context, request)
    stepper._turn()
    put_all(store)
    await store.durable()
    context.compactor.schedule(store.revision)
    await store.durable()
    context.compactor.begin()
    compacted = asyncio.create_task(context.compactor.finished(store.revision))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not compacted.done()
    while not call.over:
        stepper._turn()
    await compacted
    assert call.response is not None
    check_reading(call.response, revision)
    assert call.response.responses[3].response_range.count == 10


TARGETS: dict[str, tuple[int, int, dict[str, object]]] = {
    "versions are 1": (Compare.VERSION, Compare.EQUAL, {"version": 1}),
    "versions are above 0": (Compare.VERSION, Compare.GREATER, {"version": 0}),
    "changed before": (Compare.MOD, Compare.LESS, {"mod_revision": KEYS + 2}),
    "created before": (Compare.CREATE, Compare.LESS, {"create_revision": 2 * KEYS}),
    "no value is x": (Compare.VALUE, Compare.NOT_EQUAL, {"value": b"x"}),
    "all values are v": (Compare.VALUE, Compare.GREATER, {"value": b"v"}),
    "no lease": (Compare.LEASE, Compare.EQUAL, {"lease": 0}),
}


@pytest.mark.parametrize("name", TARGETS)
async def test_one_that_writes_compares_with_all_that_is_staged(
    context: Context, name: str
) -> None:
    target, result, value = TARGETS[name]
    store = context.store
    for number in range(0, KEYS, 3):
        write.put(store, rpc_pb2.PutRequest(key=key(number), value=b"v-again"))
    for number in range(1, KEYS, 3):
        body = write.delete_range(store, rpc_pb2.DeleteRangeRequest(key=key(number)))
        for _ in body:
            continue
    for number in range(500):
        write.put(store, rpc_pb2.PutRequest(key=b"kk%d" % number, value=b"v-new"))
    # The commit is merged between the steps of the transaction.
    committed = store.durable()
    request = rpc_pb2.TxnRequest()
    compare = compare_all(request, target, result)
    for field, wanted in value.items():
        setattr(compare, field, wanted)
    request.success.add().request_put.key = b"a"
    states = [store.current(one) for one in store.current_keys((b"k", b"l"))]
    expected = all(txn_decide._holds_for(state, compare) for state in states)
    response = await ended(begin(context, request))
    assert response.succeeded == expected
    await committed


async def test_writes_wait_for_one_that_compares_and_come_after_it(context: Context) -> None:
    store = context.store
    call = begin(context, writing())
    assert store.gate.closed
    put = Call()
    service = KvService(context)
    message = rpc_pb2.PutRequest(key=key(5), value=b"A").SerializeToString()
    service.put(cast("UnaryCall", put), message)
    response = await ended(call)
    # Its compare holds only as long as no value is below b"a".
    assert response.succeeded
    while not put.over:
        await asyncio.sleep(0)
    assert store.revision == response.header.revision + 1


def many_puts(lease_of_last: int = 0) -> rpc_pb2.TxnRequest:
    """A transaction of forty nested ones with eighty puts each."""
    request = rpc_pb2.TxnRequest()
    for first in range(40):
        nested = request.success.add().request_txn
        for second in range(80):
            nested.success.add().request_put.key = b"n%02d%02d" % (first, second)
    request.success[39].request_txn.success[79].request_put.lease = lease_of_last
    return request


async def test_very_many_operations_are_done_in_steps_and_are_one_revision(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = context.store
    turns = Turns()
    stage = store.stage_put

    def counted(change: int, key: bytes, value: bytes, lease: int) -> None:
        turns.done += 1
        stage(change, key, value, lease)

    monkeypatch.setattr(store, "stage_put", counted)
    revision = store.revision
    response = await ended(begin(context, many_puts()))
    await turns.end()
    assert turns.most <= WORK_PER_STEP
    assert response.header.revision == revision + 1
    assert [len(one.response_txn.responses) for one in response.responses] == [80] * 40
    assert len(store.current_keys((b"n", b"o"))) == 3_200


async def test_an_error_after_many_steps_leaves_nothing_behind(context: Context) -> None:
    store = context.store
    call = begin(context, many_puts(lease_of_last=404))
    while not call.over:
        await asyncio.sleep(0)
    assert call.error == (Code.NOT_FOUND, "etcdserver: requested lease not found")
    assert not store.staged
    assert not store.gate.closed or store.gate.staging is False


@pytest.mark.parametrize(
    ("low", "high", "refused"),
    [
        (b"n0000", b"", True),
        (b"n3979", b"", True),
        (b"n1", b"n2", True),
        (b"n0000a", b"n0001", False),
        (b"n9", b"z", False),
        (b"n1", b"\0", False),
    ],
)
async def test_a_put_and_a_deletion_that_meet_anywhere_in_many_are_refused(
    context: Context, low: bytes, high: bytes, *, refused: bool
) -> None:
    request = many_puts()
    # Intervals that touch, overlap and contain one another, before the one that matters.
    for first, end in ((b"a", b"c"), (b"c", b"d"), (b"x", b"y"), (b"b", b"e"), (low, high)):
        deletion = request.success.add().request_delete_range
        deletion.key, deletion.range_end = first, end
    call = begin(context, request)
    while not call.over:
        await asyncio.sleep(0)
    if refused:
        assert call.error is not None
        assert "duplicate key" in call.error[1]
    else:
        assert call.error is None


async def test_a_long_one_whose_caller_has_gone_is_given_up(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper = context.reads._stepper
    call = begin(context, reading())
    call.cancelled = True
    while stepper._running:
        await asyncio.sleep(0)
    assert not call.over
    assert not context.store.pinned_below(1 << 60)
