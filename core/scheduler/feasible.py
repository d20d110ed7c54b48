"""May this unit run on this machine, and if not, why not: one frozen value a reason.

``str()`` of a rejection is the sentence that a person reads after the machine's name.
"""

from dataclasses import dataclass

from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine, MachineState
from c101.core.model.unit import TargetState
from c101.core.scheduler.layout import Layout, requirements_of, suits
from c101.core.units.requirements import Requirements


@dataclass(frozen=True, slots=True)
class Lost:
    """The machine's lease ended."""

    def __str__(self) -> str:
        return "it is lost"


@dataclass(frozen=True, slots=True)
class Draining:
    """The machine gives away what it has."""

    def __str__(self) -> str:
        return "it is draining"


@dataclass(frozen=True, slots=True)
class Cordoned:
    """The machine is given nothing new."""

    def __str__(self) -> str:
        return "it is cordoned"


@dataclass(frozen=True, slots=True)
class WrongMachine:
    """MachineID= names another one."""

    wanted: str

    def __str__(self) -> str:
        return f"MachineID={self.wanted} is another machine"


@dataclass(frozen=True, slots=True)
class MetadataMismatch:
    """The machine's metadata has another value for *key*, or none (``None``)."""

    key: str
    wanted: frozenset[str]
    found: str | None

    def __str__(self) -> str:
        wanted = " or ".join(sorted(self.wanted))
        found = "it has none" if self.found is None else f"it has {self.key}={self.found}"
        return f"metadata {self.key}={wanted} is wanted, {found}"


@dataclass(frozen=True, slots=True)
class PeerElsewhere:
    """A unit of MachineOf= is not on the machine. *machine* is the name of where it is."""

    peer: str
    machine: str | None

    def __str__(self) -> str:
        where = f"on {self.machine}" if self.machine is not None else "placed nowhere"
        return f"its peer {self.peer} is {where}"


@dataclass(frozen=True, slots=True)
class Conflict:
    """The unit's own Conflicts= matches one that is there."""

    other: str
    glob: str

    def __str__(self) -> str:
        return f"{self.other} is there, which its Conflicts={self.glob} bars"


@dataclass(frozen=True, slots=True)
class ConflictWith:
    """A unit that is there has a Conflicts= that matches this one."""

    other: str
    glob: str

    def __str__(self) -> str:
        return f"{self.other} is there and bars it by Conflicts={self.glob}"


@dataclass(frozen=True, slots=True)
class ReplacedBy:
    """A unit that is there replaces this one."""

    other: str

    def __str__(self) -> str:
        return f"{self.other} is there and replaces it"


Rejection = (
    Lost
    | Draining
    | Cordoned
    | WrongMachine
    | MetadataMismatch
    | PeerElsewhere
    | Conflict
    | ConflictWith
    | ReplacedBy
)


def reject(
    layout: Layout, unit: str, machine_id: str, *, keeping: bool = False
) -> Rejection | None:
    """Say why *unit* may not be on a machine; ``None`` when it may.

    With *keeping* the unit is there already, which a cordoned machine allows. *unit* itself never
    stands in its own way. What comes first in fleet's order is said first: machine, metadata,
    peers, conflicts.
    """
    machine = layout.machine(machine_id)
    asks = layout.asks(unit)
    return (
        reject_state(machine, keeping=keeping)
        or reject_machine(asks, machine)
        or _reject_peers(layout, asks, machine_id)
        or _reject_neighbours(layout, unit, asks, machine_id)
    )


def reject_state(machine: Machine, *, keeping: bool) -> Rejection | None:
    """Say why a machine's state keeps units away."""
    match machine.state:
        case MachineState.LOST:
            return Lost()
        case MachineState.DRAINING:
            return Draining()
        case MachineState.CORDONED:
            return None if keeping else Cordoned()
        case MachineState.READY:
            return None


def reject_machine(asks: Requirements, machine: Machine) -> Rejection | None:
    """Say which of MachineID= and MachineMetadata= the machine is not what was asked for."""
    if not asks.names_machine(machine.id):
        return WrongMachine(asks.machine_id or "")
    if not asks.metadata:
        return None
    metadata = machine.metadata
    for key in sorted(asks.metadata):
        if metadata.get(key) not in asks.metadata[key]:
            return MetadataMismatch(key, asks.metadata[key], metadata.get(key))
    return None


def _reject_peers(layout: Layout, asks: Requirements, machine_id: str) -> Rejection | None:
    here = layout.units_on(machine_id)
    for peer in asks.machine_of:
        if peer not in here:
            there = layout.machine_of.get(peer)
            return PeerElsewhere(peer, layout.machine(there).name if there is not None else None)
    return None


def _reject_neighbours(
    layout: Layout, unit: str, asks: Requirements, machine_id: str
) -> Rejection | None:
    here = sorted(layout.units_on(machine_id) - {unit})
    for other in here:
        glob = asks.conflict_with(other)
        if glob is not None:
            return Conflict(other, glob)
    for other in here:
        glob = layout.asks(other).conflict_with(unit)
        if glob is not None:
            return ConflictWith(other, glob)
    replacers = set(layout.replacements.of(unit))
    return next((ReplacedBy(other) for other in here if other in replacers), None)


def globals_on(cluster: ClusterState, machine_id: str) -> set[str]:
    """Return the global units that run on a machine, beside the units placed there.

    For agents, who decide this themselves and all alike: it needs no placement and no engine.
    A cordoned machine runs them as before, a draining one does not. A machine whose lease ended is
    judged by what is known of it: an agent that lost its lease must not stop what it runs.
    """
    machine = cluster.machines.get(machine_id)
    if machine is None or machine.state is MachineState.DRAINING:
        return set()
    there: dict[str, Requirements] = {}
    candidates: dict[str, Requirements] = {}
    for name, unit in cluster.units.items():
        if unit.target is TargetState.INACTIVE:
            continue
        asks = requirements_of(name, unit.text)
        if isinstance(asks, Requirements) and asks.is_global:
            candidates[name] = asks
        elif unit.placement is not None and unit.placement.machine_id == machine.id:
            there[name] = asks if isinstance(asks, Requirements) else Requirements()
    admitted: set[str] = set()
    for name, wants in sorted(candidates.items()):
        if suits(wants, machine) and not any(
            wants.conflict_with(other) or asks.conflict_with(name) for other, asks in there.items()
        ):
            there[name] = wants
            admitted.add(name)
    return admitted
