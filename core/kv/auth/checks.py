"""What a request needs to be permitted: each key it reads, and each it writes.

The functions raise RpcError for what is not permitted, and are called only while auth is on. What
writes is checked when it is staged, in the same step of the write gate.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import Literal, Protocol

from c101.core.kv import refusal
from c101.core.kv.auth.authority import Authority
from c101.core.kv.auth.caller import Caller
from c101.core.kv.auth.rights import Keys, Rights
from c101.core.kv.refusal import refuse
from c101.core.proto import rpc_pb2

#: Keys of a lease looked at before others get a turn.
KEYS_PER_STEP = 2_000

What = Literal["read", "watch", "write"]

#: Yields where others may have a turn.
Checking = Generator[None, None, None]


class Leases(Protocol):
    """Knows which keys hang on a lease."""

    def attached(self, lease_id: int, /) -> Sequence[bytes]:
        """Return them; none of a lease that is not there."""
        ...


def check_read(auth: Authority, caller: Caller, key: bytes, range_end: bytes = b"") -> None:
    """Check that *caller* may read a range, in the forms of a request."""
    _check(auth, caller, key, range_end, "read")


def check_watch(auth: Authority, caller: Caller, key: bytes, range_end: bytes = b"") -> None:
    """Check that *caller* may follow a range, in the forms of a request."""
    _check(auth, caller, key, range_end, "watch")


def check_write(auth: Authority, caller: Caller, key: bytes, range_end: bytes = b"") -> None:
    """Check that *caller* may put or delete a range, in the forms of a request."""
    _check(auth, caller, key, range_end, "write")


def _check(auth: Authority, caller: Caller, key: bytes, range_end: bytes, what: What) -> None:
    if caller.trusted:
        return
    if not caller.revision:
        raise refuse(refusal.USER_EMPTY)
    rights = auth.rights(caller)
    if rights is None:
        raise refuse(refusal.PERMISSION_DENIED)
    if not (rights.root or _keys(rights, what).covers(key, range_end)):
        auth.denied(caller, f"to {what} {key!r}")
        raise refuse(refusal.PERMISSION_DENIED)


def _keys(rights: Rights, what: What) -> Keys:
    if what == "write":
        return rights.write
    return rights.read if what == "read" or rights.watch is None else rights.watch


def check_put(
    auth: Authority, leases: Leases, caller: Caller, request: rpc_pb2.PutRequest
) -> Checking:
    """Check a put that is being staged."""
    auth.require_fresh(caller)
    check_put_keys(auth, caller, request)
    if request.lease:
        # Who cannot end a lease must not hang keys on it.
        yield from check_lease(auth, leases, caller, request.lease)


def check_put_keys(auth: Authority, caller: Caller, request: rpc_pb2.PutRequest) -> None:
    """Check a put but for its lease."""
    check_write(auth, caller, request.key)
    if request.prev_kv:
        check_read(auth, caller, request.key)


def check_delete_range(
    auth: Authority, caller: Caller, request: rpc_pb2.DeleteRangeRequest
) -> None:
    """Check a deletion that is being staged."""
    auth.require_fresh(caller)
    _check_delete_range(auth, caller, request)


def _check_delete_range(
    auth: Authority, caller: Caller, request: rpc_pb2.DeleteRangeRequest
) -> None:
    check_write(auth, caller, request.key, request.range_end)
    if request.prev_kv:
        check_read(auth, caller, request.key, request.range_end)


def check_txn(
    auth: Authority, leases: Leases, caller: Caller, request: rpc_pb2.TxnRequest
) -> Checking:
    """Check all of a transaction that is being staged: both branches, at every depth."""
    auth.require_fresh(caller)
    for lease_id in check_txn_keys(auth, caller, request):
        yield from check_lease(auth, leases, caller, lease_id)


def check_txn_keys(auth: Authority, caller: Caller, request: rpc_pb2.TxnRequest) -> list[int]:
    """Check all of a transaction but the leases that it hangs keys on; return these."""
    leases = []
    for part in _transactions(request):
        _check_compares(auth, caller, part)
        for op in _operations(part):
            if op.HasField("request_put"):
                check_put_keys(auth, caller, op.request_put)
                if op.request_put.lease:
                    leases.append(op.request_put.lease)
            elif op.HasField("request_delete_range"):
                _check_delete_range(auth, caller, op.request_delete_range)
            elif op.HasField("request_range"):
                check_read(auth, caller, op.request_range.key, op.request_range.range_end)
    return list(dict.fromkeys(leases))


def check_read_only_txn(auth: Authority, caller: Caller, request: rpc_pb2.TxnRequest) -> None:
    """Check all of a transaction that has nothing but ranges."""
    for part in _transactions(request):
        _check_compares(auth, caller, part)
        for op in _operations(part):
            if op.HasField("request_range"):
                check_read(auth, caller, op.request_range.key, op.request_range.range_end)


def _check_compares(auth: Authority, caller: Caller, request: rpc_pb2.TxnRequest) -> None:
    for compare in request.compare:
        check_read(auth, caller, compare.key, compare.range_end)


def _transactions(request: rpc_pb2.TxnRequest) -> Iterator[rpc_pb2.TxnRequest]:
    yield request
    for op in _operations(request):
        if op.HasField("request_txn"):
            yield from _transactions(op.request_txn)


def _operations(request: rpc_pb2.TxnRequest) -> Iterator[rpc_pb2.RequestOp]:
    yield from request.success
    yield from request.failure


def check_lease(auth: Authority, leases: Leases, caller: Caller, lease_id: int) -> Checking:
    """Check that *caller* may write every key of a lease, as who ends or renews it does.

    What hangs on it and is not durable does not count: that could as well have come later.
    """
    if not auth.is_admin(caller):
        yield from _check_each(auth, caller, leases.attached(lease_id), "write")


def check_lease_keys(auth: Authority, caller: Caller, keys: Sequence[bytes]) -> Checking:
    """Check that *caller* may read every one of *keys*, which hang on a lease."""
    if not auth.is_admin(caller):
        yield from _check_each(auth, caller, keys, "read")


def _check_each(auth: Authority, caller: Caller, keys: Sequence[bytes], what: What) -> Checking:
    for first in range(0, len(keys), KEYS_PER_STEP):
        if first:
            yield
        for key in keys[first : first + KEYS_PER_STEP]:
            _check(auth, caller, key, b"", what)
