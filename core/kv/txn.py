"""Transactions: decide, check, then do.

All compares of the whole tree are evaluated first, against the state before the transaction; that
fixes which branches run. Then everything on those branches is checked; only then anything is done,
in order, so that an error leaves nothing behind. A nested transaction sees neither
compares nor errors of its own: it was all decided before.

A range within a transaction that writes is read after the commit: its snapshot is the id of the
change before it, so it sees exactly what came before it in the transaction.

Each of the three goes in steps, counted by one ``Pace``; a transaction of the usual size is one.
"""

from collections.abc import Generator
from dataclasses import dataclass, field

from c101.core.kv import refusal
from c101.core.kv.pace import Pace
from c101.core.kv.pieces import Pieces
from c101.core.kv.range_read import Snapshot
from c101.core.kv.reads import Reads
from c101.core.kv.record import inner_header, length_delimited, varint
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import CHANGES_PER_REVISION_MAX, SHIFT
from c101.core.kv.stepper import Steps
from c101.core.kv.store import Store
from c101.core.kv.tree import interval
from c101.core.kv.txn_decide import Branch, View
from c101.core.kv.write import apply_delete, apply_put, check_put_state, current_keys_in_steps
from c101.core.proto import rpc_pb2

#: Compares, keys of a compare, operations: so many are looked at before others get a turn.
WORK_PER_STEP = 250
#: What a deletion of a range takes, in operations, besides its keys.
_WORK_PER_DELETE = 50
#: An answer of more pieces than this is joined to fewer, longer ones.
_PIECES_MAX = 256

_SUCCEEDED = b"\x10\x01"  # field 2 of TxnResponse
_RESPONSE = b"\x1a"  # field 3
_RANGE, _PUT, _DELETE, _TXN = b"\x0a", b"\x12", b"\x1a", b"\x22"  # fields of ResponseOp

# ---- check ----


def check(
    store: Store, view: View, branch: Branch, readable: tuple[int, int], pace: Pace
) -> Generator[None, None, None]:
    """Raise RpcError if anything that is to run cannot: puts first, then ranges, as etcd does.

    *readable* are the first and the last revision that a range may ask for.
    """
    if len(store.index.living) + len(store.staged) + branch.size > CHANGES_PER_REVISION_MAX:
        yield from _check_size(store, branch, 0)
    wanted: list[int] = []
    yield from _check_puts(store, view, branch, wanted, pace)
    compacted, newest = readable
    for revision in wanted:
        if revision > newest:
            raise refuse(refusal.FUTURE_REVISION)
        if revision < compacted:
            raise refuse(refusal.COMPACTED)


def _check_puts(
    store: Store, view: View, branch: Branch, wanted: list[int], pace: Pace
) -> Generator[None, None, None]:
    """Check the puts; note in *wanted* what revisions ranges ask for."""
    nested = iter(branch.nested)
    for op in branch.operations:
        if op.HasField("request_put"):
            check_put_state(store, op.request_put, view.current(op.request_put.key))
        elif op.HasField("request_range"):
            if op.request_range.revision:
                wanted.append(op.request_range.revision)
        elif op.HasField("request_txn"):
            yield from _check_puts(store, view, next(nested), wanted, pace)
        if pace.spent():
            yield


def _check_size(store: Store, branch: Branch, changes: int) -> Generator[None, None, int]:
    """Refuse what would not fit one revision before anything is staged; count on *changes*."""
    nested = iter(branch.nested)
    for op in branch.operations:
        if op.HasField("request_txn"):
            changes = yield from _check_size(store, next(nested), changes)
        elif op.HasField("request_delete_range"):
            request = op.request_delete_range
            for keys in current_keys_in_steps(store, interval(request.key, request.range_end)):
                if keys is None:
                    yield
                else:
                    changes += len(keys)
        else:
            changes += 1
        if changes > CHANGES_PER_REVISION_MAX:
            raise refuse(refusal.REQUEST_TOO_LARGE)
    return changes


# ---- do ----


@dataclass(slots=True)
class RangeToRead:
    """A range of a transaction, to be read once everything before it is committed."""

    request: rpc_pb2.RangeRequest
    snapshot: Snapshot
    header_revision: int


@dataclass(slots=True)
class Outcome:
    """What a branch did: encoded responses, in pieces if they are long, and what is to be read."""

    succeeded: bool
    responses: list["bytes | list[bytes] | RangeToRead | Outcome"] = field(default_factory=list)


