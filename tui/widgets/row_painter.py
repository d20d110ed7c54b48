"""How rows look: the header, the cells in their columns, the cursor, the marks, the notes."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final

from rich.segment import Segment
from textual.strip import Strip

from c101.tui.render.cells import BLANK, Cell
from c101.tui.widgets.columns import Column, Placed
from c101.tui.widgets.line_map import LineMap
from c101.tui.widgets.line_view import LineView, printable
from c101.tui.widgets.paint import fit, matched

#: Cells left of the first column: the cursor's bar or the mark.
GUTTER: Final = 1

#: The looks a flash goes through; half of them are its strong step.
FLASH_TICKS: Final = 8

CURSOR_GLYPH: Final = "▌"
MARK_GLYPH: Final = "◆"


class RowPainter(LineView):
    """Paints rows that a subclass knows, places and moves about in."""

    # Class attributes, because Textual may ask for a line before __init__ is done.
    _columns: tuple[Column, ...] = ()
    _placed: tuple[Placed, ...] = ()
    _show_header: bool = True
    _map: LineMap = LineMap(0)
    _cursor: int = 0
    _highlight: str = ""
    _stale: bool = False
    _sort: tuple[str, bool] | None = None

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        header: bool = True,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._columns = tuple(columns)
        self._show_header = header
        self._marks: set[str] = set()
        self._flashing: dict[str, int] = {}
        self._notes: dict[int, tuple[Cell, list[str]]] = {}

    @abstractmethod
    def _row_count(self) -> int:
        """Return how many rows there are."""

    @abstractmethod
    def _row_key_at(self, row: int) -> str:
        """Return the key of a row."""

    @abstractmethod
    def _cells_at(self, row: int) -> Sequence[Cell]:
        """Return the cells of a row, one a column."""

    @property
    def _body_height(self) -> int:
        return max(0, self._height - self._show_header)

    @property
    def _top(self) -> int:
        """The first line in sight."""
        return int(self.scroll_offset.y)

    def _note_indent(self) -> int:
        """Return the cells left of a note: a little right of where the names begin."""
        return min(8, GUTTER + (self._placed[1].x if len(self._placed) > 1 else 0) + 2)

    def render_line(self, y: int) -> Strip:
        """Paint line *y* of what is in sight."""
        if self._show_header:
            if y == 0:
                return self._header_line()
            y -= 1
        if not self._map.row_count:
            return self._state_line(y, self._body_height)
        line = self._top + y
        if line >= self._map.line_count:
            return self._blank_line()
        row, part = self._map.locate(line)
        if row >= self._row_count():  # the model shrank and has not said so yet
            return self._blank_line()
        return self._note_line(row, part) if part else self._row_line(row)

    def _overlay(self, row: int, key: str) -> str:
        ticks = self._flashing.get(key)
        if ticks is not None:
            return "flash" if ticks > FLASH_TICKS // 2 else "flash-fading"
        if row == self._cursor:
            return "cursor" if self.has_focus else "cursor-blurred"
        return ""

    def _gutter(self, row: int, key: str, overlay: str) -> Segment:
        at_cursor = row == self._cursor
        if key in self._marks:
            return Segment(MARK_GLYPH, self.style_of("accent", overlay))
        if at_cursor:
            colour = "accent" if self.has_focus else "muted"
            return Segment(CURSOR_GLYPH, self.style_of(colour, overlay))
        return Segment(" ", self.style_of(overlay))

    def _row_line(self, row: int) -> Strip:
        key = self._row_key_at(row)
        overlay = self._overlay(row, key)
        cells = self._cells_at(row)
        segments = [self._gutter(row, key, overlay)]
        air = Segment(" ", self.style_of(overlay))
        width = GUTTER
        for placed in self._placed:
            if len(segments) > 1:
                segments.append(air)
                width += 1
            cell = cells[placed.index] if placed.index < len(cells) else BLANK
            segments += self._cell(cell, placed, overlay)
            width += placed.width
        if width < self._width:
            segments.append(Segment(" " * (self._width - width), air.style))
        return Strip(segments, self._width)

    def _cell(self, cell: Cell, placed: Placed, overlay: str) -> Iterable[Segment]:
        column = placed.column
        text = fit(printable(cell.text), placed.width, cell.align or column.align, column.cut)
        meaning = "stale" if self._stale else cell.style
        if self._highlight and self._highlight in text.casefold():
            return matched(
                text,
                self._highlight,
                self.style_of(meaning, overlay),
                self.style_of(meaning, overlay, "match"),
            )
        return (Segment(text, self.style_of(meaning, overlay)),)

    def _note_line(self, row: int, part: int) -> Strip:
        note, lines = self._notes[row]
        indent = self._note_indent()
        text = fit(lines[part - 1], max(0, self._width - indent), "left", "end")
        style = self.style_of("note", note.style)
        return Strip(
            [Segment(" " * indent, self.style_of()), Segment(text, style)], self._width
        ).adjust_cell_length(self._width)

    def _header_line(self) -> Strip:
        style = self.style_of("header")
        segments = [Segment(" " * GUTTER, style)]
        for placed in self._placed:
            if len(segments) > 1:
                segments.append(Segment(" ", style))
            segments.append(Segment(self._title(placed), style))
        return Strip(segments).adjust_cell_length(self._width, style)

    def _title(self, placed: Placed) -> str:
        column = placed.column
        title = column.title
        if self._sort is not None and self._sort[0] == column.key:
            arrow = "▼" if self._sort[1] else "▲"
            title = title[: placed.width - 1] + arrow
        return fit(title, placed.width, column.align, "end")
