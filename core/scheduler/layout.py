"""Which unit is on which machine while decisions are made, indexed by what decisions ask.

A decision asks for one unit "which machines are barred by a conflict?". Looking through the units
of each machine would cost units times machines; instead the layout counts, for each glob of any
``Conflicts=``, on which machines a unit stands that matches it and on which one that owns it::

    web@1 (Conflicts=web@*) on A          matched["web@*"] = {A: 1}    owned["web@*"] = {A: 1}
    web@2 asks: its own globs  -> machines where they are matched   = {A}
                globs that match its name -> machines where they are owned = {A}

so the answer is a union of a few small sets, however many units there are.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import lru_cache

from c101.core.errors import InvalidNameError
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine, MachineState
from c101.core.model.unit import TargetState, Unit
from c101.core.scheduler.rank import LoadOrder
from c101.core.scheduler.replaced import Replacements
from c101.core.units.file import UnitFile, UnitFileError
from c101.core.units.globs import compile_glob, is_exact
from c101.core.units.name import UnitName
from c101.core.units.requirements import Requirements

#: How many unit files are kept read. Above it, files are read again and again: slow, not wrong.
REQUIREMENTS_CACHED_MAX = 65_536

_ANYTHING = Requirements()


@lru_cache(maxsize=REQUIREMENTS_CACHED_MAX)
def requirements_of(name: str, text: str) -> Requirements | str:
    """Return what the unit asks, or the reason why its file cannot be read."""
    try:
        unit = UnitName.parse(name)
        if unit.is_template:
            return "a template runs nowhere; start an instance of it"
        return Requirements.of(unit, UnitFile.parse(text, name))
    except (InvalidNameError, UnitFileError) as exc:
        return str(exc)


class Layout:
    """An index of placements that can be changed; it decides nothing itself.

    ``wanted`` holds what each unit asks whose target is not inactive; ``unreadable`` the reason
    for each whose file cannot be read (those stay where they are, and ask nothing).
    ``machine_of`` is where each unit is that is no global one.
    """

    def __init__(self, cluster: ClusterState) -> None:
        self.cluster = cluster
        self.wanted: dict[str, Requirements] = {}
        self.unreadable: dict[str, str] = {}
        self.machine_of: dict[str, str] = {}
        self.followers: dict[str, list[str]] = defaultdict(list)
        for name, unit in cluster.units.items():
            if unit.target is not TargetState.INACTIVE:
                self._read(name, unit)
        self.global_units = sorted(name for name, asks in self.wanted.items() if asks.is_global)
        self.replacements = Replacements(self.wanted)
        self._units_on: dict[str, set[str]] = {machine_id: set() for machine_id in cluster.machines}
        self._globs_on_name = _globs_on_names(cluster.units, self.wanted.values())
        self._matched: dict[str, Counter[str]] = defaultdict(Counter)
        self._owned: dict[str, Counter[str]] = defaultdict(Counter)
        self._fitting: dict[object, frozenset[str]] = {}
        self._metadata: dict[str, Mapping[str, str]] = {}
        self._accepting = [
            machine for machine in cluster.machines.values() if machine.state is MachineState.READY
        ]
        self.order = LoadOrder(machine.id for machine in self._accepting)

    @classmethod
    def of(cls, cluster: ClusterState) -> "Layout":
        """Return the layout as it stands: every placement, then the global units beside them."""
        layout = cls(cluster)
        for name in sorted(layout.wanted.keys() | layout.unreadable.keys()):
            placement = cluster.units[name].placement
            if placement is not None and not layout.asks(name).is_global:
                layout.place(name, placement.machine_id)
        layout.admit_globals()
        return layout

    def _read(self, name: str, unit: Unit) -> None:
        asks = requirements_of(name, unit.text)
        if isinstance(asks, str):
            self.unreadable[name] = asks
            return
        self.wanted[name] = asks
        for peer in asks.machine_of:
            self.followers[peer].append(name)

    def asks(self, unit: str) -> Requirements:
        """Return what *unit* asks; nothing for one that cannot be read."""
        return self.wanted.get(unit, _ANYTHING)

    def units_on(self, machine_id: str) -> AbstractSet[str]:
        """Return the units on a machine, global ones included."""
        return self._units_on.get(machine_id, frozenset())

    def machine(self, machine_id: str) -> Machine:
        """Return a machine; one without any key is lost."""
        return self.cluster.machines.get(machine_id) or Machine(id=machine_id)

    def metadata(self, machine_id: str) -> Mapping[str, str]:
        """Return a machine's metadata; put together once."""
        found = self._metadata.get(machine_id)
        if found is None:
            found = self._metadata[machine_id] = self.machine(machine_id).metadata
        return found

    def is_alone(self, unit: str) -> bool:
        """Say whether no other unit matters to where *unit* may be."""
        asks = self.asks(unit)
        return not (
            asks.conflicts
            or asks.machine_of
            or self._globs_on_name.get(unit)
            or self.replacements.of(unit)
        )

    def place(self, unit: str, machine_id: str) -> None:
        """Put *unit* on a machine, whether it fits or not."""
        self.machine_of[unit] = machine_id
        self._add(unit, machine_id, 1)

    def remove(self, unit: str) -> None:
        """Take *unit* from its machine; global units that it barred come in."""
        machine_id = self.machine_of.pop(unit)
        self._add(unit, machine_id, -1)
        self._admit_globals_on(self.machine(machine_id))

    def _add(self, unit: str, machine_id: str, step: int) -> None:
        units = self._units_on.setdefault(machine_id, set())
        units.add(unit) if step > 0 else units.discard(unit)
        self.order.add(machine_id, step)
        for index, globs in (
            (self._matched, self._globs_on_name.get(unit, ())),
            (self._owned, self.asks(unit).conflicts),
        ):
            for glob in globs:
                index[glob][machine_id] += step
                if not index[glob][machine_id]:
                    del index[glob][machine_id]

    def admit_globals(self) -> None:
        """Let every global unit onto every machine that it fits: by name, first come first served.

        Agents decide the same for themselves (``feasible.globals_on``): placed units come before
        global ones, and those bar each other in the order of their names.
        """
        for machine in self.cluster.machines.values():
            self._admit_globals_on(machine)

    def _admit_globals_on(self, machine: Machine) -> None:
        if machine.state not in {MachineState.READY, MachineState.CORDONED}:
            return
        present = self._units_on[machine.id]
        for name in self.global_units:
            if name in present or not suits(self.wanted[name], machine):
                continue
            if not self.is_barred(name, machine.id):
                self._add(name, machine.id, 1)

    def is_barred(self, unit: str, machine_id: str) -> bool:
        """Say whether a conflict, in either direction, bars *unit* from a machine.

        Also a unit there that replaces it. *unit* itself must not be on the machine.
        """
        if any(machine_id in self._matched.get(glob, ()) for glob in self.asks(unit).conflicts):
            return True
        globs = self._globs_on_name.get(unit, ())
        if any(machine_id in self._owned.get(glob, ()) for glob in globs):
            return True
        return any(self.machine_of.get(other) == machine_id for other in self.replacements.of(unit))

    def barred(self, unit: str) -> set[str]:
        """Return the machines that :meth:`is_barred` says yes to; *unit* must be nowhere."""
        found: set[str] = set()
        for glob in self.asks(unit).conflicts:
            found.update(self._matched.get(glob, ()))
        for glob in self._globs_on_name.get(unit, ()):
            found.update(self._owned.get(glob, ()))
        found.update(
            self.machine_of[other]
            for other in self.replacements.of(unit)
            if other in self.machine_of
        )
        return found

    def with_peers(self, unit: str) -> frozenset[str] | None:
        """Return the machines on which every peer of *unit* is; ``None`` when it has no peers."""
        found: frozenset[str] | None = None
        for peer in self.asks(unit).machine_of:
            there = self._machines_of(peer)
            found = there if found is None else found & there
        return found

    def _machines_of(self, peer: str) -> frozenset[str]:
        if peer in self.machine_of:
            return frozenset({self.machine_of[peer]})
        if not self.asks(peer).is_global:
            return frozenset()
        return frozenset(machine for machine, units in self._units_on.items() if peer in units)

    def fitting(self, unit: str) -> frozenset[str]:
        """Return the machines that take new units and suit *unit*, other units left aside."""
        asks = self.asks(unit)
        key = (asks.machine_id, frozenset(asks.metadata.items()))
        found = self._fitting.get(key)
        if found is None:
            found = frozenset(m.id for m in self._accepting if suits(asks, m))
            self._fitting[key] = found
        return found

    def feasible(self, unit: str) -> AbstractSet[str]:
        """Return the machines that *unit*, which is nowhere, could be put on.

        The same that ``feasible.reject`` lets pass, found without asking machine by machine.
        """
        found = self.fitting(unit)
        peers = self.with_peers(unit)
        if peers is not None:
            found &= peers
        barred = self.barred(unit)
        return found - barred if barred else found


