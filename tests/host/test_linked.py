"""What one machine is to act on where units refer to others, case by case."""

from dataclasses import replace

import pytest

from c101.agents.host.linked import linked, registered
from c101.agents.host.reconcile import (
    LoadUnit,
    ReloadUnit,
    RestartUnit,
    StartUnit,
    reconcile,
)
from c101.agents.runtime.unit_manager import LoadedUnit
from c101.core.model.cluster import ClusterState
from c101.core.model.unit import TargetState, Unit, UnitState
from tests.host.test_reconcile import HERE, THERE, a_cluster, a_held, a_unit

DB = "[Service]\nExecStart=/bin/db\n[X-C101]\nPort=41001\n"
APP = "[Service]\nExecStart=/bin/app ${c101:db.address}:${c101:db.port}\n"
ASKS = f"{APP}[X-C101]\nWhenMoved="


def scene(
    *units: Unit, on: tuple[str, ...] = (THERE,), text: str = DB, active: str = "active"
) -> ClusterState:
    """Return a cluster where db.service is active on machines whose addresses end in 1 and 2."""
    states = {
        ("db.service", machine): UnitState(
            unit="db.service", machine_id=machine, load="loaded", active=active, sub="running"
        )
        for machine in on
    }
    cluster = a_cluster(a_unit("db.service", on=THERE, text=text), *units, states=states)
    machines = {}
    for number, (name, machine) in enumerate(cluster.machines.items(), 1):
        assert machine.presence is not None
        presence = replace(machine.presence, addresses=(f"10.0.0.{number}",))
        machines[name] = replace(machine, presence=presence)
    return replace(cluster, machines=machines)


def app(text: str = APP, *, on: str | None = HERE) -> Unit:
    return a_unit("app.service", on=on, text=text)


def held(unit: Unit, cluster: ClusterState, *, active: str = "active") -> LoadedUnit:
    """Return *unit* as it is held after it was loaded with what *cluster* says."""
    filled = linked(cluster, HERE, []).cluster.units[unit.name]
    return a_held(filled, active=active)


def tasks(cluster: ClusterState, *have: LoadedUnit) -> list[object]:
    seen = linked(cluster, HERE, have)
    return [type(task) for task in reconcile(seen.cluster, HERE, have, seen.moved)]


def test_where_the_other_is_is_put_into_the_text() -> None:
    cluster = scene(app())
    seen = linked(cluster, HERE, [])
    unit = seen.cluster.units["app.service"]
    assert "/bin/app 10.0.0.2:41001" in unit.text
    assert unit.hash != app().hash
    assert registered(unit.hash) == app().hash
    assert not seen.waiting
    assert tasks(cluster) == [LoadUnit, StartUnit]
    assert tasks(cluster, held(app(), cluster)) == []
    assert seen.cluster.units["db.service"] == cluster.units["db.service"]


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (scene(app(), on=()), "active nowhere"),
        (scene(app(), active="failed"), "active nowhere"),
        (scene(app(), text="[Service]\nExecStart=/bin/db\n"), "Port="),
        (a_cluster(app()), "no such unit"),
    ],
)
def test_it_waits_until_the_other_is_there(cluster: ClusterState, said: str) -> None:
    seen = linked(cluster, HERE, [])
    assert said in seen.waiting["app.service"]
    assert tasks(cluster) == []


def test_only_who_is_to_be_here_waits_here() -> None:
    assert not linked(scene(app(on=THERE), on=()), HERE, []).waiting
    assert not linked(scene(app(on=None), on=()), HERE, []).waiting
    everywhere = app(f"{APP}[X-C101]\nGlobal=true\n", on=None)
    assert linked(scene(everywhere, on=()), HERE, []).waiting
    at_rest = a_unit("app.service", on=HERE, text=APP, target=TargetState.INACTIVE)
    assert not linked(scene(at_rest, on=()), HERE, []).waiting


def test_the_one_on_the_same_machine_is_preferred() -> None:
    cluster = scene(app(), on=(THERE, HERE))
    assert "10.0.0.1:41001" in linked(cluster, HERE, []).cluster.units["app.service"].text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (APP, []),
        (f"{ASKS}nothing", []),
        (f"{ASKS}restart", [LoadUnit, RestartUnit]),
        (f"{ASKS}reload", [LoadUnit, ReloadUnit]),
    ],
)
def test_one_that_runs_hears_of_a_move_as_it_asks(text: str, expected: list[type]) -> None:
    unit = app(text)
    before = held(unit, scene(unit, on=(THERE,)))
    after = scene(unit, on=(HERE,))
    assert tasks(after, before) == expected
    # ... and once only.
    assert tasks(after, held(unit, after)) == []


def test_a_restart_that_is_asked_for_begins_with_what_is_now() -> None:
    before = held(app(), scene(app(), on=(THERE,)))
    asked = a_unit("app.service", on=HERE, text=APP, restart="r1")
    assert tasks(scene(asked, on=(HERE,)), before) == [LoadUnit, RestartUnit]


def test_one_that_is_at_rest_begins_with_what_is_now() -> None:
    before = held(app(), scene(app(), on=(THERE,)), active="failed")
    after = scene(app(), on=(HERE,))
    again = replace(after.units["app.service"], target_revision=8)
    after = replace(after, units={**after.units, "app.service": again})
    assert tasks(after, before) == [LoadUnit, StartUnit]


def test_one_that_runs_is_left_alone_while_the_other_is_away() -> None:
    for text in (APP, f"{ASKS}restart"):
        unit = app(text)
        before = held(unit, scene(unit))
        assert tasks(scene(unit, on=()), before) == []


def test_one_that_ended_while_the_other_is_away_waits_for_it() -> None:
    before = replace(held(app(), scene(app())), active="failed", restart="6:")
    cluster = scene(app(), on=())
    assert tasks(cluster, before) == []
    assert linked(cluster, HERE, [before]).waiting


def test_a_changed_file_is_loaded_with_what_is_now() -> None:
    before = held(app(), scene(app()))
    changed = app(f"{APP}Environment=A=1\n")
    assert tasks(scene(changed), before) == [LoadUnit, RestartUnit]
    # One that refers to nothing any more, too.
    assert tasks(scene(app("[Service]\nExecStart=/bin/app\n")), before) == [LoadUnit, RestartUnit]
