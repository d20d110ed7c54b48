"""Which of the feasible machines: the least loaded one, by machine id where several are.

Load is the number of units on a machine, global ones included (fleet: leastLoadedScheduler).
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from sortedcontainers import SortedList

#: With fewer machines than this to choose from, looking at each is quicker than going by load.
_FEW = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """The machine that won, and why, for people."""

    machine_id: str
    reason: str


class LoadOrder:
    """Machines by load, kept in order while units come and go."""

    def __init__(self, machine_ids: Iterable[str]) -> None:
        self._load = dict.fromkeys(machine_ids, 0)
        self._order = SortedList((0, machine_id) for machine_id in self._load)

    def load(self, machine_id: str) -> int:
        """Return how many units are on a machine; 0 for one that is not ranked."""
        return self._load.get(machine_id, 0)

    def add(self, machine_id: str, step: int) -> None:
        """Count *step* more units on a machine; those that are not ranked are left out."""
        load = self._load.get(machine_id)
        if load is None:
            return
        self._order.remove((load, machine_id))
        self._load[machine_id] = load + step
        self._order.add((load + step, machine_id))

    def choose(self, feasible: AbstractSet[str]) -> Choice:
        """Return the winner of *feasible*, which holds ranked machines and at least one."""
        if len(feasible) == 1:
            (only,) = feasible
            return Choice(only, "the only feasible machine")
        reason = f"least loaded of {len(feasible)} feasible"
        if len(feasible) < _FEW:
            return Choice(min(feasible, key=lambda one: (self._load[one], one)), reason)
        return Choice(next(one for _, one in self._order if one in feasible), reason)
