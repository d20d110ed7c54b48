"""The header, which answers "is all well?", and the footer, which says what can be done here."""

from collections.abc import Sequence
from datetime import tzinfo

from textual import events
from textual.message import Message
from textual.strip import Strip

from c101.tui.messages import ActionPressed
from c101.tui.render import header as render
from c101.tui.render.cells import Cell
from c101.tui.store.summary import Summary
from c101.tui.widgets.cell_lines import cells_width, paint_cells
from c101.tui.widgets.line_view import LineView

#: Air between two doors of the header, where there is room for it.
GAPS = (4, 3, 2)


#: The doors of the header, the first to go where there is no room first.
_KEPT = ("", "leader", "keys", "units", "machines", "pending", "failed")


class HeaderLine(LineView, can_focus=False):
    """One line: the cluster, its counts, the clock. A click on a count leads to what it counts."""

    class DoorClicked(Message):
        """A count was clicked."""

        def __init__(self, door: str) -> None:
            super().__init__()
            self.door = door

    # Class attributes, because Textual may ask for a line before __init__ is done.
    _summary: Summary | None = None
    _now: float = 0.0
    _zone: tzinfo | None = None

    def show(self, summary: Summary, now: float, zone: tzinfo | None) -> None:
        """Show *summary* as of *now*."""
        if (summary, int(now), zone) != (self._summary, int(self._now), self._zone):
            self._summary, self._now, self._zone = summary, now, zone
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Paint the line."""
        if y or self._summary is None:
            return self._blank_line()
        cells, _ = self._laid_out(self._summary)
        return paint_cells(self, cells, self._width)

    def _laid_out(self, summary: Summary) -> tuple[list[Cell], list[tuple[int, int, str]]]:
        """Return the cells, and where the doors are: first and last column, and name."""
        doors = render.left(summary)
        right = [*render.right(summary, self._now, self._zone), Cell(" ")]
        room = self._width - cells_width(right) - 1
        while len(doors) > 1 and _width(doors, GAPS[-1]) > room:
            # What is ill stays longest, and what it is the cluster of.
            least = min(range(1, len(doors)), key=lambda at: (_KEPT.index(doors[at][0]), -at))
            del doors[least]
        gap = next((gap for gap in GAPS if _width(doors, gap) <= room), GAPS[-1])
        cells = [Cell(" ")]
        places: list[tuple[int, int, str]] = []
        for index, (name, door) in enumerate(doors):
            if index:
                cells.append(Cell(" " * gap))
            start = cells_width(cells)
            cells += door
            places.append((start, cells_width(cells), name))
        cells.append(Cell(" " * max(1, self._width - cells_width(cells) - cells_width(right))))
        return [*cells, *right], places

    def on_click(self, event: events.Click) -> None:
        """Tell which count was clicked."""
        if self._summary is None:
            return
        for start, end, name in self._laid_out(self._summary)[1]:
            if name and start <= event.x < end:
                self.post_message(self.DoorClicked(name))


def _width(doors: Sequence[tuple[str, render.Door]], gap: int) -> int:
    return 1 + sum(cells_width(door) + gap for _, door in doors)


class FooterLine(LineView, can_focus=False):
    """One line of keys: only what works on what is focused; and for a while, what was just done."""

    # Class attributes, because Textual may ask for a line before __init__ is done.
    _keys: Sequence[tuple[str, str, str]] = ()
    _notice: Sequence[Cell] = ()

    def show(self, keys: Sequence[tuple[str, str, str]]) -> None:
        """Show keys from here on: label, word and action id of each."""
        if keys != self._keys:
            self._keys = keys
            self.refresh()

    def notice(self, cells: Sequence[Cell]) -> None:
        """Show these at the right end, until told otherwise."""
        if cells != self._notice:
            self._notice = cells
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Paint the line."""
        if y:
            return self._blank_line()
        cells = [Cell(" ")]
        for label, word, _ in self._fitting():
            cells += (Cell(label, "strong"), Cell(f" {word}  ", "muted"))
        if self._notice:
            gap = self._width - cells_width(cells) - cells_width(self._notice) - 1
            cells += (Cell(" " * max(1, gap)), *self._notice)
        return paint_cells(self, cells, self._width)

    def _fitting(self) -> list[tuple[str, str, str]]:
        """Return as many keys as fit; the last, help, is the last to go."""
        room = self._width - 1 - (cells_width(self._notice) + 1 if self._notice else 0)
        kept = list(self._keys)
        while len(kept) > 1 and sum(len(label) + len(word) + 3 for label, word, _ in kept) > room:
            del kept[-2]
        return kept

    def on_click(self, event: events.Click) -> None:
        """Choose the action that was clicked."""
        x = 1
        for label, word, action_id in self._fitting():
            width = len(label) + len(word) + 3
            if x <= event.x < x + width:
                self.post_message(ActionPressed(action_id))
                return
            x += width
