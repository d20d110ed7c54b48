"""Rows, titles, the header and the footer in words."""

from dataclasses import replace
from datetime import UTC

from c101.core.model.host import LinkPhase, LinkState
from c101.core.model.unit import TargetState
from c101.tui.actions.action import Context, UnitFocus
from c101.tui.actions.table import valid_in
from c101.tui.render import detail, guide, header, journal, keys, machines, titles, units
from c101.tui.render.cells import Cell
from c101.tui.render.humanise import UNKNOWN
from c101.tui.store.health import Health
from c101.tui.store.journal import JournalLine, Scope
from c101.tui.store.keys import record
from c101.tui.store.machines import MachinesModel
from c101.tui.store.pane_status import Freshness, PaneStatus
from c101.tui.store.summary import Summary
from c101.tui.store.units import UnitRow
from tests.fakes import sample_cluster as sample
from tests.fakes.clock import START


def words(cells: object) -> str:
    assert isinstance(cells, (tuple, list))
    return " ".join(cell.text for cell in cells if cell.text)


def test_a_unit_that_is_well_is_grey_but_for_its_glyph() -> None:
    row = UnitRow(
        unit="web@1.service",
        machine="m1",
        target=TargetState.LAUNCHED,
        active="active",
        sub="running",
        since=START - 41,
        health=Health.GOOD,
    )
    cells = units.cells(row, START)
    assert words(cells) == "● web@1 m1 launched active running 41s"
    assert {cell.style for cell in cells[1:]} <= {"", "muted"}
    assert cells[0].style == "good"


def test_a_reason_begins_with_what_is_lacking() -> None:
    row = UnitRow(
        unit="cache.service",
        health=Health.PENDING,
        reason="none of 3 machines is feasible; MachineMetadata=memory=big: 0 of 3 machines",
    )
    assert units.note(row) == Cell("why: MachineMetadata=memory=big: 0 of 3 machines", "warn")
    assert units.note(replace(row, reason="")) is None


def test_a_lost_machine_says_since_when_and_nothing_that_is_not_so_any_more() -> None:
    model = MachinesModel()
    held = sample.cluster()
    model.apply(held, START)
    identity = sample.machine_id("m2")
    model.apply_usage(identity, sample.usage(50, 0.3, 1.0))
    model.apply(sample.with_lost(held, "m2"), START)
    cells = machines.cells(model.list.rows[identity], START + 6)
    assert cells[0] == Cell("✖", "bad")
    assert cells[2] == Cell("lost 6s", "bad")
    assert cells[4] == Cell(UNKNOWN, "dim")
    note = machines.note(model.list.rows[identity], UTC)
    assert note == Cell("last seen 18:42:07, 3 units wait for it", "muted")
    at_length = [words(line) for line in detail.machine(model.list.rows[identity], (), now=START)]
    assert not [line for line in at_length if "agent" in line or "processors" in line]
    assert any("30%" in line for line in at_length)


def test_a_machine_that_is_not_reached_says_why_under_it() -> None:
    model = MachinesModel()
    model.apply(sample.cluster(), START)
    identity = sample.machine_id("m1")
    link = LinkState(host=identity, phase=LinkPhase.DOWN, since=START, reason="refused")
    model.apply_link(identity, link)
    assert machines.note(model.list.rows[identity], UTC) == Cell("refused", "bad")


def test_a_line_has_its_time_machine_and_unit_and_the_colour_of_its_priority() -> None:
    line = JournalLine(int(START * 1e6), "id", "m1", "web@1.service", 3, "boom")
    shown = journal.log_line(line, UTC)
    assert words(shown.prefix) == "18:42:07 m1 web@1"
    assert (shown.text, shown.style) == ("boom", "bad")


def test_a_scope_is_said_in_words() -> None:
    assert journal.scope_words(Scope(), "") == "all units"
    assert journal.scope_words(Scope(frozenset({"web@1.service"})), "") == "web@1"
    assert journal.scope_words(Scope(frozenset({"a", "b"})), "") == "2 units"
    assert journal.scope_words(Scope(machine_id="x"), "m2") == "all units on m2"


def test_a_key_shows_one_harmless_line_of_its_value() -> None:
    held = record("/a", sample.key("/a", "one\x1b[2J\ntwo", 31, lease=7))
    cells = keys.cells(held, 30)
    assert "\x1b" not in cells[0].text
    assert cells[0].text.endswith("…")
    assert [cell.text for cell in cells[1:]] == ["r31", "ttl 30s"]


def test_the_facts_of_a_value_are_in_one_line() -> None:
    held = record("/a", sample.key("/a", "db1", 31))
    assert keys.facts(held, None) == "3B · text · rev 31 · v1"


def test_the_header_says_whether_all_is_well() -> None:
    summary = Summary(
        application="three-tier",
        cluster="demo",
        machines_ready=2,
        machines_total=3,
        units_good=8,
        units_total=9,
        pending=1,
        failed=1,
        revision=1482,
        leader="m1",
        link=PaneStatus(Freshness.LIVE, START),
        round_trip=0.004,
    )
    left = header.left(summary)
    assert [name for name, _ in left] == [
        "",
        "machines",
        "units",
        "failed",
        "pending",
        "keys",
        "leader",
    ]
    assert dict(left)["machines"][0] == Cell("✖ ", "bad")
    assert words(header.right(summary, START, UTC)) == "18:42:07   live  4ms"


def test_a_header_without_its_kv_says_how_old_it_is() -> None:
    summary = Summary(link=PaneStatus(Freshness.RECONNECTING, START - 9))
    assert words(header.right(summary, START, UTC)).endswith("◐ reconnecting 9s")


def test_a_title_says_how_old_what_it_shows_is() -> None:
    status = PaneStatus(Freshness.RECONNECTING, START - 12, "the host is gone")
    assert words(titles.freshness(status, START)) == "◐ as of 12s ago: the host is gone "
    silent = PaneStatus(Freshness.RECONNECTING, START - 12)
    assert words(titles.freshness(silent, START)) == "◐ reconnecting, as of 12s ago "
    broken = PaneStatus(Freshness.FAILED, START - 12, "KeyError: 'x'")
    assert words(titles.freshness(broken, START)) == "✖ failed, as of 12s ago: KeyError: 'x' "
    assert titles.freshness(PaneStatus(Freshness.LIVE), START) == []


def test_the_footer_has_only_what_works_on_what_is_focused() -> None:
    running = UnitFocus(name="a.service", target="launched")
    shown = guide.footer(valid_in("units"), Context(pane="units", units=(running,)))
    ids = [action_id for _, _, action_id in shown]
    assert "units.stop" in ids
    assert "units.start" not in ids
    assert ids[-1] == "view.help"


def test_help_names_every_key_of_the_table() -> None:
    text = "\n".join(words(line) for line in guide.pages(100))
    for shown in ("Start", "Zoom this pane", "Edit the value", "Type a command"):
        assert shown in text