class Execution:
    """Runs the operations of one transaction; ``changes`` counts what it staged.

    ``oldest_read`` is the oldest revision that a read of it still needs, ``None`` without a read.
    """

    def __init__(self, store: Store, view: View, begin_revision: int, pace: Pace) -> None:
        self._store = store
        self._view = view
        self._begin = begin_revision
        self._pace = pace
        self.changes = 0
        self.oldest_read: int | None = None

    @property
    def revision(self) -> int:
        """The revision as it stands: one more than at the beginning once something changed."""
        return self._begin + 1 if self.changes else self._begin

    def run(self, branch: Branch) -> Generator[None, None, Outcome]:
        """Do what *branch* says, in order."""
        outcome = Outcome(branch.succeeded)
        nested = iter(branch.nested)
        for op in branch.operations:
            response: bytes | list[bytes] | RangeToRead | Outcome
            if op.HasField("request_put"):
                response = self._put(op.request_put)
            elif op.HasField("request_range"):
                response = self._range(op.request_range)
            elif op.HasField("request_delete_range"):
                response = yield from self._delete(op.request_delete_range)
            else:
                response = yield from self.run(next(nested))
            outcome.responses.append(response)
            if self._pace.spent():
                yield
        return outcome

    def _put(self, request: rpc_pb2.PutRequest) -> bytes:
        change = (self._begin + 1) << SHIFT | self.changes << 1
        body = apply_put(self._store, request, change)
        self.changes += 1
        return _response(_PUT, inner_header(self.revision) + body)

    def _delete(self, request: rpc_pb2.DeleteRangeRequest) -> Generator[None, None, list[bytes]]:
        span = interval(request.key, request.range_end)
        count, pieces = yield from apply_delete(
            self._store, request, span, self._begin + 1, self.changes
        )
        self.changes += count
        if self._pace.spent(count + _WORK_PER_DELETE if request.range_end else count):
            yield
        return _long_response(_DELETE, [inner_header(self.revision), *pieces])

    def _range(self, request: rpc_pb2.RangeRequest) -> bytes | RangeToRead:
        self._store.txn_ranges += 1
        if _is_plain_get(request):
            state = self._view.current(request.key)
            body = b"" if state is None else state[0] + b"\x20\x01"
            return _response(_RANGE, inner_header(self.revision) + body)
        if request.revision > 0:
            snapshot = Snapshot.at(request.revision)
        else:
            snapshot = Snapshot((self._begin + 1) << SHIFT | self.changes << 1)
        # A snapshot within a revision needs what that revision replaced.
        needed = (snapshot.limit >> SHIFT) - 1
        if self.oldest_read is None or needed < self.oldest_read:
            self.oldest_read = needed
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


def assemble(reads: Reads, outcome: Outcome, pace: Pace) -> Steps:
    """Return the steps that make the body of the answer, reading what is still to be read."""
    body = [_SUCCEEDED] if outcome.succeeded else []
    for response in outcome.responses:
        if isinstance(response, bytes):
            body.append(response)
        elif isinstance(response, list):
            body += response
        elif isinstance(response, RangeToRead):
            body += yield from _read(reads, response, pace)
        else:
            nested = yield from assemble(reads, response, pace)
            body += _long_response(_TXN, [inner_header(0), *nested])
    if pace.spent(len(outcome.responses)):
        yield
    return body if len(body) <= _PIECES_MAX else _gathered(body)


def _read(reads: Reads, wanted: RangeToRead, pace: Pace) -> Steps:
    reader = reads.reader
    span = interval(wanted.request.key, wanted.request.range_end)
    deadline = reader.deadline()
    found = yield from reader.read(wanted.request, span, wanted.snapshot)
    # One that is short gives others no turn, but there may be many of them.
    if pace.spent(reader.share_of_a_step(deadline, WORK_PER_STEP)):
        yield
    return _long_response(_RANGE, [inner_header(wanted.header_revision), *found])


def _gathered(body: list[bytes]) -> list[bytes]:
    """Join small pieces: each would be a frame of its own."""
    pieces = Pieces()
    for first in range(0, len(body), _PIECES_MAX):
        pieces.extend(body[first : first + _PIECES_MAX])
    return pieces.take()
