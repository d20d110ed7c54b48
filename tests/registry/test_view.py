"""The view: a pure function of the keys that stand."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.core.etcd.events import WatchEvent
from c101.core.model.key_value import KeyValue
from c101.core.model.machine import MachineIntent, MachineState
from c101.core.model.unit import TargetState
from c101.core.registry import records
from c101.core.registry.view import View, apply, view_of
from tests.registry.cluster_keys import (
    KEYS,
    SERVICE,
    delete,
    placement,
    presence,
    put,
    record,
    state,
)


def after(*events: WatchEvent, view: View | None = None) -> View:
    return apply(view or View(), KEYS, events, events[-1].kv.mod_revision)


def test_a_unit_is_put_together_from_its_keys() -> None:
    cluster = after(
        put(KEYS.unit_file("web.service"), SERVICE, 3),
        put(KEYS.unit_target("web.service"), "launched", 4),
        put(KEYS.unit_placement("web.service"), records.encode(placement()), 5),
        put(KEYS.unit_restart("web.service"), "r1", 6),
    ).cluster
    unit = cluster.units["web.service"]
    assert (unit.text, unit.target, unit.restart) == (SERVICE, TargetState.LAUNCHED, "r1")
    assert (unit.placement, unit.target_revision, unit.placement_revision) == (placement(), 4, 5)
    assert len(unit.hash) == 40
    assert cluster.revision == 6
    assert not cluster.damaged


def test_a_unit_without_a_target_is_wanted_inactive() -> None:
    unit = after(put(KEYS.unit_file("a.service"), SERVICE)).cluster.units["a.service"]
    assert unit.target is TargetState.INACTIVE
    assert unit.target_revision == 0


def test_a_unit_whose_keys_are_deleted_is_gone() -> None:
    view = after(
        put(KEYS.unit_file("a.service"), SERVICE), put(KEYS.unit_target("a.service"), "loaded")
    )
    gone = after(
        delete(KEYS.unit_file("a.service"), 2),
        delete(KEYS.unit_target("a.service"), 2),
        put(KEYS.unit_destroyed("a.service"), "77.5", 2),
        view=view,
    )
    assert gone.cluster.units == {}
    assert gone.cluster.destroyed == {"a.service": 77.5}
    assert gone.cluster.damaged == {}
    assert gone.broken == {}


def test_a_unit_with_a_damaged_part_is_left_out_and_named_until_it_is_mended() -> None:
    view = after(
        put(KEYS.unit_file("a.service"), SERVICE, 1),
        put(KEYS.unit_target("a.service"), "launched", 2),
        put(KEYS.unit_placement("a.service"), '{"machine_id": 7}', 3),
    )
    assert view.cluster.units == {}
    assert view.cluster.damaged == {
        "units/a.service/placement": "$.machine_id: Expected str, got int"
    }
    mended = after(put(KEYS.unit_placement("a.service"), records.encode(placement()), 4), view=view)
    assert mended.cluster.units["a.service"].target_revision == 2
    assert mended.cluster.damaged == {}


def test_a_target_without_a_file_is_named_as_damage() -> None:
    view = after(put(KEYS.unit_target("a.service"), "launched"))
    assert view.cluster.damaged == {"units/a.service/file": "$: missing"}
    whole = after(put(KEYS.unit_file("a.service"), SERVICE), view=view)
    assert whole.cluster.units["a.service"].target is TargetState.LAUNCHED
    assert whole.cluster.damaged == {}


@pytest.mark.parametrize("name", ["nosuffix", "a.servICE", "-x.service"])
def test_a_name_that_no_unit_may_have_is_damage(name: str) -> None:
    cluster = after(put(KEYS.unit_file(name), SERVICE)).cluster
    assert cluster.units == {}
    assert list(cluster.damaged) == [f"units/{name}/file"]


def test_a_machine_is_its_record_its_presence_and_its_intent() -> None:
    view = after(
        put(KEYS.machine_record("m1"), records.encode(record())),
        put(KEYS.machine_presence("m1"), records.encode(presence())),
        put(KEYS.machine_intent("m1"), records.encode(MachineIntent(id="m1", cordoned=True))),
    )
    assert view.cluster.machines["m1"].state is MachineState.CORDONED
    lost = after(delete(KEYS.machine_presence("m1"), 2), view=view)
    assert lost.cluster.machines["m1"].state is MachineState.LOST
    assert lost.cluster.machines["m1"].name == "alpha"


def test_a_damaged_presence_is_left_out_and_named() -> None:
    value = records.encode(presence()).replace(b'"cpus":2', b'"cpus":"two"')
    cluster = after(put(KEYS.machine_presence("m1"), value)).cluster
    assert cluster.machines == {}
    assert cluster.damaged == {"machines/m1/presence": "$.cpus: Expected int, got str"}


def test_keys_of_no_kind_known_here_change_nothing() -> None:
    view = after(
        put("/c101/events/1", "x"),
        put("/elsewhere", "x"),
        put("/c101/units/a.service/colour", "x"),
        put("/c101/engine/guard", "{}"),
    )
    assert view.cluster.damaged == {}
    assert view.cluster.units == {}


def test_the_leader_is_whoever_holds_the_lease() -> None:
    view = after(put(KEYS.engine_leader, "engine on alpha"))
    assert view.cluster.leader == "engine on alpha"
    assert after(delete(KEYS.engine_leader), view=view).cluster.leader == ""


def test_what_did_not_change_is_the_same_object() -> None:
    view = after(
        put(KEYS.unit_file("a.service"), SERVICE), put(KEYS.unit_file("b.service"), SERVICE)
    )
    later = after(put(KEYS.unit_target("a.service"), "loaded", 9), view=view)
    assert later.cluster.units["b.service"] is view.cluster.units["b.service"]
    assert later.cluster.machines is view.cluster.machines
    assert "a.service" in view.cluster.units
    assert view.cluster.units["a.service"].target is TargetState.INACTIVE


NAMES = ["a.service", "b@1.service", "bad"]
VALUES = [
    SERVICE,
    "[Unit]\nDescription=x\n",
    "nonsense",
    "launched",
    "inactive",
    "",
    "12.5",
    records.encode(placement("m1")),
    records.encode(placement("m2")),
    records.encode(state("a.service", "m1")),
    records.encode(state("a.service", "m1", active="failed")),
    records.encode(presence("m1")),
    records.encode(presence("m2", cpus=8)),
    records.encode(record("m1")),
    records.encode(MachineIntent(id="m1", draining=True)),
    b"\xff",
]
ALL_KEYS = [
    *(make(name) for name in NAMES for make in (KEYS.unit_file, KEYS.unit_target)),
    *(make(name) for name in NAMES for make in (KEYS.unit_restart, KEYS.unit_placement)),
    *(KEYS.unit_destroyed(name) for name in NAMES),
    *(KEYS.unit_state("a.service", machine) for machine in ("m1", "m2")),
    *(KEYS.machine_record(machine) for machine in ("m1", "m2")),
    *(KEYS.machine_presence(machine) for machine in ("m1", "m2")),
    KEYS.machine_intent("m1"),
    KEYS.engine_leader,
    "/c101/unknown",
]
changes = st.lists(
    st.tuples(st.sampled_from(ALL_KEYS), st.none() | st.sampled_from(VALUES)), max_size=60
)


@given(changes, st.integers(min_value=1, max_value=7), st.randoms(use_true_random=False))
def test_following_changes_gives_what_a_snapshot_gives(
    made: Sequence[tuple[str, str | bytes | None]], batch: int, order: random.Random
) -> None:
    standing: dict[str, KeyValue] = {}
    events: list[WatchEvent] = []
    for revision, (key, value) in enumerate(made, start=2):
        if value is None:
            standing.pop(key, None)
            events.append(delete(key, revision))
        else:
            event = put(key, value, revision)
            standing[key] = event.kv
            events.append(event)
    view = View()
    for start in range(0, len(events), batch):
        view = apply(view, KEYS, events[start : start + batch], 0)
    kvs = list(standing.values())
    order.shuffle(kvs)
    assert view == view_of(KEYS, kvs, 0)
