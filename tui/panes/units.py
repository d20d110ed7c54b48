"""The units pane: what should run, where it does, and why not."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult

from c101.core.clock import Clock
from c101.tui.actions.action import UNITS, UnitFocus
from c101.tui.messages import ActionPressed, FocusChanged
from c101.tui.panes.pane import Pane
from c101.tui.render import units as render
from c101.tui.render.cells import Cell
from c101.tui.render.glyphs import glyph
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.health import Health
from c101.tui.store.summary import count_units
from c101.tui.store.units import UnitRow
from c101.tui.widgets.table import Column, VirtualTable

COLUMNS = (
    Column("health", "", 1, priority=100),
    Column("unit", "UNIT", None, min_width=14, priority=90),
    Column("machine", "MACHINE", None, min_width=7, max_width=14, priority=80),
    Column("target", "TARGET", 8, priority=20),
    Column("active", "ACTIVE", 10, priority=70, cut="end"),
    Column("sub", "SUB", 7, priority=50, cut="end"),
    Column("since", "SINCE", 5, align="right", priority=60),
)


class _Table:
    """The store's rows as the table asks for them."""

    def __init__(self, store: ConsoleStore, clock: Clock) -> None:
        self._list = store.units.list
        self._clock = clock

    def __len__(self) -> int:
        return len(self._list)

    def key_at(self, i: int) -> str:
        return self._list.view[i]

    def cells_at(self, i: int) -> Sequence[Cell]:
        return render.cells(self._list.at(i), self._clock.time())

    def note_at(self, i: int) -> Cell | None:
        return render.note(self._list.at(i))


class UnitsPane(Pane):
    """Every unit, one row each; one a machine for a global one."""

    NAME: ClassVar[str] = UNITS
    NUMBER: ClassVar[int] = 1
    TITLE: ClassVar[str] = "UNITS"
    EMPTY: ClassVar[str] = "no units yet: c101ctl submit hello.service, then c101ctl start hello"

    def __init__(self, store: ConsoleStore, clock: Clock, address: Callable[[], str] = str) -> None:
        super().__init__(store, clock)
        self._address = address
        self.table = VirtualTable(COLUMNS, id="units-table")
        self._ages: dict[str, str] = {}

    def compose_body(self) -> ComposeResult:
        """Yield the table."""
        self.table.set_model(_Table(self.store, self.clock))
        yield self.table

    @property
    def body(self) -> VirtualTable:
        """The table."""
        return self.table

    @property
    def focused_row(self) -> UnitRow | None:
        """The row under the cursor."""
        key = self.table.cursor_key
        return self.store.units.list.rows.get(key) if key is not None else None

    def rows_changed(self, keys: frozenset[str] | None) -> None:
        """Repaint what differs, and let it glow."""
        self.table.refresh_rows(keys)
        self.table.set_stale(self.store.status(self.NAME).stale)
        marks = self.store.units.list.marks
        if self.table.marks != marks:
            self.table.marks = marks
        if keys:
            self.table.flash(keys)

    def filter_changed(self) -> None:
        """Filter the rows."""
        self.store.units.list.set_filter(self.chosen_filter)
        self.table.highlight = self.chosen_filter.highlight
        self.table.refresh_rows(None)

    def tick(self) -> None:
        """Repaint the rows whose age reads otherwise than a second ago."""
        now = self.clock.time()
        ages = {
            row.key: render.since(row, now).text
            for row in map(self.store.units.list.at, range(len(self.store.units.list)))
        }
        changed = {key for key, text in ages.items() if self._ages.get(key, text) != text}
        self._ages = ages
        if changed:
            self.table.refresh_rows(changed)

    def context(self) -> Mapping[str, Any]:
        """Return the marked units, or the focused one."""
        rows = self.store.units.list.chosen(self.table.cursor_key)
        by_unit = {row.unit: row for row in rows}
        units = tuple(_focus(row) for row in by_unit.values())
        return {"units": units, "marked": len(self.store.units.list.marks)}

    def count(self) -> tuple[int, int]:
        """Return rows, and rows shown."""
        return len(self.store.units.list.rows), len(self.store.units.list)

    def aside(self) -> Iterable[Cell]:
        """Return how many are marked; else where the demo's application answers."""
        marked = len(self.store.units.list.marks)
        if marked:
            return [Cell(f"◆ {marked} marked ", "accent")]
        address = self._address()
        return [Cell(f"{address} ", "muted")] if address else []

    def summary(self) -> Iterable[Cell]:
        """Return how many are well, and how many are not."""
        good, total, pending, failed = count_units(self.store.units.all_rows())
        yield Cell("  ")
        yield glyph(Health.GOOD)
        yield Cell(f" {good}/{total}", "")
        if failed:
            yield Cell(f"  ✖ {failed} failed", "bad")
        if pending:
            yield Cell(f"  ⚑ {pending} pending", "warn")

    def sort_by(self, order: str) -> None:
        """Sort by a column; by the same one again turns it around."""
        self.store.units.list.sort_by(order)
        self._sort_column(self.store.units.list.order)
        self.table.refresh_rows(None)

    def sort_next(self) -> None:
        """Sort by the column after the one in force."""
        orders = list(self.store.units.list.orders)
        at = orders.index(self.store.units.list.order)
        self.sort_by(orders[(at + 1) % len(orders)])

    def toggle_mark(self) -> None:
        """Mark the focused row, and go on."""
        self.table.action_mark()

    def clear_marks(self) -> None:
        """Unmark every row."""
        self.store.units.list.marks.clear()
        self.table.marks = set()
        self.refresh_title()
        self.post_message(FocusChanged())

    def _sort_column(self, order: str) -> None:
        plain = order == "unit" and not self.store.units.list.descending
        column = None if plain else order
        self.table.set_sort(column, descending=self.store.units.list.descending)

    @on(VirtualTable.RowHighlighted)
    def _row_highlighted(self, event: VirtualTable.RowHighlighted) -> None:
        event.stop()
        self.post_message(FocusChanged())

    @on(VirtualTable.RowSelected)
    def _row_selected(self, event: VirtualTable.RowSelected) -> None:
        event.stop()
        self.post_message(ActionPressed("detail.open"))

    @on(VirtualTable.HeaderClicked)
    def _header_clicked(self, event: VirtualTable.HeaderClicked) -> None:
        event.stop()
        self.sort_by(event.key)

    @on(VirtualTable.MarksChanged)
    def _marks_changed(self, event: VirtualTable.MarksChanged) -> None:
        event.stop()
        self.store.units.list.marks = set(self.table.marks)
        self.refresh_title()
        self.post_message(FocusChanged())


def _focus(row: UnitRow) -> UnitFocus:
    return UnitFocus(
        name=row.unit,
        target=row.target.value,
        active=row.active,
        machine=row.machine,
        is_global=row.is_global,
        is_template=row.is_template,
        explained=bool(row.reason),
    )
