"""What is written for people: verdicts, figures, tables and charts."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.kv.chart import Panel, draw
from benchmarks.kv.growth import Column, plot, table
from benchmarks.kv.rounds import Rounds, figure, line
from benchmarks.kv.servers import ServerError, kind_of_disk
from benchmarks.kv.work import Goal

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("goal", "ratio", "verdict"),
    [
        (Goal(floor=1.5, aim=2), 2.0, "aim"),
        (Goal(floor=1.5, aim=2), 1.99, "floor"),
        (Goal(floor=1.5, aim=2), 1.49, "**no**"),
        (Goal(floor=1, aim=0.7, less=True), 0.7, "aim"),
        (Goal(floor=1, aim=0.7, less=True), 1.0, "floor"),
        (Goal(floor=1, aim=0.7, less=True), 1.01, "**no**"),
    ],
)
def test_a_goal_is_reached_from_its_own_side(goal: Goal, ratio: float, verdict: str) -> None:
    assert goal.verdict(ratio) == verdict


@pytest.mark.parametrize(
    ("value", "shown"), [(123_456.7, "123,457"), (12.34, "12.3"), (1.234, "1.23"), (0, "0.00")]
)
def test_a_figure_has_the_digits_that_say_something(value: float, shown: str) -> None:
    assert figure(value) == shown


def test_the_ratio_is_the_median_of_the_rounds_and_not_the_ratio_of_the_medians() -> None:
    rounds = Rounds(ours=[10, 40, 30], etcd=[10, 10, 30])
    shown = line("puts", "/s", rounds, Goal(floor=1.5, aim=2), "5% / 6%")
    assert (
        shown == "| puts | 30.0/s | 10.0/s | 1.00 (1.00 to 4.00) | ≥ 1.5 | ≥ 2 | **no** | 5% / 6% |"
    )


def test_growth_is_a_line_for_each_size() -> None:
    column = Column(
        title="puts/s",
        unit="/s",
        rounds={1_000: Rounds(ours=[20], etcd=[10]), 10_000: Rounds(ours=[15], etcd=[10])},
    )
    assert table("keys", [column])[2:] == [
        "| 1,000 | 20.0 : 10.0 = 2.00 |",
        "| 10,000 | 15.0 : 10.0 = 1.50 |",
    ]
    ET.fromstring(plot("keys", [column]))


def test_a_chart_is_well_formed_and_shows_the_larger_figure_higher() -> None:
    panel = Panel(
        title="puts & gets/s",
        across="keys",
        lines={"ours": [(1e3, 5e4), (1e6, 4e4)], "etcd": [(1e3, 2e4), (1e6, 1e4)]},
    )
    root = ET.fromstring(draw([panel, panel]))
    names = {text.text: float(text.attrib["y"]) for text in root.iter(f"{SVG}text")}
    assert names["ours"] < names["etcd"]
    assert "puts & gets/s" in names
    assert len(list(root.iter(f"{SVG}circle"))) == len(list(root.iter(f"{SVG}rect"))) == 4


def test_a_figure_of_nothing_is_left_out_of_a_chart() -> None:
    panel = Panel(title="events/s", across="watchers", lines={"ours": [(1, 10), (10, 0)]})
    root = ET.fromstring(draw([panel]))
    assert len(list(root.iter(f"{SVG}circle"))) == 1


def test_names_that_end_at_the_same_height_do_not_lie_on_each_other() -> None:
    panel = Panel(title="s", across="keys", lines={"ours": [(1, 10)], "etcd": [(1, 10)]})
    root = ET.fromstring(draw([panel]))
    names = {text.text: float(text.attrib["y"]) for text in root.iter(f"{SVG}text")}
    assert abs(names["ours"] - names["etcd"]) >= 11


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no tmpfs here")
def test_a_tmpfs_is_refused_because_a_sync_costs_nothing_there() -> None:
    with pytest.raises(ServerError, match="tmpfs"):
        kind_of_disk(Path("/dev/shm"))
