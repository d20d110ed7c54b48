"""From the cluster's state, usage and links to the rows of the machines pane."""

from c101.core.model.host import LinkPhase, LinkState
from c101.core.model.machine import MachineState
from c101.tui.store.health import Health
from c101.tui.store.machines import USAGE_SAMPLES_MAX, MachinesModel
from tests.fakes import sample_cluster as sample
from tests.fakes.clock import START


def test_a_machine_counts_what_is_placed_on_it() -> None:
    machines = MachinesModel()
    machines.apply(sample.cluster(), START)
    assert [(row.name, row.units, row.is_leader) for row in machines.list.rows.values()] == [
        ("m1", 4, True),
        ("m2", 3, False),
        ("m3", 1, False),
    ]


def test_a_lost_machine_stays_with_the_time_it_left_before_our_eyes() -> None:
    machines = MachinesModel()
    held = sample.cluster()
    machines.apply(held, START)
    machines.apply(sample.with_lost(held, "m2"), START + 10)
    machines.apply(sample.with_lost(held, "m2"), START + 20)
    row = machines.list.rows[sample.machine_id("m2")]
    assert (row.state, row.health, row.gone_since) == (
        MachineState.LOST,
        Health.BAD,
        START + 10,
    )


def test_a_machine_that_was_lost_before_is_as_old_as_its_record_says() -> None:
    machines = MachinesModel()
    machines.apply(sample.with_lost(sample.cluster(), "m2"), START)
    assert machines.list.rows[sample.machine_id("m2")].gone_since == START - 6


def test_samples_are_kept_up_to_a_number() -> None:
    machines = MachinesModel()
    machines.apply(sample.cluster(), START)
    identity = sample.machine_id("m1")
    for number in range(USAGE_SAMPLES_MAX + 5):
        machines.apply_usage(identity, sample.usage(number, 0.3, 0.1, number))
    row = machines.list.rows[identity]
    assert len(row.usage) == USAGE_SAMPLES_MAX
    assert row.latest is not None
    assert row.latest.cpu_percent == USAGE_SAMPLES_MAX + 4


def test_a_link_that_was_told_of_before_its_machine_is_not_forgotten() -> None:
    machines = MachinesModel()
    identity = sample.machine_id("m1")
    link = LinkState(host=identity, phase=LinkPhase.UP, since=START)
    assert not machines.apply_link(identity, link)
    machines.apply(sample.cluster(), START)
    assert machines.list.rows[identity].link == link
