"""Is there an order of these calls that explains all answers, and that real time allows?

The method is Wing and Gong's with Lowe's memory of what was tried, as Porcupine has it. The calls
are a list of their beginnings and ends. The first of them whose answer the model would give is
taken out, the model goes on from there, and so on; when the end of a call is reached that was not
taken out, the last choice was wrong. A set of calls that led to a state once is not tried again.

A call that was cut off has no end, so it may be taken at any later time, and need not be taken.
"""

import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from tests.linearizability.history import Call

#: Steps between two looks at the time.
STEPS_PER_LOOK = 1_000

_S = TypeVar("_S", bound=Hashable)


class CheckTookTooLongError(Exception):
    """Nobody knows whether the history is linearizable: that is a failure, never a pass."""


class Model(Protocol[_S]):
    """A deterministic store."""

    def apply(self, state: _S, call: Call) -> _S | None:
        """Return the state after *call*; ``None`` when it would have been answered otherwise."""
        ...

    def height(self, state: _S) -> int:
        """Return a number that no call ever lowers: the revision, or always 0."""
        ...

    def height_of(self, call: Call) -> int | None:
        """Return the height right after *call*, if its answer tells."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Generic[_S]):
    """The answer. Without an order: how far one came at best, and which calls then did not fit."""

    linearizable: bool
    final: _S
    steps: int
    explained: int = 0
    stuck: tuple[Call, ...] = ()

    def __str__(self) -> str:
        if self.linearizable:
            return f"linearizable, in {self.steps} steps"
        calls = "\n".join(f"  {call}" for call in self.stuck)
        return (
            f"not linearizable: {self.explained} calls are explained;"
            f" then, in {self.final}, none fits of\n{calls}"
        )


class _Entry:
    """The beginning of a call, or its end; a member of a doubly linked list."""

    __slots__ = ("after", "before", "call", "end", "number")

    def __init__(self, call: Call | None, number: int) -> None:
        self.call = call
        self.number = number
        self.end: _Entry | None = None
        self.before: _Entry = self
        self.after: _Entry | None = None

    def unlink(self) -> None:
        self.before.after = self.after
        if self.after is not None:
            self.after.before = self.before

    def relink(self) -> None:
        self.before.after = self
        if self.after is not None:
            self.after.before = self


def _linked(calls: Sequence[Call]) -> _Entry:
    """Return the head, which is no call, of the list of all beginnings and ends by time."""
    times: list[tuple[int, _Entry]] = []
    for number, call in enumerate(calls):
        begin = _Entry(call, number)
        times.append((call.began, begin))
        if call.ended is not None:
            begin.end = _Entry(None, number)
            times.append((call.ended, begin.end))
    last = head = _Entry(None, -1)
    for _, entry in sorted(times, key=lambda one: one[0]):
        last.after = entry
        entry.before = last
        last = entry
    return head


class _Search(Generic[_S]):
    """One search: what is taken, which state that led to, and how to go back."""

    def __init__(self, model: Model[_S], initial: _S, calls: Sequence[Call]) -> None:
        self._model = model
        self.calls = calls
        self.state = initial
        self.head = _linked(calls)
        #: the calls taken, as bits, and how many of those left have an end
        self.taken = 0
        self.left = sum(call.ended is not None for call in calls)
        self._tried: set[tuple[int, _S]] = set()
        self._choices: list[tuple[_Entry, _S, int]] = []
        #: the heights that answers tell, and the position of the lowest whose call is not taken:
        #: no state may be above it
        self._heights = sorted(
            (height, number)
            for number, call in enumerate(calls)
            if call.ended is not None and (height := model.height_of(call)) is not None
        )
        self._lowest = 0
        self.best: tuple[int, _S, int] = (-1, initial, 0)

    def take(self, entry: _Entry) -> bool:
        """Take the call of *entry* next, if it fits and leads to something not tried."""
        assert entry.call is not None
        state = self._model.apply(self.state, entry.call)
        if state is None:
            return False
        taken = self.taken | 1 << entry.number
        if (taken, state) in self._tried:
            return False
        lowest = self._lowest
        while lowest < len(self._heights) and taken >> self._heights[lowest][1] & 1:
            lowest += 1
        if lowest < len(self._heights) and self._model.height(state) > self._heights[lowest][0]:
            return False
        self._tried.add((taken, state))
        self._choices.append((entry, self.state, self._lowest))
        self.state, self.taken, self._lowest = state, taken, lowest
        entry.unlink()
        if entry.end is not None:
            entry.end.unlink()
            self.left -= 1
        return True

    def back(self) -> _Entry | None:
        """Undo the last choice and return what comes after it; ``None`` if none is left."""
        if len(self._choices) > self.best[0]:
            self.best = (len(self._choices), self.state, self.taken)
        if not self._choices:
            return None
        entry, self.state, self._lowest = self._choices.pop()
        self.taken &= ~(1 << entry.number)
        if entry.end is not None:
            entry.end.relink()
            self.left += 1
        entry.relink()
        assert entry.after is not None
        return entry.after

    def refusal(self, steps: int) -> Verdict[_S]:
        """Say how far one came at best."""
        explained, state, taken = self.best
        rest = [call for number, call in enumerate(self.calls) if not taken >> number & 1]
        first_end = min(call.ended for call in rest if call.ended is not None)
        stuck = tuple(call for call in rest if call.began < first_end)
        return Verdict(
            linearizable=False, final=state, steps=steps, explained=explained, stuck=stuck
        )


def check(
    model: Model[_S], initial: _S, calls: Sequence[Call], *, seconds_max: float
) -> Verdict[_S]:
    """Say whether *calls* are linearizable from the state *initial*.

    Raises CheckTookTooLongError when that is not found out within *seconds_max*.
    """
    deadline = time.monotonic() + seconds_max
    search = _Search(model, initial, calls)
    entry = search.head.after
    steps = 0
    while search.left:
        # The end of a call that is left is still in the list, so its end is not reached.
        assert entry is not None
        steps += 1
        if steps % STEPS_PER_LOOK == 0 and time.monotonic() > deadline:
            raise CheckTookTooLongError(
                f"{len(calls)} calls, {search.left} left after {steps} steps in {seconds_max} s"
            )
        if entry.call is None:
            # A call ends here that is not taken, and nothing before fits: a choice was wrong.
            entry = search.back()
            if entry is None:
                return search.refusal(steps)
        elif search.take(entry):
            entry = search.head.after
        else:
            entry = entry.after
    return Verdict(linearizable=True, final=search.state, steps=steps)
