"""Transactions: decide, check, then do.

All compares of the whole tree are evaluated first, against the state before the transaction; that
fixes which branches run. Then everything on those branches is checked; only then anything is done,
in order, so that an error leaves nothing behind. A nested transaction sees neither
compares nor errors of its own: it was all decided before.

A range within a transaction that writes is read after the commit: its snapshot is the id of the
change before it, so it sees exactly what came before it in the transaction.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from c101.core.kv import refusal
from c101.core.kv.range_read import Snapshot
from c101.core.kv.reads import Reads
from c101.core.kv.record import (
    CHANGE,
    CREATE,
    LEASE,
    VERSION,
    State,
    inner_header,
    length_delimited,
    value_of,
    varint,
)
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import CHANGES_PER_REVISION_MAX, SHIFT
from c101.core.kv.stepper import Steps
from c101.core.kv.store import Store
from c101.core.kv.tree import Interval, interval
from c101.core.kv.write import apply_delete, apply_put, check_put_state
from c101.core.proto import rpc_pb2

_SUCCEEDED = b"\x10\x01"  # field 2 of TxnResponse
_RESPONSE = b"\x1a"  # field 3
_RANGE, _PUT, _DELETE, _TXN = b"\x0a", b"\x12", b"\x1a", b"\x22"  # fields of ResponseOp

_Compare = rpc_pb2.Compare


class View(Protocol):
    """What compares are evaluated against."""

    def current(self, key: bytes) -> State | None:
        """Return the state of *key*."""
        ...

    def current_keys(self, span: Interval) -> list[bytes]:
        """Return the keys in *span* that exist."""
        ...


class CommittedView:
    """The committed state: what a transaction that only reads sees."""

    def __init__(self, store: Store) -> None:
        self._index = store.index

    def current(self, key: bytes) -> State | None:
        """Return the committed state of *key*."""
        return self._index.states.get(key)

    def current_keys(self, span: Interval) -> list[bytes]:
        """Return the committed keys in *span*."""
        return self._index.living.within(span)


# ---- decide ----


@dataclass(slots=True)
class Branch:
    """The branch of a transaction that runs, nested ones included."""

    succeeded: bool
    operations: list["rpc_pb2.RequestOp | Branch"] = field(default_factory=list)


def is_read_only(request: rpc_pb2.TxnRequest) -> bool:
    """Say whether no branch, at any depth, can write."""
    for operations in (request.success, request.failure):
        for op in operations:
            if op.HasField("request_txn"):
                if not is_read_only(op.request_txn):
                    return False
            elif not op.HasField("request_range"):
                return False
    return True


def decide(view: View, request: rpc_pb2.TxnRequest) -> Branch:
    """Evaluate every compare that matters and return what is to run."""
    succeeded = all(holds(view, compare) for compare in request.compare)
    branch = Branch(succeeded)
    for op in request.success if succeeded else request.failure:
        nested = op.HasField("request_txn")
        branch.operations.append(decide(view, op.request_txn) if nested else op)
    return branch


def holds(view: View, compare: rpc_pb2.Compare) -> bool:
    """Evaluate one compare: it must hold for every key of its interval.

    Where there is no key, a compare of values fails, and others see a key of all zeros.
    """
    if compare.range_end:
        span = interval(compare.key, compare.range_end)
        states = [view.current(key) for key in view.current_keys(span)] or [None]
    else:
        states = [view.current(compare.key)]
    return all(_holds_for(state, compare) for state in states)


_NUMBERS: Mapping[int, tuple[Callable[[State], int], Callable[[rpc_pb2.Compare], int]]] = {
    _Compare.VERSION: (lambda state: state[VERSION], lambda compare: compare.version),
    _Compare.CREATE: (lambda state: state[CREATE], lambda compare: compare.create_revision),
    _Compare.MOD: (lambda state: state[CHANGE] >> SHIFT, lambda compare: compare.mod_revision),
    _Compare.LEASE: (lambda state: state[LEASE], lambda compare: compare.lease),
}


def _holds_for(state: State | None, compare: rpc_pb2.Compare) -> bool:
    order = 0
    if compare.target == _Compare.VALUE:
        if state is None:
            return False
        order = _order(value_of(state), compare.value)
    elif compare.target in _NUMBERS:
        found, wanted = _NUMBERS[compare.target]
        order = _order(0 if state is None else found(state), wanted(compare))
    match compare.result:
        case _Compare.EQUAL:
            return order == 0
        case _Compare.NOT_EQUAL:
            return order != 0
        case _Compare.GREATER:
            return order > 0
        case _Compare.LESS:
            return order < 0
        case _:
            # An unknown result holds, in etcd.
            return True


_Ordered = TypeVar("_Ordered", int, bytes)


def _order(left: _Ordered, right: _Ordered) -> int:
    return (left > right) - (left < right)


# ---- check ----


def check_branch(store: Store, view: View, branch: Branch, revision: int, compacted: int) -> None:
    """Raise RpcError if anything that is to run cannot: puts first, then ranges, as etcd does."""
    operations = _flat(branch)
    if len(store.index.living) + len(store.staged) + len(operations) > CHANGES_PER_REVISION_MAX:
        _check_size(store, operations)
    for op in operations:
        if op.HasField("request_put"):
            check_put_state(store, op.request_put, view.current(op.request_put.key))
    for op in operations:
        if op.HasField("request_range") and (wanted := op.request_range.revision):
            if wanted > revision:
                raise refuse(refusal.FUTURE_REVISION)
            if wanted < compacted:
                raise refuse(refusal.COMPACTED)


def _check_size(store: Store, operations: list[rpc_pb2.RequestOp]) -> None:
    """Refuse what would not fit one revision, before anything is staged."""
    changes = 0
    for op in operations:
        if op.HasField("request_delete_range"):
            request = op.request_delete_range
            changes += len(store.current_keys(interval(request.key, request.range_end)))
        else:
            changes += 1
    if changes > CHANGES_PER_REVISION_MAX:
        raise refuse(refusal.REQUEST_TOO_LARGE)


def _flat(branch: Branch) -> list[rpc_pb2.RequestOp]:
    flat: list[rpc_pb2.RequestOp] = []
    for op in branch.operations:
        if isinstance(op, Branch):
            flat += _flat(op)
        else:
            flat.append(op)
    return flat


# ---- do ----


@dataclass(slots=True)
class RangeToRead:
    """A range of a transaction, to be read once everything before it is committed."""

    request: rpc_pb2.RangeRequest
    snapshot: Snapshot
    header_revision: int


@dataclass(slots=True)
class Outcome:
    """What a branch did: encoded responses, and what is still to be read."""

    succeeded: bool
    responses: list["list[bytes] | RangeToRead | Outcome"] = field(default_factory=list)

    def oldest_snapshot(self) -> int | None:
        """Return the oldest revision a read of this still needs; ``None`` if there is no read."""
        needed: list[int] = []
        for response in self.responses:
            if isinstance(response, RangeToRead):
                # A snapshot within a revision needs what that revision replaced.
                needed.append((response.snapshot.limit >> SHIFT) - 1)
            elif isinstance(response, Outcome):
                oldest = response.oldest_snapshot()
                if oldest is not None:
                    needed.append(oldest)
        return min(needed, default=None)


class Execution:
    """Runs the operations of one transaction; ``changes`` counts what it staged."""

    def __init__(self, store: Store, view: View, begin_revision: int) -> None:
        self._store = store
        self._view = view
        self._begin = begin_revision
        self.changes = 0

    @property
    def revision(self) -> int:
        """The revision as it stands: one more than at the beginning once something changed."""
        return self._begin + 1 if self.changes else self._begin

    def run(self, branch: Branch) -> Generator[None, None, Outcome]:
        """Do what *branch* says, in order; it takes more than one step for many deletions only."""
        outcome = Outcome(branch.succeeded)
        for op in branch.operations:
            outcome.responses.append((yield from self._run_one(op)))
        return outcome

    def _run_one(
        self, op: rpc_pb2.RequestOp | Branch
    ) -> Generator[None, None, list[bytes] | RangeToRead | Outcome]:
        if isinstance(op, Branch):
            return (yield from self.run(op))
        if op.HasField("request_put"):
            change = (self._begin + 1) << SHIFT | self.changes << 1
            body = apply_put(self._store, op.request_put, change)
            self.changes += 1
            return [_response(_PUT, inner_header(self.revision) + body)]
        if op.HasField("request_delete_range"):
            request = op.request_delete_range
            span = interval(request.key, request.range_end)
            count, pieces = yield from apply_delete(
                self._store, request, span, self._begin + 1, self.changes
            )
            self.changes += count
            return _long_response(_DELETE, [inner_header(self.revision), *pieces])
        return self._range(op.request_range)

    def _range(self, request: rpc_pb2.RangeRequest) -> list[bytes] | RangeToRead:
        self._store.txn_ranges += 1
        if _is_plain_get(request):
            state = self._view.current(request.key)
            body = b"" if state is None else state[0] + b"\x20\x01"
            return [_response(_RANGE, inner_header(self.revision) + body)]
        if request.revision > 0:
            snapshot = Snapshot.at(request.revision)
        else:
            snapshot = Snapshot((self._begin + 1) << SHIFT | self.changes << 1)
        return RangeToRead(request, snapshot, self.revision)


def _is_plain_get(request: rpc_pb2.RangeRequest) -> bool:
    return not (
        request.range_end
        or request.revision
        or request.keys_only
        or request.count_only
        or request.min_mod_revision
        or request.max_mod_revision
        or request.min_create_revision
        or request.max_create_revision
    )


def _response(kind: bytes, body: bytes) -> bytes:
    return length_delimited(_RESPONSE, length_delimited(kind, body))


def _long_response(kind: bytes, body: list[bytes]) -> list[bytes]:
    inner = kind + varint(sum(map(len, body)))
    size = len(inner) + sum(map(len, body))
    return [_RESPONSE + varint(size) + inner, *body]


def assemble(reads: Reads, outcome: Outcome) -> Steps:
    """Return the steps that make the body of the answer, reading what is still to be read."""
    body = [_SUCCEEDED] if outcome.succeeded else []
    for response in outcome.responses:
        if isinstance(response, list):
            body += response
        elif isinstance(response, RangeToRead):
            span = interval(response.request.key, response.request.range_end)
            found = yield from reads.reader.read(response.request, span, response.snapshot)
            body += _long_response(_RANGE, [inner_header(response.header_revision), *found])
        else:
            nested = yield from assemble(reads, response)
            body += _long_response(_TXN, [inner_header(0), *nested])
    return body
