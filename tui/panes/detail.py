"""One unit or one machine at length, in the right half, with tabs."""

from collections.abc import Callable, Sequence
from datetime import tzinfo
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.model.host import UnitStatus
from c101.tui.feeds.access import ClusterAccess
from c101.tui.panes.title_line import TitleLine
from c101.tui.render import detail as render
from c101.tui.render import journal as journal_render
from c101.tui.render.cells import Cell
from c101.tui.render.glyphs import glyph
from c101.tui.render.sanitise import sanitise
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.journal import JournalLine
from c101.tui.store.units import UnitRow
from c101.tui.widgets.cell_lines import CellLines
from c101.tui.widgets.log import VirtualLog

UNIT_TABS = ("status", "file", "why", "history", "processes", "logs")
MACHINE_TABS = ("status", "logs")

Why = Callable[[str], Sequence[str]]


class Detail(Vertical):
    """Follows its subject as it changes; a unit by its row's key, a machine by its id."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left_square_bracket", "step(-1)", "Previous tab", show=False),
        Binding("right_square_bracket", "step(1)", "Next tab", show=False),
    ]

    can_focus = False

    def __init__(
        self,
        store: ConsoleStore,
        access: ClusterAccess,
        clock: Clock,
        zone: tzinfo | None,
        why: Why,
    ) -> None:
        super().__init__(id="detail")
        self._store = store
        self._access = access
        self._clock = clock
        self._zone = zone
        self._why = why
        self._unit_key = ""
        self._machine_id = ""
        self.tab = "status"
        self._report: UnitStatus | None = None
        self._problem = ""
        self.title_line = TitleLine()
        self.tab_line = CellLines(id="detail-tabs")
        self.tab_line.can_focus = False
        self.lines = CellLines(id="detail-lines")
        self.log_view = VirtualLog(clock=clock, wrap=True, id="detail-log")

    def compose(self) -> ComposeResult:
        """Lay out the title with the tabs, and a body of either kind."""
        yield self.title_line
        yield self.tab_line
        yield self.lines
        yield self.log_view

    def on_mount(self) -> None:
        """Start with the status."""
        self.log_view.display = False

    @property
    def row(self) -> UnitRow | None:
        """The unit shown."""
        return self._store.units.list.rows.get(self._unit_key)

    @property
    def tabs(self) -> tuple[str, ...]:
        """The tabs there are."""
        return UNIT_TABS if self._unit_key else MACHINE_TABS

    def show_unit(self, key: str, tab: str, lines: Sequence[JournalLine]) -> None:
        """Show a unit from here on."""
        self._unit_key, self._machine_id = key, ""
        self._begin(tab, lines)

    def show_machine(self, machine_id: str, lines: Sequence[JournalLine]) -> None:
        """Show a machine from here on."""
        self._unit_key, self._machine_id = "", machine_id
        self._begin("status", lines)

    def _begin(self, tab: str, lines: Sequence[JournalLine]) -> None:
        self._report, self._problem = None, ""
        self.log_view.clear()
        self.log_view.set_state("empty", "nothing printed since this console was opened")
        self.append(lines)
        self.choose(tab)
        self._ask()

    def append(self, lines: Sequence[JournalLine]) -> None:
        """Add those of these lines that the subject printed."""
        row = self.row
        unit = row.unit if row is not None else ""
        machine_id = self._machine_id
        wanted = [
            line
            for line in lines
            if (line.unit == unit if self._unit_key else line.machine_id == machine_id)
        ]
        self.log_view.append([journal_render.log_line(line, self._zone) for line in wanted])

    def choose(self, tab: str) -> None:
        """Show another tab."""
        self.tab = tab if tab in self.tabs else "status"
        logs = self.tab == "logs"
        self.lines.display, self.log_view.display = not logs, logs
        self.lines.scroll_home(animate=False)
        self.refresh_content()
        self.screen.set_focus(self.log_view if logs else self.lines)

    def action_step(self, step: int) -> None:
        """Go to the tab before or after."""
        at = self.tabs.index(self.tab)
        self.choose(self.tabs[(at + step) % len(self.tabs)])

    def refresh_content(self) -> None:
        """Write everything anew."""
        name: list[Cell] = [Cell(" ")]
        row = self.row
        machine = self._store.machines.list.rows.get(self._machine_id)
        if row is not None:
            name += [glyph(row.health), Cell(f" {row.unit}", "strong")]
        elif machine is not None:
            name += [glyph(machine.health), Cell(f" {machine.name}", "strong")]
        self.title_line.show(name, [], [Cell("esc closes ", "muted")], focused=True)
        self.tab_line.set_lines([render.tabs(self.tabs, self.tab)])
        if self.tab != "logs":
            self.lines.set_lines(self._content())

    def _content(self) -> Sequence[Sequence[Cell]]:
        now = self._clock.time()
        machine = self._store.machines.list.rows.get(self._machine_id)
        if machine is not None:
            rows = self._store.units.all_rows()
            units = sorted((row for row in rows if row.machine_id == machine.id), key=_by_name)
            return render.machine(machine, units, now=now)
        row = self.row
        if row is None:
            return [(Cell(" it is gone", "muted"),)]
        return self._unit_content(row, now)

    def _unit_content(self, row: UnitRow, now: float) -> Sequence[Sequence[Cell]]:
        cluster = self._store.units.cluster
        unit = cluster.units.get(row.unit)
        state = cluster.states.get((row.unit, row.machine_id))
        match self.tab:
            case "file":
                return render.file(unit)
            case "why":
                return render.why(self._why(row.unit), self.lines.size.width)
            case "history":
                return render.history(self._store.history_of(row.unit), self._zone)
            case "processes":
                return render.processes(self._report, self._problem)
            case _:
                report = self._report
                return render.status(row, unit, state, report, now=now, zone=self._zone)

    @work(exclusive=True, group="detail", exit_on_error=False)
    async def _ask(self) -> None:
        """Ask the unit's machine once; the KV tells the rest as it changes."""
        row = self.row
        if row is None or not row.machine_id:
            self._problem = "no machine runs it"
            return
        try:
            self._report = await self._access.verbs.unit_status(row.machine_id, row.unit)
        except C101Error as exc:
            self._problem = sanitise(str(exc))
        self.refresh_content()


def _by_name(row: UnitRow) -> str:
    return row.unit