def suits(asks: Requirements, machine: Machine) -> bool:
    """Say whether *machine* is one that MachineID= and MachineMetadata= allow."""
    if not asks.names_machine(machine.id):
        return False
    if not asks.metadata:
        return True
    metadata = machine.metadata
    return all(metadata.get(key) in values for key, values in asks.metadata.items())


def _globs_on_names(
    names: Iterable[str], asks: Iterable[Requirements]
) -> Mapping[str, Iterable[str]]:
    """Return for each name the globs of any Conflicts= that match it."""
    found: dict[str, list[str]] = defaultdict(list)
    ordered = sorted(names)
    for glob in {glob for one in asks for glob in one.conflicts}:
        for name in _matching(glob, ordered):
            found[name].append(glob)
    return found


def _matching(glob: str, ordered: list[str]) -> list[str]:
    """Return the names that *glob* matches, looking only at those that begin as it does."""
    if is_exact(glob):
        at = bisect_left(ordered, glob)
        return [glob] if at < len(ordered) and ordered[at] == glob else []
    head = glob[: min(at for at in map(glob.find, "*?[\\") if at >= 0)]
    matches = compile_glob(glob).fullmatch
    first = bisect_left(ordered, head)
    found = []
    for name in ordered[first:]:
        if not name.startswith(head):
            break
        if matches(name):
            found.append(name)
    return found
