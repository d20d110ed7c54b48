"""What the engine does not believe."""

from dataclasses import replace

import pytest

from c101.core.model.cluster import ClusterState
from c101.core.model.unit import TargetState
from c101.core.scheduler.guard import (
    VANISHED_WINDOW_SECONDS,
    Emptied,
    ForeignKV,
    ManyGone,
    Memory,
    WentBack,
    accept,
    observe,
)
from tests.scheduler.builders import cluster, machine, unit

KV = 0xC101


def seen(state: ClusterState) -> Memory:
    memory, hold = observe(Memory(), state, KV, 0)
    assert hold is None
    return memory


def machines(count: int, *, lost: int = 0, draining: int = 0) -> ClusterState:
    """Return a cluster of *count* machines, the first of them lost or (lost and) draining."""
    hosts = [
        machine(f"m{i}", lost=i < max(lost, draining), draining=i < draining) for i in range(count)
    ]
    return cluster(hosts, [unit("a")])


def test_the_first_look_is_believed_whatever_it_is() -> None:
    for state in (cluster(), machines(12, lost=9), cluster(units=[unit("a")])):
        assert observe(Memory(), state, KV, 0)[1] is None


def test_another_kv_is_not_believed() -> None:
    memory = seen(cluster(units=[unit("a")], revision=9))
    after, hold = observe(memory, cluster(units=[unit("a")], revision=10), 0xBAD, 1)
    assert hold == ForeignKV(KV, 0xBAD)
    assert str(hold) == "the KV is another one: cluster id bad, it was c101"
    assert after == memory


def test_a_kv_that_went_back_is_not_believed() -> None:
    memory = seen(cluster(units=[unit("a")], revision=9))
    after, hold = observe(memory, cluster(units=[unit("a")], revision=8), KV, 1)
    assert hold == WentBack(9, 8)
    assert str(hold) == "the KV went back in time: revision 8, it was at 9"
    assert after == memory
    assert observe(after, cluster(units=[unit("a")], revision=9), KV, 2)[1] is None


def test_units_that_vanished_without_a_word_are_not_believed_to_be_unwanted() -> None:
    memory = seen(cluster(units=[unit("a"), unit("b")]))
    after, hold = observe(memory, cluster(revision=2), KV, 1)
    assert hold == Emptied(2)
    assert str(hold) == "2 units vanished from the registry and nothing is left that is wanted"
    assert observe(after, cluster(units=[unit("a")], revision=3), KV, 2)[1] is None


def test_targets_that_vanished_are_no_word_either() -> None:
    memory = seen(cluster(units=[unit("a")]))
    bare = replace(unit("a", target=TargetState.INACTIVE), target_revision=0)
    assert observe(memory, cluster(units=[bare], revision=2), KV, 1)[1] == Emptied(1)


def test_units_that_were_unloaded_or_destroyed_are_unwanted() -> None:
    memory = seen(cluster(units=[unit("a"), unit("b")]))
    state = cluster(
        units=[unit("a", target=TargetState.INACTIVE)], destroyed=["b.service"], revision=2
    )
    assert observe(memory, state, KV, 1)[1] is None


def test_some_units_that_vanish_among_others_hold_up_nothing() -> None:
    memory = seen(cluster(units=[unit("a"), unit("b")]))
    assert observe(memory, cluster(units=[unit("b")], revision=2), KV, 1)[1] is None


@pytest.mark.parametrize(
    ("count", "lost", "is_held"),
    [
        (4, 4, False),  # fewer than five
        (5, 5, True),
        (14, 5, True),
        (15, 5, False),  # a third is not more than a third
        (30, 10, False),
        (30, 11, True),
    ],
)
def test_more_than_a_third_and_at_least_five_at_once_are_many(
    count: int, lost: int, is_held: bool
) -> None:
    _, hold = observe(seen(machines(count)), machines(count, lost=lost), KV, 1)
    assert hold == (ManyGone(lost, count) if is_held else None)


def test_machines_that_vanish_one_after_another_within_the_window_vanish_at_once() -> None:
    memory = seen(machines(10))
    for gone in range(1, 5):
        memory, hold = observe(memory, machines(10, lost=gone), KV, gone)
        assert hold is None
    memory, hold = observe(memory, machines(10, lost=5), KV, 5)
    assert hold == ManyGone(5, 10)
    assert str(hold) == "5 of 10 machines vanished at once"


def test_machines_that_vanish_over_a_long_time_hold_up_nothing() -> None:
    memory = seen(machines(10))
    for gone in range(1, 9):
        now = gone * VANISHED_WINDOW_SECONDS
        memory, hold = observe(memory, machines(10, lost=gone), KV, now)
        assert hold is None


def test_a_hold_for_machines_lasts_until_enough_are_back() -> None:
    memory = seen(machines(10))
    memory, hold = observe(memory, machines(10, lost=6), KV, 1)
    assert hold == ManyGone(6, 10)
    memory, hold = observe(memory, machines(10, lost=6), KV, 1_000)
    assert hold == ManyGone(6, 10)
    memory, hold = observe(memory, machines(10, lost=5), KV, 1_001)
    assert hold == ManyGone(5, 10)
    memory, hold = observe(memory, machines(10, lost=4), KV, 1_002)
    assert hold is None
    assert observe(memory, machines(10, lost=4), KV, 2_000)[1] is None


def test_drained_machines_are_expected_to_go() -> None:
    _, hold = observe(seen(machines(6)), machines(6, draining=5), KV, 1)
    assert hold is None


def test_what_an_admin_accepts_is_believed() -> None:
    memory = seen(cluster(units=[unit("a")], revision=9))
    wiped = cluster(revision=1)
    assert observe(memory, wiped, 0xBAD, 1)[1] is not None
    assert observe(accept(wiped, 0xBAD), wiped, 0xBAD, 1)[1] is None
    assert observe(accept(machines(6, lost=6), KV), machines(6, lost=6), KV, 1)[1] is None
