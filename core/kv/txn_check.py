"""What is refused of a write before anything is looked at: shape and contradictions."""

from collections.abc import Iterable, Sequence

from c101.core.kv import refusal
from c101.core.kv.range_read import check_range
from c101.core.kv.refusal import refuse
from c101.core.proto import rpc_pb2

_Ops = Sequence[rpc_pb2.RequestOp]


def check_put(request: rpc_pb2.PutRequest) -> None:
    """Raise RpcError for a put without key, or that both gives and ignores something."""
    if not request.key:
        raise refuse(refusal.KEY_NOT_PROVIDED)
    if request.ignore_value and request.value:
        raise refuse(refusal.VALUE_PROVIDED)
    if request.ignore_lease and request.lease:
        raise refuse(refusal.LEASE_PROVIDED)


def check_txn(request: rpc_pb2.TxnRequest, operations_max: int) -> None:
    """Raise RpcError for a transaction that is too large, malformed or changes a key twice.

    It may have *operations_max* compares, and as many operations in a branch; what it leaves of
    that its nested ones have.
    """
    _check_operations(request, operations_max)
    _changed_keys(request.success)
    _changed_keys(request.failure)


def _check_operations(request: rpc_pb2.TxnRequest, operations_max: int) -> None:
    used = max(len(request.compare), len(request.success), len(request.failure))
    if used > operations_max:
        raise refuse(refusal.TOO_MANY_OPERATIONS)
    if not all(compare.key for compare in request.compare):
        raise refuse(refusal.KEY_NOT_PROVIDED)
    for branch in (request.success, request.failure):
        for op in branch:
            _check_operation(op, operations_max - used)


def _check_operation(op: rpc_pb2.RequestOp, nested_max: int) -> None:
    match op.WhichOneof("request"):
        case "request_range":
            check_range(op.request_range)
        case "request_put":
            check_put(op.request_put)
        case "request_delete_range":
            if not op.request_delete_range.key:
                raise refuse(refusal.KEY_NOT_PROVIDED)
        case "request_txn":
            _check_operations(op.request_txn, nested_max)
        case _:
            # etcd's own words for an operation that is none.
            raise refuse(refusal.KEY_NOT_FOUND)


class _Deletes:
    r"""Intervals that are deleted. An end of ``\0`` is taken literally here, as etcd does."""

    def __init__(self) -> None:
        self.spans: list[tuple[bytes, bytes]] = []

    def refuse_if_deleted(self, key: bytes) -> None:
        if any(low <= key < high for low, high in self.spans):
            raise refuse(refusal.DUPLICATE_KEY)


def _changed_keys(branch: _Ops) -> tuple[set[bytes], _Deletes]:
    """Return what *branch* may put and delete at any depth.

    Raises RpcError for a key that is put twice, or put and deleted.

    The branches of one nested transaction exclude each other, so both may put the same key.
    Deletes do not contradict each other.
    """
    deletes = _Deletes()
    for op in branch:
        if op.HasField("request_delete_range"):
            request = op.request_delete_range
            deletes.spans.append((request.key, request.range_end or request.key + b"\0"))
    puts: set[bytes] = set()
    for op in branch:
        if op.HasField("request_txn"):
            then_puts, then_deletes = _changed_keys(op.request_txn.success)
            else_puts, else_deletes = _changed_keys(op.request_txn.failure)
            _add_puts(puts, then_puts, deletes)
            _add_puts(puts - then_puts, else_puts, deletes)
            puts |= else_puts
            deletes.spans += then_deletes.spans + else_deletes.spans
    for op in branch:
        if op.HasField("request_put"):
            _add_puts(puts, (op.request_put.key,), deletes)
    return puts, deletes


def _add_puts(puts: set[bytes], keys: Iterable[bytes], deletes: _Deletes) -> None:
    for key in keys:
        if key in puts:
            raise refuse(refusal.DUPLICATE_KEY)
        deletes.refuse_if_deleted(key)
        puts.add(key)
