"""What is said of a unit and of a machine in detail, by what is known."""

from dataclasses import replace

import pytest

from c101.core.model.host import (
    Container,
    MachineUsage,
    TimerRuns,
    UnitProcess,
    UnitResources,
    UnitStatus,
)
from c101.core.model.unit import UnitState
from c101.tui.render import detail
from c101.tui.store.machines import MachineRow
from tests.fakes.sample_cluster import usage

STATE = UnitState(unit="a.service", machine_id="m", load="loaded", active="active", sub="running")
ONE = UnitProcess(pid=7, command="a", memory_bytes=4096, cpu_seconds=0.5)


def words(lines: list[detail.Line]) -> str:
    return "\n".join("".join(cell.text for cell in line) for line in lines)


def told(status: UnitStatus) -> str:
    return words(list(detail._told(status)))


def of_machine(latest: MachineUsage) -> str:
    return words(detail.machine(MachineRow(id="m", name="m1", usage=(latest,)), [], now=1.0))


def test_what_a_group_counts_stands_before_the_sum_of_its_processes() -> None:
    plain = UnitStatus(state=STATE, processes=(ONE,))
    assert "4.0K in 1 process" in told(plain)
    used = UnitResources(memory_bytes=8192, cpu_seconds=1.234, read_bytes=0, written_bytes=2048)
    text = told(replace(plain, resources=used))
    assert "8.0K in 1 process" in text
    assert "1.23 s since its start" in text
    assert "0B read, 2.0K written" in text


def test_what_is_not_counted_is_not_said() -> None:
    text = told(UnitStatus(state=STATE, resources=UnitResources()))
    assert text == ""


def test_a_timer_says_when_it_elapses_and_did() -> None:
    assert words(list(detail._elapses(None, 100.0))) == ""
    runs = TimerRuns(last=40.0, next=220.0)
    assert "in 2m" in words(list(detail._elapses(runs, 100.0)))
    assert "last 60s ago" in words(list(detail._elapses(runs, 100.0)))
    assert words(list(detail._elapses(TimerRuns(), 100.0))).count("never") == 2


def test_who_waits_for_what_is_said() -> None:
    text = told(UnitStatus(state=STATE, resources=UnitResources(pressure={"cpu": 2.5, "io": 0.0})))
    assert "cpu 2%, io 0%" in text


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (None, ""),
        (0.4, ""),
        (-0.9, ""),
        (3_700.0, "61m ahead of the KV's host"),
        (-30.0, "30s behind the KV's host"),
    ],
)
def test_a_machine_says_that_its_clock_is_wrong(offset: float | None, words: str) -> None:
    shown = of_machine(replace(usage(1, 0.5, 0.1), clock_offset=offset))
    assert ("clock" in shown) == bool(words)
    assert words in shown


@pytest.mark.parametrize("required", [True, False])
def test_a_machine_says_that_it_wants_a_reboot(*, required: bool) -> None:
    latest = replace(usage(1, 0.5, 0.1), reboot_required=required)
    assert ("reboot" in of_machine(latest)) == required


def test_a_units_container_is_told_of_and_acts_on_nothing() -> None:
    one = Container(
        engine="docker",
        id="f" * 64,
        name="web\x1b[2J",
        image="shop/web:\u202e1",
        state="running",
        health="unhealthy",
        ports=("0.0.0.0:8080->80/tcp",),
    )
    text = told(UnitStatus(state=STATE, containers=[one]))
    assert "by docker: running, unhealthy" in text
    assert "0.0.0.0:8080->80/tcp" in text
    assert "shop/web:" in text
    assert not {"\x1b", "\u202e"} & set(text)
