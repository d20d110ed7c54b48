"""What has to change for the placements to be what the cluster wants: pure, and settled in one go.

Applying the tasks and asking again gives none. The result depends on what the cluster is, not on
the order in which it is told.

Three steps. *Keep*: every placement is tried in the order of age, so that of two units in conflict
the older one stays; what cannot stay is taken out, and its followers with it. *Place*: what is
placed nowhere is put on the least loaded feasible machine, peers before their followers. *Compare*:
where a unit ended is compared with where it was, and only a difference is a task.
"""

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from c101.core.model.cluster import ClusterState
from c101.core.model.machine import MachineState
from c101.core.model.unit import TargetState, Unit
from c101.core.scheduler.feasible import (
    Conflict,
    ConflictWith,
    Lost,
    PeerElsewhere,
    Rejection,
    ReplacedBy,
    reject,
    reject_machine,
    reject_state,
)
from c101.core.scheduler.layout import Layout
from c101.core.scheduler.rank import Choice

#: A unit that had to go this often in one pass is left pending: a knot of MachineOf= and Replaces=
#: that does not come undone must not hold up the others.
EVICTIONS_MAX = 8


@dataclass(frozen=True, slots=True)
class Task:
    """One change of one placement, and why."""

    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class UnscheduleUnit(Task):
    """Take the unit from the machine that it is on."""

    previous_id: str


@dataclass(frozen=True, slots=True)
class RescheduleUnit(Task):
    """Put the unit on another machine than it is on, in one step."""

    previous_id: str
    machine_id: str


@dataclass(frozen=True, slots=True)
class ScheduleUnit(Task):
    """Put the unit, which is nowhere, on a machine."""

    machine_id: str


_ORDER = (UnscheduleUnit, RescheduleUnit, ScheduleUnit)


def reconcile(cluster: ClusterState) -> list[Task]:
    """Return what to do: unschedules, then moves, then new placements, each by unit name."""
    settled = _Settlement(cluster)
    settled.keep()
    settled.place()
    tasks = [
        task for name, unit in cluster.units.items() if (task := _compare(settled, name, unit))
    ]
    return sorted(tasks, key=lambda task: (_ORDER.index(type(task)), task.unit))


def _compare(settled: "_Settlement", name: str, unit: Unit) -> Task | None:
    layout = settled.layout
    previous = unit.placement.machine_id if unit.placement is not None else None
    if unit.target is TargetState.INACTIVE or layout.asks(name).is_global:
        # Without a target it is not known what is wanted: missing is not unloaded.
        if previous is None or not unit.target_revision:
            return None
        inactive = unit.target is TargetState.INACTIVE
        reason = "its target state is inactive" if inactive else "it is global, and placed nowhere"
        return UnscheduleUnit(name, reason, previous)
    machine_id = layout.machine_of.get(name)
    if machine_id == previous:
        return None
    if previous is None and machine_id is not None:
        return ScheduleUnit(name, settled.chosen[name].reason, machine_id)
    assert previous is not None
    left = settled.left[name]
    if machine_id is None:
        # It may well run on there, and goes on where it is when the machine comes back.
        return None if isinstance(left, Lost) else _unschedule(layout, name, previous, left)
    why = f"left {layout.machine(previous).name}: {left}; {settled.chosen[name].reason}"
    return RescheduleUnit(name, why, previous, machine_id)


def _unschedule(layout: Layout, name: str, previous: str, left: Rejection) -> UnscheduleUnit:
    why = f"left {layout.machine(previous).name}: {left}; no other machine is feasible"
    return UnscheduleUnit(name, why, previous)


