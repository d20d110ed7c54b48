"""Put and DeleteRange: the checks against what is there, and the changes they stage."""

from c101.core.kv import refusal
from c101.core.kv.record import LEASE, State, as_field_3, value_of, varint
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import SHIFT
from c101.core.kv.store import Store
from c101.core.kv.tree import Interval, interval
from c101.core.kv.txn_check import check_put
from c101.core.proto import rpc_pb2

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


def delete_range(store: Store, request: rpc_pb2.DeleteRangeRequest) -> bytes:
    """Stage a deletion as a revision of its own, if there is anything to delete; return the body.

    Raises RpcError, and stages nothing, for what is refused.
    """
    span = interval(request.key, request.range_end)
    count, body = apply_delete(store, request, span, store.staged_revision + 1, 0)
    if count:
        store.staged_revision += 1
    return body


def apply_delete(
    store: Store, request: rpc_pb2.DeleteRangeRequest, span: Interval, revision: int, sub: int
) -> tuple[int, bytes]:
    """Stage the deletion of all keys in *span* as changes *sub* and following of *revision*.

    Returns how many there are, and the body of the answer.
    """
    keys = keys_to_delete(store, span)
    body = b""
    if keys:
        body = _DELETED + varint(len(keys))
        if request.prev_kv:
            states = map(store.current, keys)
            body += b"".join(as_field_3(state) for state in states if state is not None)
        store.stage_deletes(keys, revision, sub)
    return len(keys), body


def keys_to_delete(store: Store, span: Interval) -> list[bytes]:
    """Return the keys of *span* that exist with everything staged applied, in order."""
    low, high = span
    if high == low + b"\0":
        return [low] if store.current(low) is not None else []
    return store.current_keys(span)


def revoke(store: Store, lease_id: int) -> None:
    """Stage the end of a lease: its keys go in one revision, together with its record.

    Raises RpcError if there is no such lease.
    """
    if store.lessor.lookup(lease_id) is None:
        raise refuse(refusal.LEASE_NOT_FOUND)
    keys = store.leased_keys(lease_id)
    if keys:
        store.stage_deletes(keys, store.staged_revision + 1, 0)
        store.staged_revision += 1
    store.stage_lease(lease_id, 0)
