"""What an agent should do next: a pure comparison of what is wanted here with what is held here.

Nothing is ever stopped for being unknown. A unit goes away for one of three reasons only: it was
destroyed (the registry keeps a mark), the scheduler took it from every machine, or it was placed
elsewhere and runs there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from c101.agents.runtime.unit_manager import LoadedUnit
from c101.core.model.cluster import ClusterState
from c101.core.model.unit import TargetState, Unit
from c101.core.scheduler.feasible import globals_on
from c101.core.units.requirements import WhenMoved

#: ACTIVE words of a unit that has processes, or is about to have some.
_ALIVE = frozenset({"active", "activating", "reloading", "deactivating"})


@dataclass(frozen=True, slots=True)
class Task:
    """One order to the unit runtime, and why."""

    unit: str
    reason: str


@dataclass(frozen=True, slots=True)
class LoadUnit(Task):
    """Install the unit's file."""

    text: str
    unit_hash: str


@dataclass(frozen=True, slots=True)
class StartUnit(Task):
    """Start it; *launch* is what it answers (see ``launch_id``)."""

    launch: str


@dataclass(frozen=True, slots=True)
class RestartUnit(Task):
    """Stop and start it."""

    launch: str


@dataclass(frozen=True, slots=True)
class ReloadUnit(Task):
    """Have it read anew what it runs by."""


@dataclass(frozen=True, slots=True)
class StopUnit(Task):
    """Stop it, keep it loaded."""


@dataclass(frozen=True, slots=True)
class UnloadUnit(Task):
    """Stop it and forget it."""


@dataclass(frozen=True, slots=True)
class KeepUnit(Task):
    """Leave it as it is although it is not wanted here; said, so that somebody may act."""


def launch_id(unit: Unit) -> str:
    """Name one wish that *unit* run: a new start or a new restart is a new name.

    A unit that exited or failed is not started again for a wish it has already answered: what
    happens after a start is the unit file's ``Restart=``.
    """
    return f"{unit.target_revision}:{unit.restart}"


def restart_of(launch: str) -> str:
    """Return the restart id within a launch id."""
    return launch.partition(":")[2]


def reconcile(
    cluster: ClusterState,
    machine_id: str,
    held: Iterable[LoadedUnit],
    moved: Mapping[str, WhenMoved] = MappingProxyType({}),
) -> list[Task]:
    """Return what to do: unloads, then loads, then stops and starts, each by unit name.

    A runtime that reads all new files at once does so before the first start. *moved* are units
    whose text changed because others are elsewhere (see ``linked``).
    """
    everywhere = globals_on(cluster, machine_id)
    wanted = {
        name: unit
        for name, unit in cluster.units.items()
        if _is_wanted(unit, machine_id, everywhere)
    }
    have = {unit.name: unit for unit in held}
    leaving = [_leave(cluster, unit) for name, unit in sorted(have.items()) if name not in wanted]
    staying = [
        task
        for name, unit in sorted(wanted.items())
        for task in _hold(unit, have.get(name), moved.get(name))
    ]
    loads = [task for task in staying if isinstance(task, LoadUnit)]
    return [*leaving, *loads, *(task for task in staying if not isinstance(task, LoadUnit))]


def _is_wanted(unit: Unit, machine_id: str, everywhere: set[str]) -> bool:
    if unit.target is TargetState.INACTIVE:
        return False
    if unit.placement is not None:
        return unit.placement.machine_id == machine_id
    return unit.name in everywhere


def _leave(cluster: ClusterState, held: LoadedUnit) -> Task:
    unit = cluster.units.get(held.name)
    if unit is None and held.name in cluster.destroyed:
        return UnloadUnit(held.name, "it was destroyed")
    if unit is None or not unit.target_revision:
        what = "it" if unit is None else "its target state"
        return KeepUnit(held.name, f"{what} is missing from the registry, nobody destroyed it")
    if unit.target is TargetState.INACTIVE:
        return UnloadUnit(held.name, "its target state is inactive")
    if unit.placement is None or held.active not in _ALIVE:
        return UnloadUnit(held.name, "it is not wanted on this machine")
    there = unit.placement.machine_id
    elsewhere = cluster.states.get((held.name, there))
    if elsewhere is not None and elsewhere.active == "active":
        return UnloadUnit(held.name, f"it runs on {_name(cluster, there)}")
    return KeepUnit(held.name, f"it is not active yet on {_name(cluster, there)}")


def _name(cluster: ClusterState, machine_id: str) -> str:
    machine = cluster.machines.get(machine_id)
    return machine.name if machine is not None else machine_id[:8]


def _hold(unit: Unit, held: LoadedUnit | None, moved: WhenMoved | None) -> list[Task]:
    if held is None:
        load = LoadUnit(unit.name, "it is placed here and not loaded", unit.text, unit.hash)
        return [load, *_start(unit)]
    tasks: list[Task] = []
    alive = held.active in _ALIVE
    stale = held.hash != unit.hash
    changed = "what it refers to has moved" if moved else "its file changed"
    if stale:
        tasks.append(LoadUnit(unit.name, changed, unit.text, unit.hash))
    if unit.target is TargetState.LOADED:
        if alive and held.active != "deactivating":
            tasks.append(StopUnit(unit.name, "its target state is loaded"))
        return tasks
    launch = launch_id(unit)
    if stale and alive and moved == "reload":
        tasks.append(ReloadUnit(unit.name, changed))
    elif stale and alive:
        tasks.append(RestartUnit(unit.name, changed, launch))
    elif held.restart == launch:
        return tasks
    elif alive and restart_of(held.restart) != unit.restart:
        tasks.append(RestartUnit(unit.name, "a restart was asked for", launch))
    else:
        tasks.extend(_start(unit))
    return tasks


def _start(unit: Unit) -> list[Task]:
    if unit.target is not TargetState.LAUNCHED:
        return []
    return [StartUnit(unit.name, "its target state is launched", launch_id(unit))]
