"""What an agent decides, case by case."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from c101.agents.host.reconcile import (
    KeepUnit,
    LoadUnit,
    RestartUnit,
    StartUnit,
    StopUnit,
    Task,
    UnloadUnit,
    launch_id,
    reconcile,
)
from c101.agents.runtime.unit_manager import LoadedUnit
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine, MachinePresence
from c101.core.model.unit import Placement, TargetState, Unit, UnitState

HERE, THERE = "m1", "m2"
TEXT = "[Service]\nExecStart=/bin/sleep 1\n"


def a_machine(machine_id: str, **metadata: str) -> Machine:
    presence = MachinePresence(
        id=machine_id,
        name=f"name-of-{machine_id}",
        boot_id="b",
        agent_version="0",
        runtime="process",
        metadata=metadata,
    )
    return Machine(id=machine_id, presence=presence)


def a_unit(
    name: str = "a.service",
    *,
    target: TargetState = TargetState.LAUNCHED,
    on: str | None = HERE,
    text: str = TEXT,
    restart: str = "",
) -> Unit:
    placement = Placement(machine_id=on, reason="r", since=1.0) if on else None
    return Unit(
        name=name,
        text=text,
        hash=str(hash(text)),
        target=target,
        placement=placement,
        restart=restart,
        target_revision=7,
    )


def a_held(unit: Unit, *, active: str = "active", launch: str | None = None) -> LoadedUnit:
    return LoadedUnit(
        name=unit.name,
        load="loaded",
        active=active,
        sub="running",
        hash=unit.hash,
        since=1.0,
        restart=launch_id(unit) if launch is None else launch,
    )


def a_cluster(
    *units: Unit,
    states: Mapping[tuple[str, str], UnitState] | None = None,
    destroyed: Mapping[str, float] | None = None,
) -> ClusterState:
    return ClusterState(
        revision=9,
        units={unit.name: unit for unit in units},
        machines={HERE: a_machine(HERE, disk="ssd"), THERE: a_machine(THERE)},
        states=states or {},
        destroyed=destroyed or {},
    )


def a_state(unit: str, machine_id: str, active: str) -> UnitState:
    return UnitState(unit=unit, machine_id=machine_id, load="loaded", active=active, sub="x")


def kinds(tasks: list[Task]) -> list[type[Task]]:
    return [type(task) for task in tasks]


UNIT = a_unit()
GLOBAL = a_unit(on=None, text=TEXT + "[X-Fleet]\nGlobal=true\n")
GLOBAL_SSD = a_unit(on=None, text=TEXT + "[X-Fleet]\nGlobal=true\nMachineMetadata=disk=ssd\n")


@pytest.mark.parametrize(
    ("cluster", "held", "expected"),
    [
        pytest.param(
            a_cluster(UNIT), [], [LoadUnit, StartUnit], id="placed here and unknown: load, start"
        ),
        pytest.param(
            a_cluster(a_unit(target=TargetState.LOADED)), [], [LoadUnit], id="loaded only: load"
        ),
        pytest.param(a_cluster(UNIT), [a_held(UNIT)], [], id="runs as wanted: nothing"),
        pytest.param(
            a_cluster(UNIT), [a_held(UNIT, active="failed")], [], id="failed: Restart= decides"
        ),
        pytest.param(
            a_cluster(UNIT),
            [a_held(UNIT, active="failed", launch="6:")],
            [StartUnit],
            id="failed, and asked for anew: start",
        ),
        pytest.param(
            a_cluster(a_unit(restart="x")),
            [a_held(UNIT)],
            [RestartUnit],
            id="a restart was asked for: restart",
        ),
        pytest.param(
            a_cluster(a_unit(restart="x")),
            [a_held(UNIT, active="inactive")],
            [StartUnit],
            id="a restart of what does not run is a start",
        ),
        pytest.param(
            a_cluster(a_unit(target=TargetState.LOADED)),
            [a_held(UNIT)],
            [StopUnit],
            id="runs, and should only be loaded: stop",
        ),
        pytest.param(
            a_cluster(a_unit(target=TargetState.LOADED)),
            [a_held(UNIT, active="deactivating")],
            [],
            id="is stopping already: nothing",
        ),
        pytest.param(
            a_cluster(replace(UNIT, hash="other")),
            [a_held(UNIT)],
            [LoadUnit, RestartUnit],
            id="runs with another file: load, restart",
        ),
        pytest.param(
            a_cluster(a_unit(target=TargetState.INACTIVE, on=None)),
            [a_held(UNIT)],
            [UnloadUnit],
            id="its target is inactive: unload",
        ),
        pytest.param(
            a_cluster(replace(a_unit(target=TargetState.INACTIVE, on=None), target_revision=0)),
            [a_held(UNIT)],
            [KeepUnit],
            id="its target is missing: keep",
        ),
        pytest.param(
            a_cluster(), [a_held(UNIT)], [KeepUnit], id="missing, but not destroyed: keep"
        ),
        pytest.param(
            a_cluster(destroyed={UNIT.name: 1.0}),
            [a_held(UNIT)],
            [UnloadUnit],
            id="destroyed: unload",
        ),
        pytest.param(
            a_cluster(a_unit(on=THERE)),
            [a_held(UNIT)],
            [KeepUnit],
            id="placed elsewhere, nothing known of there: keep",
        ),
        pytest.param(
            a_cluster(
                a_unit(on=THERE),
                states={(UNIT.name, THERE): a_state(UNIT.name, THERE, "activating")},
            ),
            [a_held(UNIT)],
            [KeepUnit],
            id="placed elsewhere and starting there: keep",
        ),
        pytest.param(
            a_cluster(
                a_unit(on=THERE), states={(UNIT.name, THERE): a_state(UNIT.name, THERE, "active")}
            ),
            [a_held(UNIT)],
            [UnloadUnit],
            id="placed elsewhere and active there: unload",
        ),
        pytest.param(
            a_cluster(a_unit(on=THERE)),
            [a_held(UNIT, active="failed")],
            [UnloadUnit],
            id="placed elsewhere and not running here: unload",
        ),
        pytest.param(a_cluster(GLOBAL), [], [LoadUnit, StartUnit], id="global: every machine"),
        pytest.param(a_cluster(GLOBAL_SSD), [], [LoadUnit, StartUnit], id="global and fitting"),
    ],
)
def test_an_agent_does(
    cluster: ClusterState, held: list[LoadedUnit], expected: list[type[Task]]
) -> None:
    tasks = reconcile(cluster, HERE, held)
    assert kinds(tasks) == expected
    assert all(task.reason for task in tasks)


def test_a_global_unit_that_does_not_fit_is_not_loaded() -> None:
    assert reconcile(a_cluster(GLOBAL_SSD), THERE, []) == []


def test_unloads_come_before_loads() -> None:
    gone = a_unit("z.service")
    tasks = reconcile(a_cluster(UNIT, destroyed={gone.name: 1.0}), HERE, [a_held(gone)])
    assert kinds(tasks) == [UnloadUnit, LoadUnit, StartUnit]


def test_doing_what_was_said_leaves_nothing_to_do() -> None:
    cluster = a_cluster(UNIT, a_unit("b.service", target=TargetState.LOADED))
    held: dict[str, LoadedUnit] = {}
    for task in reconcile(cluster, HERE, []):
        match task:
            case LoadUnit():
                unit = cluster.units[task.unit]
                held[task.unit] = a_held(unit, active="inactive", launch="")
            case StartUnit():
                held[task.unit] = replace(held[task.unit], active="active", restart=task.launch)
            case _:
                raise AssertionError(task)
    assert reconcile(cluster, HERE, held.values()) == []
