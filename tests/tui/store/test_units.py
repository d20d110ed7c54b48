"""From the cluster's state to the rows of the units pane."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from c101.core.model.cluster import ClusterState
from c101.core.model.unit import TargetState, UnitState
from c101.core.scheduler import explain
from c101.tui.store.filter import parse
from c101.tui.store.health import Health
from c101.tui.store.units import NOT_PLACED_YET, UnitsModel, judge
from tests.fakes import sample_cluster as sample


def model(reasons: Mapping[str, str] | None = None, *, is_global: str = "") -> UnitsModel:
    return UnitsModel(lambda _: reasons or {}, lambda unit: unit.name == is_global)


def test_a_pending_unit_says_at_once_what_is_lacking() -> None:
    units = model({"cache.service": "is placed nowhere: no machine has memory=big"})
    units.apply(sample.cluster())
    (row,) = units.rows_of("cache.service")
    assert (row.health, row.reason) == (Health.PENDING, "no machine has memory=big")


def test_a_unit_that_is_about_to_be_placed_is_on_its_way_not_in_trouble() -> None:
    units = model({"cache.service": f"is placed nowhere: 2 of 3 machines, {NOT_PLACED_YET}"})
    units.apply(sample.cluster())
    (row,) = units.rows_of("cache.service")
    assert (row.health, row.reason) == (Health.BUSY, "")


def test_the_words_for_a_unit_about_to_be_placed_are_the_schedulers() -> None:
    held = sample.cluster()
    easy = sample.unit("easy.service")
    held = replace(held, units={**held.units, "easy.service": easy})
    assert explain.reasons(held)["easy.service"].endswith(NOT_PLACED_YET)


def test_only_the_rows_that_differ_are_told() -> None:
    units = model()
    before = sample.cluster()
    units.apply(before)
    failed = replace(before.states["db1.service", sample.machine_id("m1")], active="failed")
    states = {**before.states, ("db1.service", sample.machine_id("m1")): failed}
    delta = units.apply(replace(before, states=states))
    assert delta.keys == {"db1.service"}
    assert not delta.reordered
    assert not units.apply(replace(before, states=states, revision=9))


def test_a_unit_that_is_destroyed_leaves_the_list() -> None:
    units = model()
    before = sample.cluster()
    units.apply(before)
    fewer = {name: held for name, held in before.units.items() if name != "lb.service"}
    states = {key: held for key, held in before.states.items() if key[0] != "lb.service"}
    delta = units.apply(replace(before, units=fewer, states=states))
    assert delta.reordered
    assert "lb.service" not in units.list.view


def test_a_global_unit_has_a_row_for_each_machine_that_runs_it() -> None:
    held = sample.cluster()
    states = {
        ("all.service", sample.machine_id(name)): sample.state("all.service", name)
        for name in ("m1", "m3")
    }
    held = replace(
        held,
        units={**held.units, "all.service": sample.unit("all.service")},
        states={**held.states, **states},
    )
    units = model(is_global="all.service")
    units.apply(held)
    assert {row.machine for row in units.rows_of("all.service")} == {"m1", "m3"}


def test_a_unit_on_a_lost_machine_is_unknown_not_failed() -> None:
    units = model({"lb.service": "is placed on m3, which is lost; no other machine will do"})
    units.apply(sample.with_lost(sample.cluster(), "m3"))
    (row,) = units.rows_of("lb.service")
    assert row.health is Health.UNKNOWN
    assert "m3" in row.reason


def state(**words: object) -> UnitState:
    fields: dict[str, object] = {
        "unit": "a.service",
        "machine_id": "m",
        "load": "loaded",
        "active": "active",
        "sub": "running",
    }
    return UnitState(**(fields | words))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "words", "health"),
    [
        (TargetState.LAUNCHED, {}, Health.GOOD),
        (TargetState.LAUNCHED, {"active": "activating", "sub": "start"}, Health.BUSY),
        (TargetState.LAUNCHED, {"active": "activating", "sub": "auto-restart"}, Health.WARN),
        (TargetState.LAUNCHED, {"active": "failed", "sub": "failed"}, Health.BAD),
        # A oneshot that has ended well is as wanted.
        (TargetState.LAUNCHED, {"active": "inactive", "sub": "dead"}, Health.OFF),
        (TargetState.LAUNCHED, {"active": "inactive", "result": "exit-code"}, Health.BAD),
        (TargetState.LAUNCHED, {"load": "not-found", "active": "inactive"}, Health.BAD),
        # Stopped, and not yet down.
        (TargetState.LOADED, {}, Health.BUSY),
        (TargetState.LOADED, {"active": "inactive", "sub": "dead"}, Health.OFF),
        (TargetState.INACTIVE, {"active": "deactivating", "sub": "stop"}, Health.BUSY),
    ],
)
def test_health_is_what_is_reported_against_what_is_wanted(
    target: TargetState, words: dict[str, object], health: Health
) -> None:
    assert judge(target, state(**words)) is health


def test_names_sort_as_people_count() -> None:
    held = ClusterState(
        units={
            name: sample.unit(name) for name in ("web@10.service", "web@2.service", "db.service")
        }
    )
    units = model()
    units.apply(held)
    assert units.list.view == ["db.service", "web@2.service", "web@10.service"]


def test_marks_survive_a_filter_and_are_forgotten_with_their_unit() -> None:
    units = model()
    before = sample.cluster()
    units.apply(before)
    units.list.toggle_mark("lb.service")
    units.list.toggle_mark("db1.service")
    units.list.set_filter(parse("db1"))
    assert [row.unit for row in units.list.chosen(None)] == ["db1.service", "lb.service"]
    fewer = {name: held for name, held in before.units.items() if name != "lb.service"}
    units.apply(replace(before, units=fewer))
    assert units.list.marks == {"db1.service"}


def test_without_marks_a_verb_hits_what_is_focused() -> None:
    units = model()
    units.apply(sample.cluster())
    assert [row.unit for row in units.list.chosen("lb.service")] == ["lb.service"]
    assert units.list.chosen(None) == []


def test_sorting_twice_by_a_column_turns_the_list_around() -> None:
    units = model()
    units.apply(sample.cluster())
    units.list.sort_by("machine")
    first = list(units.list.view)
    units.list.sort_by("machine")
    assert units.list.view == first[::-1]


def test_a_template_is_a_file_and_no_row() -> None:
    units = model()
    before = sample.cluster()
    template = sample.unit("web@.service")
    units.apply(replace(before, units={**before.units, template.name: template}))
    assert units.rows_of("web@.service") == ()
    assert units.rows_of("web@1.service")
