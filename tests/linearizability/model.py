"""What a store of one node does, said as simply as possible: deterministic, no time, no disk.

``StoreModel`` is the whole store with its revisions: as every answer tells the revision, few orders
come into question. ``RegisterModel`` knows the value of one key and no revisions; what concerns one
key only is judged by it key by key, whatever revisions the server gave out.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import singledispatch
from typing import NamedTuple

from tests.linearizability.history import (
    Call,
    Delete,
    Get,
    Grant,
    Held,
    Outcome,
    Put,
    PutAll,
    ReadAll,
    Request,
    Result,
    Revoke,
    Swap,
)

LEASE_NOT_FOUND = "etcdserver: requested lease not found"
LEASE_EXISTS = "etcdserver: lease already exists"


class StoreState(NamedTuple):
    """Everything there is; a fresh store is at revision 1."""

    revision: int = 1
    held: tuple[Held, ...] = ()
    leases: frozenset[int] = frozenset()

    def get(self, key: str) -> Held | None:
        """Return what *key* holds."""
        return next((one for one in self.held if one.key == key), None)

    def put(self, key: str, value: str, lease: int) -> "StoreState":
        """Return the state after a put at the next revision; the caller raises it."""
        revision = self.revision + 1
        before = self.get(key)
        after = Held(
            key=key,
            value=value,
            create_revision=before.create_revision if before else revision,
            mod_revision=revision,
            version=before.version + 1 if before else 1,
            lease=lease,
        )
        rest = [one for one in self.held if one.key != key]
        return self._replace(held=tuple(sorted([*rest, after])))

    def without(self, gone: Collection[Held]) -> "StoreState":
        """Return the state after *gone* were deleted."""
        return self._replace(held=tuple(one for one in self.held if one not in gone))

    def raised(self) -> "StoreState":
        """Return the state one revision later."""
        return self._replace(revision=self.revision + 1)


class StoreModel:
    """A store with revisions."""

    def apply(self, state: StoreState, call: Call) -> StoreState | None:
        """Return the state after *call*, or ``None`` if its outcome would have been another."""
        after, expected = step(call.request, state)
        outcome = call.outcome
        if outcome is None:
            return after
        if outcome.known:
            return after if outcome == expected else None
        return after if outcome.revision == expected.revision and after != state else None

    def height(self, state: StoreState) -> int:
        """Return the revision."""
        return state.revision

    def height_of(self, call: Call) -> int | None:
        """Return the revision that the answer told."""
        return None if call.outcome is None else call.outcome.revision


@singledispatch
def step(request: Request, state: StoreState) -> tuple[StoreState, Outcome]:
    """Return what becomes of *state* by *request*, and the answer to it."""
    raise AssertionError(f"not modelled: {request} of {state}")


@step.register
def _(request: Put, state: StoreState) -> tuple[StoreState, Outcome]:
    if request.lease and request.lease not in state.leases:
        return state, Outcome(None, LEASE_NOT_FOUND)
    after = state.put(request.key, request.value, request.lease)
    return _changed(after, state.get(request.key))


@step.register
def _(request: Get, state: StoreState) -> tuple[StoreState, Outcome]:
    return state, Outcome(state.revision, state.get(request.key))


@step.register
def _(request: Delete, state: StoreState) -> tuple[StoreState, Outcome]:
    before = state.get(request.key)
    if before is None:
        return state, Outcome(state.revision, None)
    return _changed(state.without([before]), before)


@step.register
def _(request: Swap, state: StoreState) -> tuple[StoreState, Outcome]:
    found = state.get(request.key)
    if _mod_revision(found) != _mod_revision(request.expected):
        return state, Outcome(state.revision, (False, found))
    return _changed(state.put(request.key, request.value, 0), (True, None))


@step.register
def _(request: PutAll, state: StoreState) -> tuple[StoreState, Outcome]:
    for key in request.keys:
        state = state.put(key, request.value, 0)
    return _changed(state, None)


@step.register
def _(_: ReadAll, state: StoreState) -> tuple[StoreState, Outcome]:
    return state, Outcome(state.revision, (state.held, state.leases))


@step.register
def _(request: Grant, state: StoreState) -> tuple[StoreState, Outcome]:
    if request.lease in state.leases:
        return state, Outcome(None, LEASE_EXISTS)
    after = state._replace(leases=state.leases | {request.lease})
    return after, Outcome(state.revision, None)


@step.register
def _(request: Revoke, state: StoreState) -> tuple[StoreState, Outcome]:
    if request.lease not in state.leases:
        return state, Outcome(None, LEASE_NOT_FOUND)
    state = state._replace(leases=state.leases - {request.lease})
    attached = [one for one in state.held if one.lease == request.lease]
    if not attached:
        return state, Outcome(state.revision, None)
    return _changed(state.without(attached), None)


def _changed(state: StoreState, result: Result) -> tuple[StoreState, Outcome]:
    return state.raised(), Outcome(state.revision + 1, result)


def _mod_revision(held: Held | None) -> int:
    return held.mod_revision if held else 0


class RegisterModel:
    """One key: the unique value it holds, or ``""`` for none."""

    def apply(self, state: str, call: Call) -> str | None:
        """Return the value after *call*, or ``None`` if its outcome would have been another."""
        after, expected = _register(state, call.request)
        outcome = call.outcome
        if outcome is None:
            return after
        if not outcome.known:
            return after if after != state else None
        return after if _values(outcome.result) == expected else None

    def height(self, state: str) -> int:
        """Return 0: a register has no revision."""
        del state
        return 0

    def height_of(self, call: Call) -> int | None:
        """Return nothing."""
        del call
        return None


_Values = str | tuple[bool, str]


def _register(state: str, request: Request) -> tuple[str, _Values]:
    match request:
        case Put(value=value):
            return value, state
        case Get():
            return state, state
        case Delete():
            return "", state
        case Swap(expected=expected, value=value):
            if (expected.value if expected else "") == state:
                return value, (True, "")
            return state, (False, state)
        case _:
            raise AssertionError(f"more than one key: {request}")


def _values(result: Result) -> _Values:
    if isinstance(result, Held):
        return result.value
    if result is None:
        return ""
    assert not isinstance(result, str), f"not the result of one key: {result}"
    written, read = result
    assert isinstance(written, bool)
    return written, read.value if isinstance(read, Held) else ""


def by_key(calls: Iterable[Call]) -> dict[str, list[Call]]:
    """Part *calls*, which concern one key each, by their keys: each part is judged by itself."""
    parts: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        assert isinstance(call.request, Put | Get | Delete | Swap)
        parts[call.request.key].append(call)
    return parts
