"""Ranges: a RangeRequest to the body of its RangeResponse, in small steps on one snapshot.

The snapshot is a change id: what happened before it is seen, what came later is not. As long as the
committed revision is the snapshot's, current states are copied; once it moved on, the states that
changed since are read from the log. So a range may take as long as it wants and blocks nobody.

etcd's order of work: fetch, filter by revisions, sort, cut to the limit. Its ``limit`` applies to
the fetch already when the order is NONE, even if a sort target is given.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from c101.core.clock import Clock
from c101.core.kv import refusal
from c101.core.kv.index import Index
from c101.core.kv.pieces import Pieces
from c101.core.kv.record import (
    CHANGE,
    CREATE,
    FIELD,
    VERSION,
    State,
    value_of,
    varint,
    without_value,
)
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import SHIFT, bound
from c101.core.kv.stepper import Steps
from c101.core.kv.tree import Interval, interval
from c101.core.proto import rpc_pb2

#: Keys looked at between two looks at the clock: current states, and states that cost some
#: microseconds each, because they are read from the log, decoded or compared.
KEYS_PER_CHUNK = 256
COSTLY_KEYS_PER_CHUNK = 64
#: A step ends when this time is over: what a put may wait for before it is read.
STEP_SECONDS = 0.00015

_MORE = b"\x18\x01"  # field 3 of RangeResponse
_COUNT = b"\x20"  # field 4

_Request = rpc_pb2.RangeRequest
_SortKey = Callable[[State], int | bytes]


def _key_of(state: State) -> bytes:
    # Never called for ascending order; keys come in order.
    field = state[FIELD]
    offset = 2
    while field[offset - 1] & 128:
        offset += 1
    return rpc_pb2.PutRequest.FromString(field[offset:]).key


_SORT_KEYS: dict[int, _SortKey] = {
    _Request.KEY: _key_of,
    _Request.VERSION: lambda state: state[VERSION],
    _Request.CREATE: lambda state: state[CREATE],
    _Request.MOD: lambda state: state[CHANGE] >> SHIFT,
    _Request.VALUE: value_of,
}
_ORDERS = frozenset((_Request.NONE, _Request.ASCEND, _Request.DESCEND))


def check_range(request: rpc_pb2.RangeRequest) -> Interval:
    """Return the interval of *request*; raise RpcError for one that no store could serve."""
    span = interval(request.key, request.range_end)
    if request.sort_order not in _ORDERS or request.sort_target not in _SORT_KEYS:
        raise refuse(refusal.INVALID_SORT_OPTION)
    return span


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a range sees: every change with an id below ``limit``."""

    limit: int

    @classmethod
    def at(cls, revision: int) -> "Snapshot":
        """Return the snapshot of everything up to *revision*."""
        return cls(bound(revision))


class RangeReader:
    """Reads ranges of an index."""

    def __init__(self, index: Index, clock: Clock) -> None:
        self._index = index
        self._clock = clock

    def deadline(self) -> float:
        """Return when a step that begins here has taken its time."""
        return self._clock.monotonic() + STEP_SECONDS

    def is_over(self, deadline: float) -> bool:
        """Say whether *deadline* has passed."""
        return self._clock.monotonic() > deadline

    def share_of_a_step(self, deadline: float, whole: int) -> int:
        """Return how much of a step's time is gone, *whole* being all of it."""
        left = deadline - self._clock.monotonic()
        return int(whole * (1 - left / STEP_SECONDS))

    def read(self, request: rpc_pb2.RangeRequest, span: Interval, snapshot: Snapshot) -> Steps:
        """Return the steps that make the body of the answer to *request*."""
        if request.count_only:
            return self._count(span, snapshot)
        return self._read(request, span, snapshot)

    def _is_current(self, snapshot: Snapshot) -> bool:
        # While changes are merged what is current is neither this revision nor the next.
        return not self._index.merging and snapshot.limit == bound(self._index.revision)

    # ---- count_only ----

    def _count(self, span: Interval, snapshot: Snapshot) -> Steps:
        if self._is_current(snapshot):
            return [_tail(self._index.living.count(span), more=False)]
        count = 0
        rest: Interval | None = span
        deadline = self.deadline()
        while rest is not None:
            keys, rest = self._index.keys_ever(rest, KEYS_PER_CHUNK)
            count += sum(self._index.existed_before(key, snapshot.limit) for key in keys)
            if rest is not None and self.is_over(deadline):
                yield
                deadline = self.deadline()
        return [_tail(count, more=False)]

    # ---- keys and values ----

    def _read(self, request: rpc_pb2.RangeRequest, span: Interval, snapshot: Snapshot) -> Steps:
        known = self._index.living.count(span) if self._is_current(snapshot) else None
        fetched = _Fetched(request)
        for states in self.states(span, snapshot, fetched.size_max):
            if states is None:
                yield
                continue
            fetched.take(states)
            if fetched.full and known is not None:
                break
        pieces = Pieces()
        yield from self._encode(fetched, pieces, keys_only=request.keys_only)
        pieces.add(_tail(fetched.seen if known is None else known, more=fetched.more))
        return pieces.take()

    def _encode(
        self, fetched: "_Fetched", pieces: Pieces, *, keys_only: bool
    ) -> Generator[None, None, None]:
        chosen = iter(fetched.chosen())
        chunk = COSTLY_KEYS_PER_CHUNK if keys_only or fetched.sorted else KEYS_PER_CHUNK
        if fetched.seen > chunk:
            # Fetching them has taken what one step may.
            yield
        deadline = self.deadline()
        while some := list(islice(chosen, chunk)):
            if keys_only:
                pieces.extend([without_value(state) for state in some])
            else:
                pieces.extend([state[FIELD] for state in some])
            if len(some) < chunk:
                return
            if self.is_over(deadline):
                yield
                deadline = self.deadline()

    def states(
        self, span: Interval, snapshot: Snapshot, fetch_max: int = 0
    ) -> Iterator[list[State] | None]:
        """Yield the states of *span* in key order, ``None`` where others get a turn.

        They come some hundred at a time, or *fetch_max*, unless that is 0, if it is less.
        """
        rest: Interval | None = span
        deadline = self.deadline()
        chunk = min(fetch_max, KEYS_PER_CHUNK) if fetch_max else KEYS_PER_CHUNK
        while rest is not None:
            if self._is_current(snapshot):
                states, rest = self._current(rest, chunk)
            else:
                states, rest = self._past(rest, snapshot)
            yield states
            if rest is not None and self.is_over(deadline):
                yield None
                deadline = self.deadline()

    def _current(self, span: Interval, chunk: int) -> tuple[list[State], Interval | None]:
        keys = self._index.living.within(span, chunk)
        states = self._index.states
        rest = (keys[-1] + b"\0", span[1]) if len(keys) == chunk else None
        return [states[key] for key in keys], rest

    def _past(self, span: Interval, snapshot: Snapshot) -> tuple[list[State], Interval | None]:
        keys, rest = self._index.keys_ever(span, COSTLY_KEYS_PER_CHUNK)
        return self._index.states_before(keys, snapshot.limit), rest