class _Settlement:
    """The layout on its way to being right, with why units left and why they are where they are."""

    def __init__(self, cluster: ClusterState) -> None:
        self.cluster = cluster
        self.layout = Layout(cluster)
        self.left: dict[str, Rejection] = {}
        self.chosen: dict[str, Choice] = {}
        self._homeless: list[tuple[int, str]] = []
        self._unplaceable: set[str] = set()
        self._depths: dict[str, int] = {}
        self._departures: Counter[str] = Counter()

    # Keep

    def keep(self) -> None:
        """Leave every unit where it is that may stay; the others are homeless after."""
        for _, name, machine_id in sorted(self._placements()):
            reason = self._must_leave(name, machine_id)
            if reason is None:
                self.layout.place(name, machine_id)
            else:
                self._leave(name, reason)
        for name in sorted(self.layout.machine_of):
            self._evict_replaced(name)
        self.layout.admit_globals()
        self._follow(self.layout.machine_of)

    def _placements(self) -> Iterable[tuple[float, str, str]]:
        for name in self.layout.wanted.keys() | self.layout.unreadable.keys():
            placement = self.cluster.units[name].placement
            if self.layout.asks(name).is_global:
                continue
            if placement is not None:
                yield placement.since, name, placement.machine_id
            elif name in self.layout.wanted:
                self._push(name)

    def _must_leave(self, name: str, machine_id: str) -> Rejection | None:
        if name in self.layout.unreadable:
            # Not knowing what it asks is no reason to stop it.
            return None
        machine = self.layout.machine(machine_id)
        reason = reject_state(machine, keeping=True) or reject_machine(
            self.layout.asks(name), machine
        )
        if reason is None and self.layout.is_barred(name, machine_id):
            return self._neighbour(name, machine_id)
        return reason

    def _neighbour(self, name: str, machine_id: str) -> Rejection | None:
        """Say which unit bars *name*; peers, which are looked at later, are left aside."""
        layout = self.layout
        for other in sorted(layout.units_on(machine_id)):
            glob = layout.asks(name).conflict_with(other)
            if glob is not None:
                return Conflict(other, glob)
            glob = layout.asks(other).conflict_with(name)
            if glob is not None:
                return ConflictWith(other, glob)
        replacers = set(layout.replacements.of(name))
        found = next((o for o in sorted(layout.units_on(machine_id)) if o in replacers), None)
        return ReplacedBy(found) if found is not None else None

    def _leave(self, name: str, reason: Rejection) -> None:
        self.left.setdefault(name, reason)
        self._departures[name] += 1
        if self._departures[name] <= EVICTIONS_MAX:
            self._push(name)

    def _evict(self, name: str, reason: Rejection) -> None:
        followers = self.layout.followers.get(name, [])
        self.layout.remove(name)
        self.chosen.pop(name, None)
        self._leave(name, reason)
        self._follow(followers)

    def _evict_replaced(self, name: str) -> None:
        machine_id = self.layout.machine_of.get(name)
        for other in self.layout.replacements.by(name):
            if machine_id is not None and self.layout.machine_of.get(other) == machine_id:
                self._evict(other, ReplacedBy(name))

    def _follow(self, units: Iterable[str]) -> None:
        """Take out those of *units* that a peer is missing for, and then their own followers."""
        for name in sorted(units):
            machine_id = self.layout.machine_of.get(name)
            peer = self._missing_peer(name, machine_id) if machine_id is not None else None
            if peer is not None:
                there = self.layout.machine_of.get(peer)
                where = self.layout.machine(there).name if there is not None else None
                self._evict(name, PeerElsewhere(peer, where))

    def _missing_peer(self, name: str, machine_id: str) -> str | None:
        here = self.layout.units_on(machine_id)
        for peer in self.layout.asks(name).machine_of:
            if peer not in here and self._is_known(peer):
                return peer
        return None

    def _is_known(self, peer: str) -> bool:
        """Say whether it is known where *peer* is: what is missing was not therefore destroyed."""
        return peer in self.cluster.units or peer in self.cluster.destroyed

    # Place

    def place(self) -> None:
        """Put every homeless unit on a machine if there is one."""
        while self._homeless:
            departed = self._departures.total()
            while self._homeless:
                _, name = heapq.heappop(self._homeless)
                if name not in self.layout.machine_of and not self._settle(name):
                    self._unplaceable.add(name)
            if self._departures.total() > departed:
                # Units went away, so there may be room for those that found none.
                self._retry(self._unplaceable)

    def _settle(self, name: str) -> bool:
        choice = self._stay(name)
        if choice is None:
            feasible = self.layout.feasible(name)
            if not feasible:
                return False
            choice = self.layout.order.choose(feasible)
        self.chosen[name] = choice
        self.layout.place(name, choice.machine_id)
        self._evict_replaced(name)
        self._retry(f for f in self.layout.followers.get(name, ()) if f in self._unplaceable)
        return True

    def _stay(self, name: str) -> Choice | None:
        """Return where it was, if what drove it out is gone: nothing moves without a reason."""
        placement = self.cluster.units[name].placement
        if placement is None or self._is_hopeless(placement.machine_id):
            return None
        if reject(self.layout, name, placement.machine_id, keeping=True) is not None:
            return None
        return Choice(placement.machine_id, "it stays where it is")

    def _is_hopeless(self, machine_id: str) -> bool:
        return self.layout.machine(machine_id).state in {MachineState.LOST, MachineState.DRAINING}

    def _retry(self, names: Iterable[str]) -> None:
        for name in sorted(names):
            self._unplaceable.discard(name)
            self._push(name)

    def _push(self, name: str) -> None:
        heapq.heappush(self._homeless, (self._depth(name), name))

    def _depth(self, name: str) -> int:
        """Return how many peers have to be placed before *name*, one after the other."""
        found = self._depths.get(name)
        if found is None:
            self._depths[name] = 0  # a circle of peers ends here
            peers = self.layout.asks(name).machine_of
            found = max((self._depth(peer) + 1 for peer in peers), default=0)
            self._depths[name] = found
        return found
