"""The store by itself: failures of the disk, long reads, limits."""

import asyncio
from collections.abc import Callable

import pytest

from c101.core.kv import write
from c101.core.kv.compactor import Compactor
from c101.core.kv.reads import Reads
from c101.core.kv.record import VERSION
from c101.core.kv.store import Store
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import Code, RpcError

KEYS = 3_000


def put(store: Store, key: bytes, value: bytes = b"") -> None:
    write.put(store, rpc_pb2.PutRequest(key=key, value=value))


def delete(store: Store, key: bytes, range_end: bytes = b"") -> None:
    """Stage a deletion; one of many keys goes on in later turns of the loop."""
    request = rpc_pb2.DeleteRangeRequest(key=key, range_end=range_end)

    def staged(result: list[bytes] | RpcError) -> None:
        assert isinstance(result, list)
        store.durable()

    store.gate.perform(write.delete_range(store, request), staged)


async def read(
    reads: Reads, request: rpc_pb2.RangeRequest, between: Callable[[int], None] | None = None
) -> rpc_pb2.RangeResponse:
    """Read, doing *between* at every pause."""
    answers: list[list[bytes] | RpcError] = []
    reads.range(request, answers.append, lambda: False)
    pause = 0
    while not answers:
        if between is not None:
            between(pause)
        pause += 1
        await asyncio.sleep(0)
    assert isinstance(answers[0], list), answers[0]
    return rpc_pb2.RangeResponse.FromString(b"".join(answers[0]))


def everything(**options: object) -> rpc_pb2.RangeRequest:
    return rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0", **options)  # type: ignore[arg-type]


async def fill(store: Store) -> None:
    for number in range(KEYS):
        put(store, b"%05d" % number, b"old")
    await store.durable()


async def test_a_full_disk_refuses_writes_and_recovers_when_there_is_room(store: Store) -> None:
    put(store, b"a", b"1")
    await store.durable()
    execute = store.storage.writer.execute
    pages = execute("pragma page_count").fetchone()[0]
    execute(f"pragma max_page_count={pages}")
    refused = None
    for number in range(100):
        put(store, b"b%d" % number, bytes(5000))
        try:
            await store.durable()
        except RpcError as exc:
            refused = exc
            break
    assert refused is not None
    assert refused.status is Code.RESOURCE_EXHAUSTED
    assert refused.message == "etcdserver: mvcc: database space exceeded"
    before = store.revision
    assert store.staged_revision == before
    assert not store.staged
    execute("pragma max_page_count=100000")
    put(store, b"c", b"3")
    await store.durable()
    assert store.revision == before + 1
    assert b"b%d" % number not in store.index.states


async def test_a_failed_disk_leaves_the_store_readable_only(store: Store, reads: Reads) -> None:
    put(store, b"a", b"1")
    await store.durable()
    store.storage.writer.close()
    put(store, b"b", b"2")
    with pytest.raises(RpcError, match="storage failed") as refused:
        await store.durable()
    assert refused.value.status is Code.UNAVAILABLE
    with pytest.raises(RpcError, match="read-only"):
        store.admit()
    found = await read(reads, everything())
    assert [kv.key for kv in found.kvs] == [b"a"]


class Then:
    """An answer that does something as its commit is merged."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def reply(self, _message: bytes) -> None:
        self._then()

    def fail(self, status: Code, message: str) -> None:
        raise RpcError(status, message)


async def test_a_key_deleted_twice_within_two_commits_is_gone_for_the_next_write(
    store: Store,
) -> None:
    put(store, b"a")
    await store.durable()
    found: list[object] = []

    def look() -> None:
        # What came before the second deletion is merged, the deletion is being written.
        found.append(store.current(b"a"))
        put(store, b"a", b"again")
        found.append(store.current(b"a"))

    delete(store, b"a")
    put(store, b"a")
    store.answer(Then(look), b"")
    store._submit()
    delete(store, b"a")
    await store.durable()
    await store.durable()
    missing, state = found
    assert missing is None
    assert isinstance(state, tuple)
    assert state[VERSION] == 1
    assert store.index.states[b"a"] == state
    assert not store.staged


async def test_a_refusal_waits_for_what_it_was_decided_by(store: Store) -> None:
    heard: list[str] = []

    class Hears:
        def reply(self, _message: bytes) -> None:
            heard.append("durable")

        def fail(self, _status: Code, message: str) -> None:
            heard.append(message)

    store.refuse(Hears(), RpcError(Code.NOT_FOUND, "settled"))
    put(store, b"a")
    store.answer(Hears(), b"")
    store.refuse(Hears(), RpcError(Code.NOT_FOUND, "refused"))
    store.refuse(Hears(), RpcError(Code.RESOURCE_EXHAUSTED, "too many"))
    assert heard == ["settled", "too many"]
    await store.durable()
    assert heard == ["settled", "too many", "durable", "refused"]


async def test_nothing_is_visible_before_its_commit(store: Store) -> None:
    put(store, b"a", b"1")
    assert store.current(b"a") is not None
    assert b"a" not in store.index.states
    assert store.revision == 1
    await store.durable()
    assert b"a" in store.index.states
    assert store.revision == 2


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"limit": 2_500},
        {"keys_only": True},
        {"sort_order": 2},
        {"sort_target": 3, "sort_order": 2},
        {"sort_target": 4, "sort_order": 1, "limit": 100},
        {"max_mod_revision": 2_000},
    ],
)
async def test_a_long_range_sees_one_revision_whatever_happens_meanwhile(
    store: Store, reads: Reads, options: dict[str, int]
) -> None:
    await fill(store)
    expected = await read(reads, everything(**options))

    def disturb(pause: int) -> None:
        put(store, b"%05d" % (KEYS - 1 - pause), b"new")
        put(store, b"%05d.5" % (KEYS - 1 - pause), b"new")
        delete(store, b"%05d" % (KEYS - 100 - pause))
        store.durable().add_done_callback(lambda done: done.result())

    found = await read(reads, everything(**options), disturb)
    await store.durable()
    assert found == expected
    assert store.revision > KEYS + 1


async def test_a_long_range_keeps_what_a_compaction_would_drop(
    store: Store, reads: Reads, compactor: Compactor
) -> None:
    await fill(store)
    expected = await read(reads, everything())

    def disturb(pause: int) -> None:
        if pause:
            return
        for number in range(KEYS):
            put(store, b"%05d" % number, b"new")

        def compact(_: object) -> None:
            compactor.schedule(store.revision)
            store.durable().add_done_callback(lambda _: compactor.begin())

        store.durable().add_done_callback(compact)

    found = await read(reads, everything(), disturb)
    assert found == expected
    await compactor.finished(store.revision)
    assert store.storage.scan(0, 1 << 62, 10 * KEYS)[0][2] is not None
    assert len(store.storage.scan(0, 1 << 62, 10 * KEYS)) == KEYS


async def test_an_old_revision_counts_as_it_reads(store: Store, reads: Reads) -> None:
    await fill(store)
    revision = store.revision
    delete(store, b"\0", b"\0")
    await store.durable()
    counted = await read(reads, everything(revision=revision, count_only=True))
    assert counted.count == KEYS
    assert len((await read(reads, everything(revision=revision))).kvs) == KEYS
    assert (await read(reads, everything())).count == 0
