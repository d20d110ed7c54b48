"""What a transaction will do: its compares, all evaluated against one state before it.

That fixes which branches run, nested ones included. A compare may be over a range of very many
keys, and there may be very many compares: they are evaluated in steps, and so a view must show the
same state however much is committed between two of them.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from c101.core.kv.index import Index
from c101.core.kv.pace import Pace
from c101.core.kv.range_read import RangeReader, Snapshot
from c101.core.kv.record import CHANGE, CREATE, FIELD, LEASE, VERSION, State, value_of
from c101.core.kv.revision import SHIFT
from c101.core.kv.store import Store
from c101.core.kv.tree import Interval, interval
from c101.core.kv.write import KEYS_PER_STEP, current_keys_in_steps
from c101.core.proto import rpc_pb2

#: Bytes of a value that cost as much to compare as a key without it.
_BYTES_PER_KEY = 2_048

_Compare = rpc_pb2.Compare


class View(Protocol):
    """What compares are evaluated against: the same at every step."""

    def current(self, key: bytes) -> State | None:
        """Return the state of *key*."""
        ...

    def states(self, span: Interval) -> Iterator[list[State] | None]:
        """Yield the states in *span*, some hundred at a time; ``None`` where others get a turn."""
        ...


class SnapshotView:
    """What is committed as of *revision*: for a transaction that only reads."""

    def __init__(self, index: Index, reader: RangeReader, revision: int) -> None:
        self._index = index
        self._states = index.states
        self._reader = reader
        self._snapshot = Snapshot.at(revision)

    def current(self, key: bytes) -> State | None:
        """Return the state of *key* at the revision."""
        state = self._states.get(key)
        limit = self._snapshot.limit
        if state is not None and state[CHANGE] < limit:
            return state
        # It was changed or deleted since, or never was.
        return self._index.state_before(key, limit)

    def states(self, span: Interval) -> Iterator[list[State] | None]:
        """Yield the states in *span* at the revision."""
        return self._reader.states(span, self._snapshot)


class StagedView:
    """What is committed with everything staged applied: for one that writes, within the gate."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.current = store.current

    def states(self, span: Interval) -> Iterator[list[State] | None]:
        """Yield the states in *span*; merging a commit between two steps changes none of them."""
        current = self.current
        if self._store.index.living.count(span) + len(self._store.staged) <= KEYS_PER_STEP:
            found = map(current, self._store.current_keys(span))
            yield [state for state in found if state is not None]
            return
        for keys in current_keys_in_steps(self._store, span):
            if keys is None:
                yield None
            else:
                yield [state for state in map(current, keys) if state is not None]


@dataclass(slots=True)
class Branch:
    """The branch of a transaction that runs.

    ``operations`` are the request's own: an object for each is made when it is looked at, and gone
    then, for there may be very many. ``nested`` has what runs of each nested transaction among
    them, and ``size`` counts the operations of all.
    """

    succeeded: bool
    operations: Sequence[rpc_pb2.RequestOp]
    nested: list["Branch"] = field(default_factory=list)
    size: int = 0


def decide(view: View, request: rpc_pb2.TxnRequest, pace: Pace) -> Generator[None, None, Branch]:
    """Evaluate every compare that matters and return what is to run."""
    succeeded = True
    for compare in request.compare:
        if compare.range_end:
            succeeded = yield from _holds_for_all(view, compare, pace)
        else:
            state = view.current(compare.key)
            succeeded = _holds_for(state, compare)
            if pace.spent(1 if state is None else 1 + len(state[FIELD]) // _BYTES_PER_KEY):
                yield
        if not succeeded:
            break
    branch = Branch(succeeded, request.success if succeeded else request.failure)
    branch.size = len(branch.operations)
    for op in branch.operations:
        if op.HasField("request_txn"):
            nested = yield from decide(view, op.request_txn, pace)
            branch.nested.append(nested)
            branch.size += nested.size
    if pace.spent(len(branch.operations)):
        yield
    return branch


def _holds_for_all(view: View, compare: rpc_pb2.Compare, pace: Pace) -> Generator[None, None, bool]:
    """Evaluate a compare over a range: it must hold for every key there is in it.

    Where there is no key, a compare of values fails, and others see a key of all zeros.
    """
    empty = True
    for states in view.states(interval(compare.key, compare.range_end)):
        if states is None:
            yield
            continue
        for state in states:
            empty = False
            if not _holds_for(state, compare):
                return False
            if pace.spent(1 + len(state[FIELD]) // _BYTES_PER_KEY):
                yield
    if pace.spent():
        yield
    return not empty or _holds_for(None, compare)


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
