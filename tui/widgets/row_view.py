"""Rows with a cursor: what the table and the tree share.

A row is known by its key, a string of the owner's. The cursor and the marks hold keys, not
places: when rows come, go or are sorted, they stay with what they were put on, and the row under
the cursor stays on its line of the screen.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.timer import Timer

from c101.tui.render.cells import Cell
from c101.tui.render.wrap import wrap
from c101.tui.widgets.columns import Column, layout
from c101.tui.widgets.line_map import LineMap
from c101.tui.widgets.line_view import printable
from c101.tui.widgets.row_painter import FLASH_TICKS, GUTTER, RowPainter

#: The most lines a note takes; a reason is wrapped, not cut.
NOTE_LINES_MAX: Final = 3

#: More rows than this flashing at once say nothing: none does.
FLASH_ROWS_MAX: Final = 500

#: How long a flash lasts.
FLASH_SECONDS: Final = 2.0


class RowView(RowPainter):
    """A scrolling list of rows of cells under a header that stays."""

    ALLOW_SELECT = False

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "cursor_up", "Up", show=False),
        Binding("down,j", "cursor_down", "Down", show=False),
        Binding("pageup", "cursor_page_up", "Page up", show=False),
        Binding("pagedown", "cursor_page_down", "Page down", show=False),
        Binding("home,g", "cursor_home", "First", show=False),
        Binding("end,G", "cursor_end", "Last", show=False),
        Binding("space", "mark", "Mark", show=False),
        Binding("enter", "select", "Open", show=False),
    ]

    class MarksChanged(Message):
        """Rows were marked or unmarked by hand."""

        def __init__(self, view: "RowView") -> None:
            super().__init__()
            self.view = view

        @property
        def control(self) -> "RowView":
            """The table or tree."""
            return self.view

    # Class attributes, because Textual may ask for a line before __init__ is done.
    _cursor_key: str | None = None
    _flash_timer: Timer | None = None

    # What a subclass knows of its rows, beside what the painter asks.

    @abstractmethod
    def _post_highlighted(self, key: str | None) -> None:
        """Tell that the cursor is on another row."""

    @abstractmethod
    def _post_selected(self, key: str) -> None:
        """Tell that a row was chosen."""

    @abstractmethod
    def _post_header_clicked(self, column_key: str) -> None:
        """Tell that a column's title was clicked."""

    def _note_at(self, row: int) -> Cell | None:  # noqa: ARG002 - for subclasses
        """Return the note of one row."""
        return None

    def _all_notes(self) -> Iterable[tuple[int, Cell]]:
        """Return the rows that have a note, in order."""
        return ()

    def _find(self, key: str, near: int) -> int | None:
        """Return the row of *key*, which was row *near* when it was last seen."""
        count = self._row_count()
        if near < count and self._row_key_at(near) == key:
            return near
        return next((row for row in range(count) if self._row_key_at(row) == key), None)

    # For the owner.

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor; ``None`` when there are no rows."""
        return self._cursor_key

    @cursor_key.setter
    def cursor_key(self, key: str | None) -> None:
        row = None if key is None else self._find(key, self._cursor)
        if row is not None:
            self._move_to(row)

    @property
    def cursor_row(self) -> int:
        """The place of the row under the cursor."""
        return self._cursor

    @property
    def marks(self) -> set[str]:
        """The keys that are marked; assign a set to change them."""
        return self._marks

    @marks.setter
    def marks(self, keys: Collection[str]) -> None:
        self._marks = set(keys)
        self.refresh()

    @property
    def highlight(self) -> str | None:
        """The text that is made to stand out wherever a cell holds it, letter case aside."""
        return self._highlight or None

    @highlight.setter
    def highlight(self, text: str | None) -> None:
        folded = (text or "").casefold()
        if folded != self._highlight:
            self._highlight = folded
            self.refresh()

    def set_stale(self, stale: bool) -> None:  # noqa: FBT001 - a state, not an option
        """Dim every row, or not: what is shown is what was last known."""
        if stale != self._stale:
            self._stale = stale
            self.refresh()

    def set_columns(self, columns: Sequence[Column]) -> None:
        """Show other columns; the model's cells must follow."""
        self._columns = tuple(columns)
        self._lay_out()

    def set_sort(self, column_key: str | None, *, descending: bool = False) -> None:
        """Show by which column the owner has sorted the rows."""
        self._sort = None if column_key is None else (column_key, descending)
        self.refresh()

    def refresh_rows(self, keys: Collection[str] | None = None) -> None:
        """Repaint the rows of *keys* as far as they are in sight; all that may have moved if None.

        Call it without keys when rows were added, removed or sorted, and with keys when only their
        cells or notes changed.
        """
        if keys is None or self._notes_changed(keys):
            self._rows_changed()
            return
        for row in self._rows_in_sight():
            if self._row_key_at(row) in keys:
                self._refresh_row(row)

    def flash(self, keys: Iterable[str]) -> None:
        """Let the rows of *keys* glow, and fade in two steps."""
        fresh = set(keys)
        if len(fresh) + len(self._flashing) > FLASH_ROWS_MAX:
            return
        self._flashing.update(dict.fromkeys(fresh, FLASH_TICKS))
        if self._flash_timer is not None and fresh:
            self._flash_timer.resume()
        for row in self._rows_in_sight():
            if self._row_key_at(row) in fresh:
                self._refresh_row(row)

    # Places.

    def _rows_in_sight(self) -> range:
        last = min(self._map.line_count, self._top + self._body_height) - 1
        if last < self._top:
            return range(0)
        return range(self._map.locate(self._top)[0], self._map.locate(last)[0] + 1)

    def _refresh_row(self, row: int) -> None:
        y = self._map.line_of(row) - self._top + self._show_header
        lines = 1 + self._map.note_lines(row)
        # A note of a row that begins above the body must not repaint the header, which costs
        # nothing but would be wrong to rely on; a Region is clipped by Textual.
        self.refresh(Region(0, y, self._width, lines))

    def _notes_changed(self, keys: Collection[str]) -> bool:
        """Say whether the lines of the notes of *keys* are not those that were laid out."""
        if self._row_count() != self._map.row_count:
            return True
        found = [row for row in self._rows_in_sight() if self._row_key_at(row) in keys]
        if len(found) == len(keys):
            return any(self._note_at(row) != self._laid_note(row) for row in found)
        fresh = dict(self._all_notes())
        return fresh != {row: note for row, (note, _) in self._notes.items()}

    def _laid_note(self, row: int) -> Cell | None:
        laid = self._notes.get(row)
        return None if laid is None else laid[0]

    def _rows_changed(self) -> None:
        """Lay the rows out anew and keep the cursor on its key, and that on its line."""
        count = self._row_count()
        old_key, old_y = self._cursor_key, self._map.line_of(self._cursor) - self._top
        was_in_sight = 0 <= old_y < self._body_height
        row = None if old_key is None else self._find(old_key, self._cursor)
        self._cursor = max(0, min(self._cursor, count - 1)) if row is None else row
        self._lay_out_notes()
        self._cursor_key = self._row_key_at(self._cursor) if count else None
        line = self._map.line_of(self._cursor)
        if was_in_sight and self._top > 0 and row is not None:
            self._scroll_to_row(line - old_y)
        if was_in_sight:
            self._scroll_to_cursor()
        self.refresh()
        if self._cursor_key != old_key:
            self._post_highlighted(self._cursor_key)

    def _lay_out(self) -> None:
        self._placed = layout(self._columns, max(1, self._width - GUTTER))
        self._lay_out_notes()
        self.refresh()

    def _lay_out_notes(self) -> None:
        indent = self._note_indent()
        room = max(8, self._width - indent - 1)
        self._notes = {
            row: (note, wrap(printable(note.text), room, NOTE_LINES_MAX))
            for row, note in self._all_notes()
        }
        self._map = LineMap(
            self._row_count(), ((row, len(lines)) for row, (_, lines) in self._notes.items())
        )
        self._set_row_total(self._map.line_count + self._show_header)

    def _move_to(self, row: int) -> None:
        count = self._row_count()
        if not count:
            return
        row = max(0, min(row, count - 1))
        old, self._cursor = self._cursor, row
        key = self._row_key_at(row)
        if old < count:
            self._refresh_row(old)
        self._refresh_row(row)
        self._scroll_to_cursor()
        if key != self._cursor_key:
            self._cursor_key = key
            self._post_highlighted(key)

    def _scroll_to_cursor(self) -> None:
        """Scroll as little as brings the cursor's row into sight, its note with it."""
        line, height = self._map.line_of(self._cursor), self._body_height
        last = line + self._map.note_lines(self._cursor)
        top = self._top
        if line < top:
            self._scroll_to_row(line)
        elif last >= top + height > 0:
            self._scroll_to_row(min(line, last - height + 1))

    # Events and actions.

    def on_mount(self) -> None:
        """Start the timer that fades flashes, asleep."""
        self._flash_timer = self.set_interval(
            FLASH_SECONDS / FLASH_TICKS, self._fade, pause=not self._flashing
        )

    def on_resize(self) -> None:
        """Lay the columns out for the width there is."""
        self._measure()
        self._lay_out()
        self._scroll_to_cursor()

    def _fade(self) -> None:
        stepped = set[str]()
        for key, ticks in list(self._flashing.items()):
            if ticks in {1, FLASH_TICKS // 2 + 1}:
                stepped.add(key)
            if ticks == 1:
                del self._flashing[key]
            else:
                self._flashing[key] = ticks - 1
        if not self._flashing and self._flash_timer is not None:
            self._flash_timer.pause()
        for row in self._rows_in_sight():
            if self._row_key_at(row) in stepped:
                self._refresh_row(row)

    def on_click(self, event: events.Click) -> None:
        """Move the cursor to the row clicked; a double click chooses it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        event.stop()
        if self._show_header and offset.y == 0:
            self._click_header(offset.x)
            return
        line = self._top + offset.y - self._show_header
        if line >= self._map.line_count:
            return
        self._move_to(self._map.locate(line)[0])
        if event.chain == 2:
            self.action_select()

    def _click_header(self, x: int) -> None:
        for placed in self._placed:
            if placed.x + GUTTER <= x < placed.x + GUTTER + placed.width:
                self._post_header_clicked(placed.column.key)

    def action_cursor_up(self) -> None:
        """Go a row up."""
        self._move_to(self._cursor - 1)

    def action_cursor_down(self) -> None:
        """Go a row down."""
        self._move_to(self._cursor + 1)

    def action_cursor_page_up(self) -> None:
        """Go a screenful up."""
        self._move_to(self._page(-1))

    def action_cursor_page_down(self) -> None:
        """Go a screenful down."""
        self._move_to(self._page(1))

    def _page(self, direction: int) -> int:
        step = max(1, self._body_height - 1)
        line = self._map.line_of(self._cursor) + direction * step
        return self._map.locate(max(0, min(line, self._map.line_count - 1)))[0]

    def action_cursor_home(self) -> None:
        """Go to the first row."""
        self._move_to(0)

    def action_cursor_end(self) -> None:
        """Go to the last row."""
        self._move_to(self._row_count() - 1)

    def action_mark(self) -> None:
        """Mark the row under the cursor, or unmark it, and go on to the next."""
        if self._cursor_key is None:
            return
        self._marks ^= {self._cursor_key}
        self._refresh_row(self._cursor)
        self.post_message(self.MarksChanged(self))
        self.action_cursor_down()

    def action_select(self) -> None:
        """Choose the row under the cursor."""
        if self._cursor_key is not None:
            self._post_selected(self._cursor_key)
