"""Put and DeleteRange: the checks against what is there, and the changes they stage.

What may touch many keys is a generator of steps, to be run through the store's write gate.
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from heapq import merge
from itertools import islice

from c101.core.kv import refusal
from c101.core.kv.pieces import Pieces
from c101.core.kv.record import LEASE, State, as_field_3, value_of, varint
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import CHANGES_PER_REVISION_MAX, SHIFT
from c101.core.kv.stepper import Steps
from c101.core.kv.store import Store
from c101.core.kv.tree import Interval, contains, interval
from c101.core.kv.txn_check import check_put
from c101.core.proto import rpc_pb2

#: Keys looked for, or staged, before others get a turn.
KEYS_PER_STEP = 128
#: Leases ended at the same time before others get a turn, or as many as have KEYS_PER_STEP keys.
LEASES_PER_STEP = 100
#: Staged states looked at for their lease before others get a turn: each takes a glance.
STAGED_PER_STEP = 10_000

_DELETED = b"\x10"  # field 2 of DeleteRangeResponse


def put(store: Store, request: rpc_pb2.PutRequest) -> bytes:
    """Stage a put as a revision of its own; return the body of its answer.

    Raises RpcError, and stages nothing, for what etcd refuses.
    """
    check_put(request)
    lease = request.lease
    if lease and store.lessor.lookup(lease) is None:
        raise refuse(refusal.LEASE_NOT_FOUND)
    revision = store.staged_revision + 1
    if request.prev_kv or _ignores(request):
        if _ignores(request) and store.current(request.key) is None:
            raise refuse(refusal.KEY_NOT_FOUND)
        body = apply_put(store, request, revision << SHIFT)
    else:
        store.stage_put(revision << SHIFT, request.key, request.value, lease)
        body = b""
    store.staged_revision = revision
    return body


def _ignores(request: rpc_pb2.PutRequest) -> bool:
    return request.ignore_value or request.ignore_lease


def check_put_state(store: Store, request: rpc_pb2.PutRequest, previous: State | None) -> None:
    """Raise RpcError for a put of a transaction that what is there does not allow."""
    if _ignores(request) and previous is None:
        raise refuse(refusal.KEY_NOT_FOUND)
    if request.lease and store.lessor.lookup(request.lease) is None:
        raise refuse(refusal.LEASE_NOT_FOUND)


def apply_put(store: Store, request: rpc_pb2.PutRequest, change: int) -> bytes:
    """Stage a checked put as *change*; return the body of its answer: prev_kv when asked for."""
    previous = store.current(request.key)
    value, lease = request.value, request.lease
    if previous is not None:
        if request.ignore_value:
            value = value_of(previous)
        if request.ignore_lease:
            lease = previous[LEASE]
    store.stage_put(change, request.key, value, lease)
    # prev_kv of PutResponse is field 2, as the state is kept.
    return previous[0] if request.prev_kv and previous is not None else b""


def delete_range(store: Store, request: rpc_pb2.DeleteRangeRequest) -> Steps:
    """Stage a deletion as a revision of its own, if there is anything to delete; return the body.

    Raises RpcError, and stages nothing, for what is refused.
    """
    span = interval(request.key, request.range_end)
    count, body = yield from apply_delete(store, request, span, store.staged_revision + 1, 0)
    if count:
        store.staged_revision += 1
    return body


def apply_delete(
    store: Store, request: rpc_pb2.DeleteRangeRequest, span: Interval, revision: int, sub: int
) -> Generator[None, None, tuple[int, list[bytes]]]:
    """Stage the deletion of all keys in *span* as changes *sub* and following of *revision*.

    Returns how many there are, and the body of the answer. The write gate must be ours.
    """
    keys = yield from keys_to_delete(store, span)
    if not keys:
        return 0, []
    body = Pieces()
    body.add(_DELETED + varint(len(keys)))
    if request.prev_kv:
        for first in range(0, len(keys), KEYS_PER_STEP):
            if first:
                yield
            states = map(store.current, keys[first : first + KEYS_PER_STEP])
            body.extend([as_field_3(state) for state in states if state is not None])
    yield from stage_deletes(store, keys, revision, sub)
    return len(keys), body.take()


def stage_deletes(
    store: Store, keys: list[bytes], revision: int, sub: int
) -> Generator[None, None, None]:
    """Stage the deletion of *keys* as changes *sub* and following of *revision*."""
    if sub + len(keys) > CHANGES_PER_REVISION_MAX:
        raise refuse(refusal.REQUEST_TOO_LARGE)
    for first in range(0, len(keys), KEYS_PER_STEP):
        if first:
            yield
        store.stage_deletes(keys[first : first + KEYS_PER_STEP], revision, sub + first)


def keys_to_delete(store: Store, span: Interval) -> Generator[None, None, list[bytes]]:
    """Return the keys of *span* that exist with everything staged applied, in order.

    Commits may be merged between the steps: that changes nothing of what a write sees.
    """
    low, high = span
    if high == low + b"\0":
        return [low] if store.current(low) is not None else []
    if store.index.living.count(span) + len(store.staged) <= KEYS_PER_STEP:
        return store.current_keys(span)
    found: list[bytes] = []
    for keys in current_keys_in_steps(store, span):
        if keys is None:
            yield
        else:
            found += keys
    return found


def current_keys_in_steps(store: Store, span: Interval) -> Iterator[list[bytes] | None]:
    """Yield the keys of ``keys_to_delete``, some hundred at a time; ``None`` for a turn."""
    high = span[1]
    current = store.current
    touched = yield from in_order(list(store.staged), lambda key: contains(span, key))
    position = 0
    rest: Interval | None = span
    while rest is not None:
        yield None
        keys = store.index.living.within(rest, KEYS_PER_STEP)
        rest = (keys[-1] + b"\0", high) if len(keys) == KEYS_PER_STEP else None
        end = position + KEYS_PER_STEP
        if end < len(touched) and (rest is None or touched[end] < rest[0]):
            rest = (touched[end], high)
            del keys[bisect_left(keys, touched[end]) :]
        elif rest is None:
            end = len(touched)
        else:
            end = bisect_left(touched, rest[0], position)
        both = sorted({*keys, *touched[position:end]}) if end > position else keys
        yield [key for key in both if current(key) is not None]
        position = end


def in_order(
    keys: list[bytes], wanted: Callable[[bytes], bool]
) -> Generator[None, None, list[bytes]]:
    """Return those of *keys* that are *wanted*, sorted, each once."""
    runs: list[list[bytes]] = []
    for first in range(0, len(keys), KEYS_PER_STEP):
        if first:
            yield
        runs.append(sorted(filter(wanted, keys[first : first + KEYS_PER_STEP])))
    if len(runs) == 1:
        return list(dict.fromkeys(runs[0]))
    merged = merge(*runs)
    ordered: list[bytes] = []
    while some := list(dict.fromkeys(islice(merged, KEYS_PER_STEP))):
        yield
        if ordered and ordered[-1] == some[0]:
            del some[0]
        ordered += some
    return ordered


def revoke(store: Store, lease_id: int) -> Steps:
    """Stage the end of a lease: its keys go in one revision, together with its record.

    Raises RpcError if there is no such lease.
    """
    if store.lessor.lookup(lease_id) is None:
        raise refuse(refusal.LEASE_NOT_FOUND)
    staged = yield from _staged_on(store, (lease_id,))
    yield from _end(store, lease_id, staged[lease_id])
    return []


def revoke_some(store: Store, lease_ids: Sequence[int]) -> Generator[None, None, int]:
    """Stage the ends of the first of *lease_ids*, each a revision of its own; return how many.

    They are as many as one step takes, so that writes wait for one large lease at most. A lease
    that is gone counts as ended.
    """
    some = lease_ids[:LEASES_PER_STEP]
    staged = yield from _staged_on(store, some)
    keys = 0
    for number, lease_id in enumerate(some, 1):
        if store.lessor.lookup(lease_id) is not None:
            keys += yield from _end(store, lease_id, staged[lease_id])
        if keys >= KEYS_PER_STEP:
            return number
    return len(some)


def _staged_on(
    store: Store, lease_ids: Sequence[int]
) -> Generator[None, None, dict[int, list[bytes]]]:
    """Return the keys that what is staged puts on each of *lease_ids*."""
    found: dict[int, list[bytes]] = {lease_id: [] for lease_id in lease_ids}
    staged = list(store.staged.items())
    for first in range(0, len(staged), STAGED_PER_STEP):
        if first:
            yield
        for key, state in staged[first : first + STAGED_PER_STEP]:
            if state is not None and state[LEASE] in found:
                found[state[LEASE]].append(key)
    return found


def _end(store: Store, lease_id: int, staged: list[bytes]) -> Generator[None, None, int]:
    """Stage the end of a lease on which *staged* hang besides what is committed; count its keys."""

    def attached(key: bytes) -> bool:
        state = store.current(key)
        return state is not None and state[LEASE] == lease_id

    keys = yield from in_order([*store.lessor.attached(lease_id), *staged], attached)
    if keys:
        yield from stage_deletes(store, keys, store.staged_revision + 1, 0)
        store.staged_revision += 1
    store.stage_lease(lease_id, 0)
    return len(keys)
