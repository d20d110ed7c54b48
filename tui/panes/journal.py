"""The journal pane: what all units print, on all machines, in one order, as it is printed."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import tzinfo
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult

from c101.core.clock import Clock
from c101.tui.actions.action import JOURNAL
from c101.tui.messages import FocusChanged
from c101.tui.panes.pane import Pane
from c101.tui.render import journal as render
from c101.tui.render.cells import Cell
from c101.tui.render.humanise import spark
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.journal import JournalLine, Scope
from c101.tui.widgets.log import LogLine, VirtualLog

#: Seconds in the sparkline of the title.
RATE_CELLS = 12

#: Lines kept as they came, for the detail's logs of one unit.
RECENT_LINES_MAX = 20_000


class JournalPane(Pane):
    """The journals of all machines, merged."""

    NAME: ClassVar[str] = JOURNAL
    NUMBER: ClassVar[int] = 4
    TITLE: ClassVar[str] = "JOURNAL"
    EMPTY: ClassVar[str] = "nothing printed yet"

    def __init__(self, store: ConsoleStore, clock: Clock, zone: tzinfo | None = None) -> None:
        super().__init__(store, clock)
        self._zone = zone
        self.scope = Scope()
        self._recent: deque[JournalLine] = deque(maxlen=RECENT_LINES_MAX)
        self.log_view = VirtualLog(clock=clock, id="journal-log")

    def compose_body(self) -> ComposeResult:
        """Yield the log."""
        yield self.log_view

    @property
    def body(self) -> VirtualLog:
        """The log."""
        return self.log_view

    def append(self, lines: Sequence[JournalLine]) -> None:
        """Add lines that came."""
        self._recent.extend(lines)
        if lines:
            self.log_view.append([render.log_line(line, self._zone) for line in lines])

    def recent(self) -> list[JournalLine]:
        """Return the latest lines, of all units."""
        return list(self._recent)

    def filter_changed(self) -> None:
        """Show the lines that match, of the units that are wanted."""
        chosen = bool(self.scope) or bool(self.chosen_filter)
        self.log_view.set_filter(self._passes if chosen else None)
        self.log_view.highlight = self.chosen_filter.highlight

    def set_scope(self, scope: Scope) -> None:
        """Show the lines of some units, of one machine, or all."""
        self.scope = scope
        self.filter_changed()
        self._show_state()
        self.refresh_title()

    def clear_filter(self) -> bool:
        """Clear the filter; where there is none, show all units again."""
        had = super().clear_filter()
        if not had and self.scope:
            self.set_scope(Scope())
            return True
        return had

    def tick(self) -> None:
        """Bring the sparkline of the rate forward."""
        self.refresh_title()

    def count(self) -> tuple[int, int]:
        """Return lines kept and lines shown."""
        return self.log_view.line_count, self.log_view.view_count

    def context(self) -> Mapping[str, Any]:
        """Return nothing: a line is not chosen by itself."""
        return {}

    def middle(self) -> Iterable[Cell]:
        """Return whose lines these are."""
        row = self.store.machines.list.rows.get(self.scope.machine_id)
        words = render.scope_words(self.scope, row.name if row is not None else "")
        return [Cell(f"  {words}", "accent" if self.scope else "muted")]

    def aside(self) -> Iterable[Cell]:
        """Return whether the log follows, and how fast lines come."""
        following = self.log_view.following
        words = Cell("following ", "muted") if following else Cell("held (F follows) ", "warn")
        counts = self.log_view.rate.history(RATE_CELLS)
        return [words, Cell(spark(counts, RATE_CELLS) + " ", "muted")]

    def summary(self) -> Iterable[Cell]:
        """Return whose lines these are."""
        return self.middle()

    def toggle_follow(self) -> None:
        """Follow the end, or hold still."""
        if self.log_view.following:
            self.log_view.action_hold()
        else:
            self.log_view.action_follow()
        self.refresh_title()

    def _passes(self, line: LogLine) -> bool:
        unit, _, machine_id = line.key.partition(render.KEY_SEPARATOR)
        if not self.scope.holds(unit, machine_id):
            return False
        if not self.chosen_filter:
            return True
        machine = line.prefix[1].text
        fields = {"unit": unit, "machine": machine, "text": line.text}
        return self.chosen_filter.matches(f"{unit} {machine} {line.text}", fields)

    @on(VirtualLog.FollowChanged)
    def _follow_changed(self, event: VirtualLog.FollowChanged) -> None:
        event.stop()
        self.refresh_title()
        self.post_message(FocusChanged())
