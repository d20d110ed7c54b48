"""What the widgets look like: pictures, one a state. Look at them before you accept new ones."""

from collections.abc import Callable
from typing import Protocol

import pytest
from textual.app import App, ComposeResult
from textual.containers import Horizontal, Vertical
from textual.pilot import Pilot
from textual.widget import Widget

from c101.tui.render.cells import Cell
from c101.tui.render.humanise import UNKNOWN
from c101.tui.themes import register_themes
from c101.tui.widgets.log import VirtualLog
from c101.tui.widgets.table import VirtualTable
from tests.tui.widgets.apps import (
    COLUMNS,
    UnitRows,
    WidgetApp,
    log_lines,
    table_of,
    tree_of,
    units,
)


class SnapCompare(Protocol):
    """pytest-textual-snapshot's fixture."""

    def __call__(
        self, app: App[None], *, terminal_size: tuple[int, int] = ..., run_before: object = ...
    ) -> bool: ...


def every_state() -> UnitRows:
    model = UnitRows()
    model.put("db1.service")
    model.put("web@1.service", machine="m2")
    model.put("web@2.service", active="starting", machine="m3")
    model.put("cache.service", active="pending", machine=UNKNOWN)
    model.put("mailer.service", active="failed", machine="m1")
    model.put("nightly-report-generator@tuesday.service", active="inactive", machine="m2")
    model.put("日本語.service")
    model.notes["cache.service"] = Cell("why: 0 of 3 machines have memory=big", "warn")
    model.notes["mailer.service"] = Cell("exit status 3, restarted 5 times in 10 s", "bad")
    return model


class Wall(App[None]):
    """All widgets at once, side by side."""

    CSS = "Horizontal { height: 1fr; } Vertical { width: 1fr; }"

    def __init__(self, theme: str) -> None:
        super().__init__()
        register_themes(self)
        self.theme = theme

    def compose(self) -> ComposeResult:
        with Horizontal():
            with Vertical():
                yield table_of(every_state())
                yield tree_of(
                    "/services/db-master",
                    "/services/db1",
                    "/services/web/1",
                    "/c101/units/web@1.service/file",
                    opened=["/services/", "/services/web/"],
                )
            with Vertical():
                yield VirtualLog()
                for state in ("loading", "empty", "error"):
                    yield VirtualTable(COLUMNS, id=state, header=False)

    def on_mount(self) -> None:
        self.query_one(VirtualLog).append(log_lines(0, 40))
        self.query_one("#loading", VirtualTable).set_state("loading", "asking three machines…")
        self.query_one("#empty", VirtualTable).set_state(
            "empty", "no units yet: submit one with c101ctl submit FILE, or press n"
        )
        self.query_one("#error", VirtualTable).set_state(
            "error", "the KV does not answer: connection refused by unix:///run/c101/kv-admin.sock"
        )
        self.query_one(VirtualTable).focus()


async def settle(pilot: Pilot[None]) -> None:
    await pilot.pause()
    for log in pilot.app.query(VirtualLog):
        log.flush()
    await pilot.press("down", "down", "space")
    await pilot.pause()


@pytest.mark.parametrize("theme", ["c101-dark", "c101-light", "ansi-dark"])
def test_all_widgets_in_a_theme(snap_compare: SnapCompare, theme: str) -> None:
    assert snap_compare(Wall(theme), terminal_size=(110, 30), run_before=settle)


def test_all_widgets_without_colour(
    snap_compare: SnapCompare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(Wall("c101-dark"), terminal_size=(110, 30), run_before=settle)


def test_a_table_sorted_filtered_marked_and_changing(snap_compare: SnapCompare) -> None:
    table = table_of(units(40))

    async def act(pilot: Pilot[None]) -> None:
        await pilot.pause()
        table.set_sort("unit", descending=True)
        table.highlight = "web@1"
        table.marks = {"web@3.service", "web@5.service"}
        await pilot.press("j", "j")
        table.flash(["web@4.service"])
        await pilot.pause()

    assert snap_compare(WidgetApp(table), terminal_size=(70, 16), run_before=act)


def test_stale_rows_are_dimmed(snap_compare: SnapCompare) -> None:
    table = table_of(every_state())
    table.set_stale(True)
    assert snap_compare(WidgetApp(table), terminal_size=(70, 14))


def test_a_log_held_still_counts_what_is_new(snap_compare: SnapCompare) -> None:
    log = VirtualLog()

    async def act(pilot: Pilot[None]) -> None:
        await pilot.pause()
        log.append(log_lines(0, 60))
        log.flush()
        log.highlight = "items/4"
        await pilot.press("pageup")
        log.append(log_lines(60, 1_294))
        log.flush()
        await pilot.pause()

    assert snap_compare(WidgetApp(log), terminal_size=(60, 14), run_before=act)


@pytest.mark.parametrize("make", [table_of, tree_of, VirtualLog])
def test_a_widget_painted_before_it_has_anything(
    snap_compare: SnapCompare, make: Callable[[], Widget]
) -> None:
    assert snap_compare(WidgetApp(make()), terminal_size=(50, 6))
