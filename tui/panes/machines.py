"""The machines pane: who is there, how they fare, and how well they are reached."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult

from c101.core.clock import Clock
from c101.core.model.machine import MachineState
from c101.tui.actions.action import MACHINES, MachineFocus
from c101.tui.messages import ActionPressed, FocusChanged
from c101.tui.panes.pane import Pane
from c101.tui.render import machines as render
from c101.tui.render.cells import Cell
from c101.tui.render.glyphs import glyph
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.machines import MachineRow
from c101.tui.widgets.table import Column, VirtualTable

COLUMNS = (
    Column("health", "", 1, priority=100),
    Column("name", "NAME", None, min_width=4, max_width=14, priority=90),
    Column("state", "STATE", 8, priority=80, cut="end"),
    Column("units", "UNITS", 5, align="right", priority=70),
    Column("cpu", "CPU", 4, align="right", priority=60),
    Column("history", "", render.SPARK_CELLS, priority=30),
    Column("memory", "MEM", 4, align="right", priority=50),
    Column("load", "LOAD", 4, align="right", priority=25),
    Column("ssh", "SSH", 4, align="right", priority=40),
    Column("metadata", "METADATA", None, min_width=8, priority=20, cut="end"),
)

#: A new sample alone is no news: it repaints a row, but does not make it glow.
_SORTS = {"health": "state", "history": "cpu"}


class _Table:
    """The store's rows as the table asks for them."""

    def __init__(self, store: ConsoleStore, clock: Clock, zone: tzinfo | None) -> None:
        self._list = store.machines.list
        self._clock = clock
        self._zone = zone

    def __len__(self) -> int:
        return len(self._list)

    def key_at(self, i: int) -> str:
        return self._list.view[i]

    def cells_at(self, i: int) -> Sequence[Cell]:
        return render.cells(self._list.at(i), self._clock.time())

    def note_at(self, i: int) -> Cell | None:
        return render.note(self._list.at(i), self._zone)


class MachinesPane(Pane):
    """Every machine that is known; a lost one stays, dimmed, with its age."""

    NAME: ClassVar[str] = MACHINES
    NUMBER: ClassVar[int] = 2
    TITLE: ClassVar[str] = "MACHINES"
    EMPTY: ClassVar[str] = "no machines yet: c101-agent --kv URL joins one"

    def __init__(self, store: ConsoleStore, clock: Clock, zone: tzinfo | None = None) -> None:
        super().__init__(store, clock)
        self._zone = zone
        self.table = VirtualTable(COLUMNS, id="machines-table")
        self._states: dict[str, MachineState] = {}

    def compose_body(self) -> ComposeResult:
        """Yield the table."""
        self.table.set_model(_Table(self.store, self.clock, self._zone))
        yield self.table

    @property
    def body(self) -> VirtualTable:
        """The table."""
        return self.table

    @property
    def focused_row(self) -> MachineRow | None:
        """The row under the cursor."""
        key = self.table.cursor_key
        return self.store.machines.list.rows.get(key) if key is not None else None

    def rows_changed(self, keys: frozenset[str] | None) -> None:
        """Repaint what differs; a machine whose state changed glows."""
        self.table.refresh_rows(keys)
        self.table.set_stale(self.store.status(self.NAME).stale)
        states = {key: row.state for key, row in self.store.machines.list.rows.items()}
        before, self._states = self._states, states
        changed = {key for key, state in states.items() if before.get(key, state) is not state}
        if changed:
            self.table.flash(changed)

    def filter_changed(self) -> None:
        """Filter the rows."""
        self.store.machines.list.set_filter(self.chosen_filter)
        self.table.highlight = self.chosen_filter.highlight
        self.table.refresh_rows(None)

    def tick(self) -> None:
        """Repaint the machines that say how long they have been gone."""
        rows = self.store.machines.list.rows.values()
        lost = {row.key for row in rows if row.state is MachineState.LOST}
        if lost:
            self.table.refresh_rows(lost)

    def context(self) -> Mapping[str, Any]:
        """Return the focused machine."""
        row = self.focused_row
        if row is None:
            return {}
        lost = row.state is MachineState.LOST
        return {"machine": MachineFocus(id=row.id, name=row.name, lost=lost)}

    def count(self) -> tuple[int, int]:
        """Return rows, and rows shown."""
        return len(self.store.machines.list.rows), len(self.store.machines.list)

    def summary(self) -> Iterable[Cell]:
        """Return each machine's glyph and name, as far as there is room."""
        for row in list(map(self.store.machines.list.at, range(len(self.store.machines.list))))[:8]:
            yield Cell("  ")
            yield glyph(row.health)
            yield Cell(f" {row.name}", "")
            if row.latest is not None and row.state is not MachineState.LOST:
                yield Cell(f" {round(row.latest.cpu_percent)}%", "muted")

    def sort_by(self, column: str) -> None:
        """Sort by a column; by the same one again turns it around."""
        held = self.store.machines.list
        held.sort_by(_SORTS.get(column, column))
        plain = held.order == "name" and not held.descending
        self.table.set_sort(None if plain else held.order, descending=held.descending)
        self.table.refresh_rows(None)

    def sort_next(self) -> None:
        """Sort by the column after the one in force."""
        orders = list(self.store.machines.list.orders)
        at = orders.index(self.store.machines.list.order)
        self.sort_by(orders[(at + 1) % len(orders)])

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
