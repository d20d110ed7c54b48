"""What holds for every cluster, whatever is asked of it."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine, MachineState
from c101.core.model.unit import TargetState, Unit
from c101.core.scheduler.explain import reasons, why
from c101.core.scheduler.feasible import globals_on, reject
from c101.core.scheduler.layout import Layout, requirements_of
from c101.core.scheduler.reconcile import RescheduleUnit, ScheduleUnit, UnscheduleUnit, reconcile
from c101.core.units.requirements import Requirements
from tests.scheduler.builders import NOW, applied, cluster, machine, unit

NAMES = ["a", "b", "c", "d@1", "d@2", "e@1", "e@2", "f"]
MACHINES = ["m1", "m2", "m3", "m4"]


@st.composite
def machines(draw: st.DrawFn, name: str) -> Machine:
    state = draw(st.sampled_from(["", "", "", "lost", "cordoned", "draining"]))
    return machine(
        name,
        lost=state == "lost",
        cordoned=state == "cordoned",
        draining=state == "draining",
        zone=draw(st.sampled_from(["a", "b"])),
    )


OPTIONS = st.one_of(
    st.just([]),
    st.just([]),
    st.sampled_from(["d@*", "%p@*", "a.service", "[b-e]*", "*"]).map(lambda g: [f"Conflicts={g}"]),
    st.sampled_from(["a", "b"]).map(lambda z: [f"MachineMetadata=zone={z}"]),
    st.sampled_from(NAMES).map(lambda n: [f"MachineOf={n}.service"]),
    st.lists(st.sampled_from(NAMES), min_size=2, max_size=2).map(
        lambda ns: [f"MachineOf={n}.service" for n in ns]
    ),
    st.sampled_from(MACHINES).map(lambda m: [f"MachineID={m}", "Conflicts=%p@*"]),
    st.sampled_from(["a*", "d@*", "b.service", "*"]).map(lambda g: [f"Replaces={g}"]),
    st.sampled_from([["Global=true"], ["Global=true", "Conflicts=d@*"]]),
    st.just(["Nonsense=1"]),
)


@st.composite
def units(draw: st.DrawFn, name: str) -> Unit:
    return unit(
        name,
        *draw(OPTIONS),
        on=draw(st.sampled_from([None, None, "gone", *MACHINES])),
        since=NOW + draw(st.integers(0, 3)),
        target=draw(st.sampled_from([TargetState.LAUNCHED] * 4 + [*TargetState])),
    )


@st.composite
def clusters(draw: st.DrawFn) -> ClusterState:
    hosts = [draw(machines(name)) for name in draw(st.sets(st.sampled_from(MACHINES)))]
    services = [draw(units(name)) for name in draw(st.sets(st.sampled_from(NAMES)))]
    return cluster(hosts, services)


def asks(one: Unit) -> Requirements | str:
    return requirements_of(one.name, one.text)


@given(clusters())
@settings(max_examples=400, deadline=None)
def test_what_was_done_does_not_have_to_be_done_again(before: ClusterState) -> None:
    after = applied(before, reconcile(before))
    assert reconcile(after) == []


@given(clusters())
@settings(max_examples=300, deadline=None)
def test_every_new_place_is_feasible(before: ClusterState) -> None:
    tasks = reconcile(before)
    after = applied(before, tasks)
    layout = Layout.of(after)
    for task in tasks:
        if isinstance(task, ScheduleUnit | RescheduleUnit):
            assert reject(layout, task.unit, task.machine_id) is None
            assert after.machines[task.machine_id].state is MachineState.READY


@given(clusters())
@settings(max_examples=300, deadline=None)
def test_no_two_in_conflict_share_a_machine(before: ClusterState) -> None:
    after = applied(before, reconcile(before))
    layout = Layout.of(after)
    for host in after.present():
        # One whose options cannot be read stays where it was, whatever others ask.
        here = sorted(layout.units_on(host.id) - layout.unreadable.keys())
        for one in here:
            for other in here:
                assert one == other or not layout.asks(one).conflict_with(other)


@given(clusters())
@settings(max_examples=300, deadline=None)
def test_what_waits_could_be_nowhere(before: ClusterState) -> None:
    after = applied(before, reconcile(before))
    layout = Layout.of(after)
    for name in layout.wanted:
        if name not in layout.machine_of and not layout.asks(name).is_global:
            assert all(reject(layout, name, host) is not None for host in after.machines)
            assert layout.feasible(name) == set()


@given(clusters(), st.randoms(use_true_random=False))
@settings(max_examples=200, deadline=None)
def test_the_order_in_which_things_are_told_does_not_matter(
    before: ClusterState, random: st.DataObject
) -> None:
    def shuffled(items: list[str]) -> list[str]:
        return sorted(items, key=lambda _: random.random())  # type: ignore[attr-defined]

    other = replace(
        before,
        units={name: before.units[name] for name in shuffled(list(before.units))},
        machines={name: before.machines[name] for name in shuffled(list(before.machines))},
    )
    assert reconcile(other) == reconcile(before)


@given(clusters())
@settings(max_examples=200, deadline=None)
def test_nothing_moves_that_could_stay(before: ClusterState) -> None:
    """A unit that leaves a machine could not have stayed there with all that is there after."""
    tasks = reconcile(before)
    after = Layout.of(applied(before, tasks))
    for task in tasks:
        if isinstance(task, UnscheduleUnit | RescheduleUnit):
            one = before.units[task.unit]
            if one.target is TargetState.INACTIVE or after.asks(one.name).is_global:
                continue
            assert reject(after, one.name, task.previous_id, keeping=True) is not None


@given(clusters())
@settings(max_examples=200, deadline=None)
def test_the_fast_way_and_the_explained_way_agree(state: ClusterState) -> None:
    layout = Layout.of(state)
    for name in layout.wanted:
        if name in layout.machine_of or layout.asks(name).is_global:
            continue
        explained = {host for host in state.machines if reject(layout, name, host) is None}
        assert layout.feasible(name) == explained
        for host in state.machines:
            keeping = reject(layout, name, host, keeping=True)
            assert keeping is not None or not layout.is_barred(name, host)


@given(clusters())
@settings(max_examples=200, deadline=None)
def test_agents_and_engine_agree_where_global_units_run(state: ClusterState) -> None:
    layout = Layout.of(state)
    for host in state.present():
        for name in state.units:
            expected = name in layout.global_units and name in layout.units_on(host.id)
            assert (name in globals_on(state, host.id)) == expected


@given(clusters())
@settings(max_examples=200, deadline=None)
def test_every_unit_can_be_explained(before: ClusterState) -> None:
    after = applied(before, reconcile(before))
    waiting = reasons(after)
    for name in after.units:
        explanation = why(after, name)
        assert explanation.lines()[0].startswith(name)
        assert (name in waiting) == (
            explanation.outcome == "pending"
            or (explanation.outcome == "placed" and "which is lost" in explanation.summary)
            or (explanation.outcome == "global" and name in waiting)
        )
