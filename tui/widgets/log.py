"""The virtual log: lines come by the thousand, only those in sight are styled.

Lines are gathered and shown thirty times a second. While the end is in sight the log follows it;
scrolling up holds the picture still, whatever arrives, and a badge counts what is waiting below.
"""

from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import ClassVar, Final

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.timer import Timer

from c101.core.clock import Clock, SystemClock
from c101.tui.render.cells import LogLine
from c101.tui.render.humanise import count
from c101.tui.widgets.line_view import LineView
from c101.tui.widgets.log_painter import LinePainter
from c101.tui.widgets.log_ring import LINES_MAX, HeightIndex, LineFilter, LogRing
from c101.tui.widgets.rate import Rate

__all__ = ["LINES_MAX", "LogLine", "VirtualLog"]

#: Lines gathered between two flushes; more than this are dropped, the oldest first, and counted.
PENDING_MAX: Final = 20_000

FLUSHES_PER_SECOND: Final = 30

#: Texts of prefixes that a filter remembers its answer to.
PREFIXES_MAX: Final = 4_096

#: Cells that left and right move the text by.
SHIFT_CELLS: Final = 8


class VirtualLog(LineView):
    """A log of the last ``lines_max`` lines."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "line_up", "Up", show=False),
        Binding("down,j", "line_down", "Down", show=False),
        Binding("pageup", "go_page_up", "Page up", show=False),
        Binding("pagedown", "go_page_down", "Page down", show=False),
        Binding("home,g", "go_home", "First", show=False),
        Binding("end,G", "follow", "Follow", show=False),
        Binding("left", "shift(-1)", "Left", show=False),
        Binding("right", "shift(1)", "Right", show=False),
    ]

    class FollowChanged(Message):
        """The log began to follow its end, or to hold still."""

        def __init__(self, log: "VirtualLog", *, following: bool) -> None:
            super().__init__()
            self.log_view = log
            self.following = following

        @property
        def control(self) -> "VirtualLog":
            """The log."""
            return self.log_view

    # Class attributes, because Textual may ask for a line before __init__ is done.
    _ring: LogRing | None = None
    _painter: LinePainter | None = None
    _heights: HeightIndex | None = None
    _flush_timer: Timer | None = None
    _following: bool = True

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        lines_max: int = LINES_MAX,
        wrap: bool = False,
        id: str | None = None,  # noqa: A002 - Textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._ring = LogRing(lines_max)
        self._painter = LinePainter(self.style_of, wraps=wrap)
        self._pending: list[LogLine] = []
        self._rate = Rate(clock or SystemClock())
        self._dropped = 0
        self._new = 0

    # For the owner.

    def append(self, lines: Iterable[LogLine]) -> None:
        """Add *lines*, whose text has passed the sanitiser; they show at the next flush."""
        self._pending.extend(lines)
        excess = len(self._pending) - PENDING_MAX
        if excess > 0:
            del self._pending[:excess]
            self._dropped += excess
        if self._flush_timer is not None and self._pending:
            self._flush_timer.resume()

    def clear(self) -> None:
        """Forget every line, and what was counted."""
        self._lines.clear()
        self._pending.clear()
        self._dropped = 0
        self._paint.prefix_widths.clear()
        self._reflow()

    def set_filter(self, line_filter: LineFilter | str | None) -> None:
        """Show only lines that pass: a function's choice, or those that hold a text.

        A text is looked for in the whole line, letter case aside, and made to stand out.
        """
        if isinstance(line_filter, str):
            self.highlight = line_filter
            self._lines.set_filter(_holding(line_filter.casefold()) if line_filter else None)
        else:
            self._lines.set_filter(line_filter)
        self._new = 0
        self._reflow()

    @property
    def highlight(self) -> str | None:
        """The text that is made to stand out, letter case aside."""
        return self._paint.highlight or None

    @highlight.setter
    def highlight(self, text: str | None) -> None:
        self._paint.highlight = (text or "").casefold()
        self.refresh()

    @property
    def wraps(self) -> bool:
        """Whether a long line goes on under itself, rather than off to the right."""
        return self._paint.wraps

    @wraps.setter
    def wraps(self, wraps: bool) -> None:
        if wraps != self._paint.wraps:
            self._paint.wraps = wraps
            self._paint.shift = 0
            self._reflow()

    @property
    def following(self) -> bool:
        """Whether the end stays in sight as lines come."""
        return self._following

    @property
    def line_count(self) -> int:
        """Lines kept, in view or not."""
        return len(self._lines)

    @property
    def view_count(self) -> int:
        """Lines that pass the filter."""
        return self._lines.view_count

    @property
    def new_count(self) -> int:
        """Lines that came into view below while the log held still."""
        return self._new

    @property
    def dropped_count(self) -> int:
        """Lines that came faster than they could be taken."""
        return self._dropped

    @property
    def rate(self) -> Rate:
        """Lines a second, and their history for a sparkline."""
        return self._rate

    def flush(self) -> None:
        """Show what has been gathered; the timer does it, tests may."""
        pending, self._pending = self._pending, []
        if not pending:
            if self._flush_timer is not None:
                self._flush_timer.pause()
            return
        self._rate.add(len(pending))
        wider = self._paint.measure(pending)
        joined, left = self._lines.append(pending)
        if wider and self._heights is not None:
            self._reflow()
            return
        left_rows = self._shift_heights(joined, left)
        self._resize_rows()
        if self._following:
            self._to_end()
            self.refresh()
        else:
            self._hold_still(joined, left_rows, wider=wider)

    def _shift_heights(self, joined: int, left: int) -> int:
        """Follow the ring in the index of heights; return how many rows left at the beginning."""
        if self._heights is None:
            return left
        ring, paint = self._lines, self._paint
        in_view = ring.view_count
        fresh = range(max(0, in_view - joined), in_view)
        self._heights.append(paint.height(ring.line_at(at), self._width) for at in fresh)
        # Of more lines than the ring holds, some came and went within one flush.
        return self._heights.drop(left - (joined - len(fresh)))

    def _hold_still(self, joined: int, left_rows: int, *, wider: bool) -> None:
        self._new += joined
        if left_rows or wider:
            # The lines in sight have moved up in the ring: go with them.
            self._scroll_to_row(self._top - left_rows)
            self.refresh()
        else:
            self.refresh(Region(0, self._height - 1, self._width, 1))

    # Places.

    @property
    def _lines(self) -> LogRing:
        assert self._ring is not None
        return self._ring

    @property
    def _paint(self) -> LinePainter:
        assert self._painter is not None
        return self._painter

    @property
    def _top(self) -> int:
        return int(self.scroll_offset.y)

    @property
    def _row_count(self) -> int:
        if self._ring is None:
            return 0
        return self._ring.view_count if self._heights is None else self._heights.row_count

    def _resize_rows(self) -> None:
        self._set_row_total(self._row_count)

    def _to_end(self) -> None:
        self._scroll_to_row(self._row_count)

    def _reflow(self) -> None:
        """Count the rows anew: the width, the filter or the wrapping has changed."""
        ring, paint = self._lines, self._paint
        self._heights = None
        if paint.wraps:
            lines = map(ring.line_at, range(ring.view_count))
            self._heights = HeightIndex(paint.height(line, self._width) for line in lines)
        self._resize_rows()
        if self._following:
            self._to_end()
        self.refresh()

    def on_mount(self) -> None:
        """Start the flush timer, asleep if nothing has come yet."""
        self._flush_timer = self.set_interval(
            1 / FLUSHES_PER_SECOND, self.flush, pause=not self._pending
        )

    def on_resize(self) -> None:
        """Count the rows anew for the new width."""
        self._measure()
        self._reflow()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Hold still when scrolled up, follow when scrolled to the end."""
        super().watch_scroll_y(old_value, new_value)
        self._set_following(following=round(new_value) >= self.max_scroll_y)

    def _set_following(self, *, following: bool) -> None:
        if following:
            self._new = 0
        if following != self._following:
            self._following = following
            self.refresh()
            self.post_message(self.FollowChanged(self, following=following))

    # Actions.

    def _scroll_by(self, rows: int) -> None:
        self._scroll_to_row(self._top + rows)

    def action_line_up(self) -> None:
        """Scroll a row up."""
        self._scroll_by(-1)

    def action_line_down(self) -> None:
        """Scroll a row down."""
        self._scroll_by(1)

    def action_go_page_up(self) -> None:
        """Scroll a screenful up."""
        self._scroll_by(1 - self._height)

    def action_go_page_down(self) -> None:
        """Scroll a screenful down."""
        self._scroll_by(self._height - 1)

    def action_go_home(self) -> None:
        """Scroll to the oldest line."""
        self._scroll_by(-self._row_count)

    def action_follow(self) -> None:
        """Scroll to the newest line and stay there."""
        self._to_end()
        self._set_following(following=True)

    def action_hold(self) -> None:
        """Hold still, though the end is in sight."""
        self._set_following(following=False)

    def action_shift(self, steps: int) -> None:
        """Move the text sideways; the prefix stays."""
        if not self.wraps:
            self._paint.shift = max(0, self._paint.shift + steps * SHIFT_CELLS)
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Follow again, by a click on the badge."""
        offset = event.get_content_offset(self)
        badge = self._badge()
        if offset is None or not badge or offset.y != self._height - 1:
            return
        if offset.x >= self._width - len(badge):
            self.action_follow()

    # Painting.

    def render_line(self, y: int) -> Strip:
        """Paint row *y* of what is in sight."""
        if not self._row_count:
            return self._state_line(y, self._height)
        row = self._top + y
        strip = self._blank_line() if row >= self._row_count else self._row_strip(row)
        if y == self._height - 1 and (badge := self._badge()):
            width = max(0, self._width - len(badge))
            strip = Strip.join([strip.crop(0, width), self._badge_strip(badge)])
        return strip

    def _row_strip(self, row: int) -> Strip:
        line, part = (row, 0) if self._heights is None else self._heights.locate(row)
        strip = self._paint.strip(self._lines.line_at(line), part, self._width)
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(row)) is not None:
            strip = self._select(strip, *span)
        # Offsets say where a selection begins; Textual asks for them when the mouse is pressed.
        return strip.apply_offsets(0, row) if self.mouse_hover else strip

    def _select(self, strip: Strip, start: int, end: int) -> Strip:
        end = strip.cell_length if end == -1 else end
        style = self.screen.get_component_rich_style("screen--selection")
        middle = strip.crop(start, end).apply_style(style)
        return Strip.join([strip.crop(0, start), middle, strip.crop(end)])

    def _badge(self) -> str:
        return "" if self._following or not self._new else f" ▼ {count(self._new)} new "

    def _badge_strip(self, badge: str) -> Strip:
        return Strip.blank(0) if not badge else self._paint.badge(badge)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the text selected, as it stands on the screen."""
        first = 0 if selection.start is None else selection.start.y
        last = self._row_count - 1 if selection.end is None else selection.end.y
        rows = islice(range(self._row_count), first, last + 1)
        text = "\n".join(self._row_strip(row).text.rstrip() for row in rows)
        start = None if selection.start is None else selection.start - (0, first)
        end = None if selection.end is None else selection.end - (0, first)
        return Selection(start, end).extract(text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:  # noqa: ARG002 - Textual's
        """Repaint what is selected."""
        self.refresh()


def _holding(folded: str) -> LineFilter:
    # Times, machines and units repeat from line to line.
    @lru_cache(maxsize=PREFIXES_MAX)
    def prefix_holds(text: str) -> bool:
        return folded in text.casefold()

    def passes(line: LogLine) -> bool:
        if folded in line.text.casefold():
            return True
        for cell in line.prefix:  # noqa: SIM110 - a generator for each of 100 000 lines is slow
            if prefix_holds(cell.text):
                return True
        return False

    return passes
