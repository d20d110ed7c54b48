"""Lines of cells to be read and scrolled: help, details, values, and the bars of one line."""

from collections.abc import Sequence

from rich.segment import Segment
from textual.geometry import Size
from textual.strip import Strip

from c101.tui.render.cells import Cell
from c101.tui.render.width import text_width
from c101.tui.widgets.line_view import LineView, printable

Line = Sequence[Cell]


class CellLines(LineView):
    """Lines as they are given: no columns, no cursor. What is too wide is cut."""

    # A class attribute, because Textual may ask for a line before __init__ is done.
    _lines: Sequence[Line] = ()

    def set_lines(self, lines: Sequence[Line], *, keep_place: bool = True) -> None:
        """Show *lines* from here on; from the top again unless *keep_place*."""
        if lines == self._lines:
            return
        self._lines = lines
        self.virtual_size = Size(self._width, len(lines))
        if not keep_place:
            self.scroll_home(animate=False)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Paint line *y* of what is in sight."""
        at = int(self.scroll_offset.y) + y
        if not self._lines:
            return self._state_line(y, self._height)
        if at >= len(self._lines):
            return self._blank_line()
        return self.paint(self._lines[at])

    def paint(self, cells: Line) -> Strip:
        """Return cells side by side, as wide as the widget."""
        return paint_cells(self, cells, self._width)


def paint_cells(view: LineView, cells: Line, width: int) -> Strip:
    """Return cells side by side in *width* cells, cut or filled up."""
    segments: list[Segment] = []
    for cell in cells:
        text, style = printable(cell.text), view.style_of(cell.style)
        # Air before a word stands apart: pictures made of the screen would lose it otherwise.
        word = text.lstrip(" ")
        if len(word) < len(text):
            segments.append(Segment(text[: len(text) - len(word)], style))
        if word:
            segments.append(Segment(word, style))
    return Strip(segments).adjust_cell_length(width, view.style_of())


def cells_width(cells: Line) -> int:
    """Return how many columns the cells take."""
    return sum(text_width(cell.text) for cell in cells)
