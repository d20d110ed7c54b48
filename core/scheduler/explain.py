"""Why a unit is where it is, or nowhere: machine by machine, and counted by constraint.

The lines are those that ``c101ctl why`` prints and that the console shows::

    big.service is placed nowhere: none of 3 machines is feasible
      MachineMetadata=memory=big: 0 of 3 machines
      m1  metadata memory=big is wanted, it has none
      ...
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

from c101.core.errors import NotFoundError
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine, MachineState
from c101.core.model.unit import TargetState, Unit
from c101.core.scheduler.feasible import Rejection, reject
from c101.core.scheduler.layout import Layout
from c101.core.units.globs import matches
from c101.core.units.requirements import Requirements


class Outcome(StrEnum):
    """Where a unit stands with the scheduler."""

    PLACED = "placed"
    PENDING = "pending"
    GLOBAL = "global"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One machine: ``rejection`` is ``None`` where the unit may run (or does).

    ``said`` is what its agent has to say of the unit: why it is not loaded, or what it waits for.
    """

    machine_id: str
    machine: str
    rejection: Rejection | None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Constraint:
    """One thing that is asked for, and how many of the machines have it, others left aside."""

    text: str
    satisfied: int
    total: int

    def __str__(self) -> str:
        return f"{self.text}: {self.satisfied} of {self.total} machines"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """All that is known. ``machine_id`` is where the unit is placed, if it is.

    ``summary`` is one sentence; ``constraints`` and ``verdicts`` are empty for an inactive unit.
    """

    unit: str
    outcome: Outcome
    summary: str
    machine_id: str | None = None
    constraints: tuple[Constraint, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    def lines(self) -> list[str]:
        """Return the text for people, a line each."""
        width = max((len(verdict.machine) for verdict in self.verdicts), default=0)
        return [
            f"{self.unit} {self.summary}",
            *(f"  {constraint}" for constraint in self.constraints),
            *(f"  {one.machine:<{width}}  {_word(self, one)}" for one in self.verdicts),
        ]


def _word(explanation: Explanation, verdict: Verdict) -> str:
    if verdict.rejection is not None:
        return str(verdict.rejection)
    word = "feasible"
    if explanation.machine_id == verdict.machine_id:
        word = "it is placed here"
    elif explanation.outcome is Outcome.GLOBAL:
        word = "runs here"
    return f"{word}: {verdict.said}" if verdict.said else word


def why(cluster: ClusterState, unit: str) -> Explanation:
    """Explain *unit*. Raises NotFoundError, with what is damaged where that is the reason."""
    found = cluster.units.get(unit)
    if found is None:
        damage = [text for path, text in cluster.damaged.items() if f"units/{unit}/" in path]
        reason = f"unit {unit} cannot be read: {damage[0]}" if damage else f"no unit {unit}"
        raise NotFoundError(reason, hint="c101ctl list-unit-files shows what there is")
    return _explain(Layout.of(cluster), found)


def reasons(cluster: ClusterState) -> dict[str, str]:
    """Return, for each unit that should be on a machine and is on none, why: in one sentence.

    Also for one whose machine is lost and that no other machine can take.
    """
    layout = Layout.of(cluster)
    # Many units that ask the same, and that no other unit matters to, are answered once.
    alike: dict[object, str] = {}
    found = {}
    for name in sorted(layout.wanted.keys() | layout.unreadable.keys()):
        if not _is_in_trouble(layout, name):
            continue
        asks = layout.asks(name)
        key: object = (asks.is_global, asks.machine_id, frozenset(asks.metadata.items()))
        if name in layout.machine_of or name in layout.unreadable or not layout.is_alone(name):
            key = name
        if key not in alike:
            alike[key] = _trouble(layout, name)
        found[name] = alike[key]
    return found


def _is_in_trouble(layout: Layout, name: str) -> bool:
    if layout.asks(name).is_global:
        return not any(name in layout.units_on(machine) for machine in layout.cluster.machines)
    machine_id = layout.machine_of.get(name)
    return machine_id is None or layout.machine(machine_id).state is MachineState.LOST


def _trouble(layout: Layout, name: str) -> str:
    """Return the summary and the constraints that no machine has, in one line."""
    short = [str(one) for one in _constraints(layout, name) if not one.satisfied]
    return "; ".join([_summary(layout, layout.cluster.units[name]), *short])


def _explain(layout: Layout, unit: Unit) -> Explanation:
    name = unit.name
    summary = _summary(layout, unit)
    if unit.target is TargetState.INACTIVE:
        return Explanation(unit=name, outcome=Outcome.INACTIVE, summary=summary)
    if name in layout.unreadable and unit.placement is None:
        return Explanation(unit=name, outcome=Outcome.PENDING, summary=summary)
    machine_id = layout.machine_of.get(name)
    outcome = Outcome.PLACED if machine_id is not None else Outcome.PENDING
    return Explanation(
        unit=name,
        outcome=Outcome.GLOBAL if layout.asks(name).is_global else outcome,
        summary=summary,
        machine_id=machine_id,
        constraints=tuple(_constraints(layout, name)),
        verdicts=tuple(_verdict(layout, name, one) for one in _by_name(layout.cluster)),
    )


def _summary(layout: Layout, unit: Unit) -> str:
    """Say in one sentence where *unit* stands; the unit's name goes before it."""
    if unit.target is TargetState.INACTIVE:
        return "is placed nowhere: its target state is inactive"
    if layout.asks(unit.name).is_global:
        return _global_summary(layout, unit.name)
    if unit.placement is None:
        return f"is placed nowhere: {_pending_summary(layout, unit.name)}"
    machine = layout.machine(unit.placement.machine_id)
    if machine.state is MachineState.LOST:
        pending = _pending_summary(layout, unit.name)
        return f"is placed on {machine.name}, which is lost; {pending}"
    return f"is placed on {machine.name}: {unit.placement.reason}"


def _by_name(cluster: ClusterState) -> list[Machine]:
    return sorted(cluster.machines.values(), key=lambda machine: (machine.name, machine.id))


def _verdict(layout: Layout, unit: str, machine: Machine) -> Verdict:
    here = unit in layout.units_on(machine.id) or layout.asks(unit).is_global
    state = layout.cluster.states.get((unit, machine.id))
    return Verdict(
        machine.id,
        machine.name,
        reject(layout, unit, machine.id, keeping=here),
        said=state.message if state is not None else "",
    )


def _global_summary(layout: Layout, unit: str) -> str:
    machines = layout.cluster.present()
    running = sum(unit in layout.units_on(machine.id) for machine in machines)
    return f"is global: it runs on {running} of {len(machines)} machines"


def _pending_summary(layout: Layout, unit: str) -> str:
    if unit in layout.unreadable:
        return layout.unreadable[unit]
    machines = layout.cluster.present()
    if not machines:
        return "there is no machine"
    feasible = len(layout.feasible(unit))
    if not feasible:
        return f"none of {len(machines)} machines is feasible"
    waiting = f"{feasible} of {len(machines)} machines feasible"
    if not layout.cluster.leader:
        return f"{waiting}, but no engine leads: see c101-core engine"
    return f"{waiting}, the engine has not placed it yet"


def _constraints(layout: Layout, unit: str) -> Iterable[Constraint]:
    """Count each thing asked for by itself, over the machines that are not lost."""
    machines = layout.cluster.present()

    def count(text: str, holds: Callable[[Machine], bool]) -> Constraint:
        return Constraint(text, sum(map(holds, machines)), len(machines))

    asks = layout.asks(unit)
    if any(machine.state is not MachineState.READY for machine in machines):
        yield count("ready", lambda machine: machine.state is MachineState.READY)
    if asks.machine_id is not None:
        yield count(f"MachineID={asks.machine_id}", lambda machine: asks.names_machine(machine.id))
    for key, values in sorted(asks.metadata.items()):
        wanted = " or ".join(sorted(values))
        yield count(f"MachineMetadata={key}={wanted}", _has(layout, key, values))
    for peer in asks.machine_of:
        yield count(f"MachineOf={peer}", _holds(layout, peer))
    for text, bars in _barring(layout, unit, asks):
        yield count(text, _is_free(layout, unit, bars))


def _has(layout: Layout, key: str, values: frozenset[str]) -> Callable[[Machine], bool]:
    return lambda machine: layout.metadata(machine.id).get(key) in values


def _holds(layout: Layout, peer: str) -> Callable[[Machine], bool]:
    return lambda machine: peer in layout.units_on(machine.id)


def _is_free(layout: Layout, unit: str, bars: Callable[[str], bool]) -> Callable[[Machine], bool]:
    return lambda machine: (
        not any(bars(other) for other in layout.units_on(machine.id) if other != unit)
    )


def _barring(
    layout: Layout, unit: str, asks: Requirements
) -> Iterable[tuple[str, Callable[[str], bool]]]:
    """Yield each constraint that other units on a machine can break, and what breaks it."""
    for glob in asks.conflicts:
        yield f"Conflicts={glob}", _matched_by(glob)
    others = {
        glob
        for other, wants in layout.wanted.items()
        for glob in wants.conflicts
        if other != unit and glob not in asks.conflicts and matches(glob, unit)
    }
    for glob in sorted(others):
        yield f"no unit with Conflicts={glob}", _owning(layout, glob)
    replacers = set(layout.replacements.of(unit))
    if replacers:
        yield "no unit that replaces it", lambda other: other in replacers


def _matched_by(glob: str) -> Callable[[str], bool]:
    return lambda other: matches(glob, other)


def _owning(layout: Layout, glob: str) -> Callable[[str], bool]:
    return lambda other: glob in layout.asks(other).conflicts