class _Fetched:
    """The states a range has come by: filtered, sorted in runs, no more of them than it needs."""

    def __init__(self, request: rpc_pb2.RangeRequest) -> None:
        self._wanted = max(0, request.limit)
        self._passes = _filter_of(request)
        # etcd sorts by a target even if the order is NONE; keys come in ascending order anyway.
        self._sort_key: _SortKey | None = None
        self._descend = request.sort_order == _Request.DESCEND
        if self._descend or request.sort_target != _Request.KEY:
            self._sort_key = _SORT_KEYS[request.sort_target]
        #: one more than wanted tells whether there is more; 0 = everything is needed
        self.size_max = self._wanted + 1 if self._wanted and _limits_fetch(request) else 0
        self._runs: list[list[State]] = []
        self._size = 0
        #: how many states there were, whatever became of them
        self.seen = 0

    @property
    def full(self) -> bool:
        """Whether another state would change nothing but the count."""
        return bool(self.size_max) and self._size >= self.size_max

    @property
    def sorted(self) -> bool:
        """Whether the order is another than that of the keys."""
        return self._sort_key is not None

    @property
    def more(self) -> bool:
        """Whether the limit cut something off."""
        return bool(self._wanted) and self._size > self._wanted

    def take(self, states: list[State]) -> None:
        """Take the next states in the order of their keys."""
        self.seen += len(states)
        if self.full:
            return
        run = list(filter(self._passes, states)) if self._passes else states
        if self.size_max:
            run = run[: self.size_max - self._size]
        if self._sort_key is not None:
            run.sort(key=self._sort_key, reverse=self._descend)
        self._size += len(run)
        self._runs.append(run)

    def chosen(self) -> Iterable[State]:
        """Return what the answer holds, in its order; it is not held any longer.

        Each run is let go of when it is through: freeing all at the end would take long.
        """
        states: Iterable[State] = self._in_key_order()
        if self._sort_key is not None:
            runs = map(iter, self._runs)
            states = merge(*runs, key=self._sort_key, reverse=self._descend)
            self._runs = []
        return islice(states, self._wanted) if self._wanted else states

    def _in_key_order(self) -> Iterator[State]:
        self._runs.reverse()
        while self._runs:
            yield from self._runs.pop()


def _tail(count: int, *, more: bool) -> bytes:
    return (_MORE if more else b"") + (_COUNT + varint(count) if count else b"")


def _limits_fetch(request: rpc_pb2.RangeRequest) -> bool:
    if request.sort_order != _Request.NONE:
        return False
    # With filters etcd fetches everything; in key order stopping early gives the same answer.
    return request.sort_target == _Request.KEY or not _has_filters(request)


def _has_filters(request: rpc_pb2.RangeRequest) -> bool:
    return bool(
        request.max_mod_revision
        or request.min_mod_revision
        or request.max_create_revision
        or request.min_create_revision
    )


def _filter_of(request: rpc_pb2.RangeRequest) -> Callable[[State], bool] | None:
    if not _has_filters(request):
        return None
    endless = 1 << 63
    min_mod, max_mod = request.min_mod_revision, request.max_mod_revision
    min_create, max_create = request.min_create_revision, request.max_create_revision
    # Zero means no bound; a negative minimum bounds nothing, a negative maximum everything.
    max_mod, max_create = max_mod or endless, max_create or endless

    def passes(state: State) -> bool:
        return (
            min_mod <= state[CHANGE] >> SHIFT <= max_mod
            and min_create <= state[CREATE] <= max_create
        )

    return passes
