"""The whole cluster at one revision: what engine, agents, console and ctl all decide from."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from c101.core.model.machine import Machine, MachineState
from c101.core.model.unit import TargetState, Unit, UnitState


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterState:
    """Everything under the registry's prefix, decoded.

    ``states`` is keyed by (unit, machine id). ``destroyed`` holds when a unit was destroyed
    (seconds since 1970): a unit that is missing without an entry there is never stopped.
    ``leader`` is the engine that holds the lease, as
    it named itself, or "".
    A record that could not be decoded is left out and named in ``damaged`` with the reason: never
    guessed.
    """

    revision: int = 0
    units: Mapping[str, Unit] = field(default_factory=dict)
    machines: Mapping[str, Machine] = field(default_factory=dict)
    states: Mapping[tuple[str, str], UnitState] = field(default_factory=dict)
    destroyed: Mapping[str, float] = field(default_factory=dict)
    leader: str = ""
    damaged: Mapping[str, str] = field(default_factory=dict)

    def present(self) -> list[Machine]:
        """Return the machines whose agent holds its lease, by id."""
        return [
            machine
            for _, machine in sorted(self.machines.items())
            if machine.state is not MachineState.LOST
        ]

    def placed_on(self, machine_id: str) -> list[str]:
        """Return the units whose place is that machine, by name; global units have none."""
        return sorted(
            unit.name
            for unit in self.units.values()
            if unit.placement is not None and unit.placement.machine_id == machine_id
        )

    def unmoved(self, units: Collection[str], machine_ids: Collection[str]) -> list[str]:
        """Return which of *units* want a place, and have none but on those machines, by name."""
        return sorted(
            unit.name
            for unit in map(self.units.get, units)
            if unit is not None
            and unit.target is not TargetState.INACTIVE
            and (unit.placement is None or unit.placement.machine_id in machine_ids)
        )

    def states_of(self, unit: str) -> list[UnitState]:
        """Return the states of *unit* on every machine that reports one, by machine id."""
        return [state for (name, _), state in sorted(self.states.items()) if name == unit]
