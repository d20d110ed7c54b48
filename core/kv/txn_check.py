"""What is refused of a write before anything is looked at: shape and contradictions."""

from bisect import bisect_left, bisect_right
from collections.abc import Generator, Sequence
from enum import IntEnum

from c101.core.kv import refusal
from c101.core.kv.pace import Pace
from c101.core.kv.range_read import check_range
from c101.core.kv.refusal import refuse
from c101.core.proto import rpc_pb2

#: Entries of a list that are moved in the time that a key takes to be looked at.
_MOVED_PER_KEY = 2_000

_Ops = Sequence[rpc_pb2.RequestOp]


def check_put(request: rpc_pb2.PutRequest) -> None:
    """Raise RpcError for a put without key, or that both gives and ignores something."""
    if not request.key:
        raise refuse(refusal.KEY_NOT_PROVIDED)
    if request.ignore_value and request.value:
        raise refuse(refusal.VALUE_PROVIDED)
    if request.ignore_lease and request.lease:
        raise refuse(refusal.LEASE_PROVIDED)


class Effect(IntEnum):
    """The most that any branch of a transaction, at any depth, could do."""

    NONE = 0
    DELETES = 1
    PUTS = 2


def check_txn(
    request: rpc_pb2.TxnRequest, operations_max: int, pace: Pace
) -> Generator[None, None, Effect]:
    """Return what a transaction could do.

    It may have *operations_max* compares, and as many operations in a branch; what it leaves of
    that its nested ones have. Raises RpcError for one that is too large, malformed or changes a
    key twice.
    """
    effect = yield from _check_operations(request, operations_max, pace)
    if effect:
        for branch in (request.success, request.failure):
            # A single operation contradicts nothing.
            if len(branch) > 1 or (branch and branch[0].HasField("request_txn")):
                yield from _changed_keys(branch, pace)
    return effect


def _check_operations(
    request: rpc_pb2.TxnRequest, operations_max: int, pace: Pace
) -> Generator[None, None, Effect]:
    """Return the most that any operation, at any depth, could do."""
    used = max(len(request.compare), len(request.success), len(request.failure))
    if used > operations_max:
        raise refuse(refusal.TOO_MANY_OPERATIONS)
    if not all(compare.key for compare in request.compare):
        raise refuse(refusal.KEY_NOT_PROVIDED)
    effect = Effect.NONE
    for branch in (request.success, request.failure):
        for op in branch:
            kind = op.WhichOneof("request")
            if kind == "request_txn":
                nested = _check_operations(op.request_txn, operations_max - used, pace)
                effect = max(effect, (yield from nested))
            else:
                effect = max(effect, _check_operation(op, kind))
    if pace.spent(len(request.compare) + len(request.success) + len(request.failure)):
        yield
    return effect


def _check_operation(op: rpc_pb2.RequestOp, kind: str | None) -> Effect:
    match kind:
        case "request_range":
            check_range(op.request_range)
            return Effect.NONE
        case "request_put":
            check_put(op.request_put)
            return Effect.PUTS
        case "request_delete_range":
            if not op.request_delete_range.key:
                raise refuse(refusal.KEY_NOT_PROVIDED)
            return Effect.DELETES
        case _:
            # etcd's own words for an operation that is none.
            raise refuse(refusal.KEY_NOT_FOUND)


class _Deletes:
    r"""What is deleted, as intervals that do not touch each other, in order.

    An end of ``\0`` is taken literally here, as etcd does: nothing is in such an interval.
    """

    __slots__ = ("highs", "lows")

    def __init__(self) -> None:
        self.lows: list[bytes] = []
        self.highs: list[bytes] = []

    def add(self, low: bytes, high: bytes) -> None:
        """Count all keys from *low* up to, not including, *high* as deleted."""
        if high <= low:
            return
        lows, highs = self.lows, self.highs
        first, end = bisect_left(highs, low), bisect_right(lows, high)
        if first < end:
            low, high = min(low, lows[first]), max(high, highs[end - 1])
        lows[first:end] = (low,)
        highs[first:end] = (high,)

    def refuse_if_deleted(self, key: bytes) -> None:
        """Raise RpcError for a key that is deleted."""
        at = bisect_right(self.lows, key)
        if at and key < self.highs[at - 1]:
            raise refuse(refusal.DUPLICATE_KEY)


def _changed_keys(branch: _Ops, pace: Pace) -> Generator[None, None, tuple[set[bytes], _Deletes]]:
    """Return what *branch* may put and delete at any depth.

    Raises RpcError for a key that is put twice, or put and deleted.

    The branches of one nested transaction exclude each other, so both may put the same key.
    Deletes do not contradict each other.
    """
    deletes = _Deletes()
    for op in branch:
        if op.HasField("request_delete_range"):
            request = op.request_delete_range
            deletes.add(request.key, request.range_end or request.key + b"\0")
    puts: set[bytes] = set()
    plain = []
    for op in branch:
        if op.HasField("request_txn"):
            yield from _add_nested(puts, deletes, op.request_txn, pace)
        elif op.HasField("request_put"):
            plain.append(op.request_put.key)
    for key in plain:
        _add_put(puts, key, deletes)
    if pace.spent(len(branch)):
        yield
    return puts, deletes


def _add_nested(
    puts: set[bytes], deletes: _Deletes, request: rpc_pb2.TxnRequest, pace: Pace
) -> Generator[None, None, None]:
    then_puts, then_deletes = yield from _changed_keys(request.success, pace)
    else_puts, else_deletes = yield from _changed_keys(request.failure, pace)
    for key in then_puts:
        _add_put(puts, key, deletes)
        if pace.spent():
            yield
    for key in else_puts:
        if key in then_puts:
            deletes.refuse_if_deleted(key)
        else:
            _add_put(puts, key, deletes)
        if pace.spent():
            yield
    for nested in (then_deletes, else_deletes):
        for low, high in zip(nested.lows, nested.highs, strict=True):
            deletes.add(low, high)
            # To insert among very many moves those behind it.
            if pace.spent(1 + len(deletes.lows) // _MOVED_PER_KEY):
                yield


def _add_put(puts: set[bytes], key: bytes, deletes: _Deletes) -> None:
    if key in puts:
        raise refuse(refusal.DUPLICATE_KEY)
    if deletes.lows:
        deletes.refuse_if_deleted(key)
    puts.add(key)
