"""The one thin line over a pane: what it is, how many, what is hidden, how fresh."""

from collections.abc import Sequence
from dataclasses import replace

from textual.message import Message
from textual.strip import Strip

from c101.tui.render.cells import Cell, Meaning
from c101.tui.render.humanise import cut_end
from c101.tui.render.width import text_width
from c101.tui.widgets.cell_lines import cells_width, paint_cells
from c101.tui.widgets.line_view import LineView

RULE = "─"


class TitleLine(LineView, can_focus=False):
    """A title, a thin rule, and what is said at its right end."""

    class Clicked(Message):
        """The title was clicked."""

    # Class attributes, because Textual may ask for a line before __init__ is done.
    _left: Sequence[Cell] = ()
    _middle: Sequence[Cell] = ()
    _right: Sequence[Cell] = ()
    _focused: bool = False

    def show(
        self, left: Sequence[Cell], middle: Sequence[Cell], right: Sequence[Cell], *, focused: bool
    ) -> None:
        """Show these from here on; nothing is painted where nothing differs."""
        fresh = (tuple(left), tuple(middle), tuple(right), focused)
        if fresh != (self._left, self._middle, self._right, self._focused):
            self._left, self._middle, self._right, self._focused = fresh
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Paint the line; the right end gives way where there is no room."""
        if y:
            return self._blank_line()
        width = self._width
        start = [*self._left, *self._middle]
        room = width - cells_width(start) - cells_width(self._right)
        rule: Meaning = "accent" if self._focused else "dim"
        if room < 2:
            return paint_cells(self, (*start, Cell(" "), *self._fitting(width, start)), width)
        gap = Cell(f" {RULE * (room - 2)} " if self._right else f" {RULE * (room - 1)}", rule)
        return paint_cells(self, (*start, gap, *self._right), width)

    def _fitting(self, width: int, start: Sequence[Cell]) -> list[Cell]:
        """Return as much of the right end as there is room for: a reason is cut, not left out."""
        room = width - cells_width(start) - 1
        shown: list[Cell] = []
        for cell in self._right:
            shown.append(replace(cell, text=cut_end(cell.text, max(0, room))))
            room -= text_width(shown[-1].text)
        return shown

    def on_click(self) -> None:
        """Tell the pane."""
        self.post_message(self.Clicked())
