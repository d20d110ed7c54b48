"""The last lines of a log: a ring that forgets the oldest, and a view of those that match.

A line's *number* counts from 0 for ever, so it goes on meaning the same line while older ones
are forgotten. The view is the numbers of the lines that pass the filter, in order; without a
filter it is all of them and costs nothing.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from c101.tui.render.cells import LogLine

#: Lines kept; the oldest are forgotten first. 100 000 lines of a journal are about 50 MiB.
LINES_MAX: Final = 100_000

#: Dead places at the head of a list before it is cut anew.
_SLACK_MAX: Final = 4_096


LineFilter = Callable[[LogLine], bool]


class LogRing:
    """At most ``lines_max`` lines, and the view of them."""

    def __init__(self, lines_max: int = LINES_MAX) -> None:
        assert lines_max > 0
        self.lines_max = lines_max
        self._slots: list[LogLine] = []
        self._first = 0  # number of the oldest line kept
        self._next = 0  # number of the next line
        self._origin = 0  # number of the line in slot 0 of an empty ring
        self._filter: LineFilter | None = None
        self._passing: list[int] = []  # numbers, with _dead forgotten ones at the head
        self._dead = 0

    def __len__(self) -> int:
        """Return how many lines are kept."""
        return self._next - self._first

    @property
    def view_count(self) -> int:
        """How many lines are in view."""
        return len(self) if self._filter is None else len(self._passing) - self._dead

    def line_at(self, position: int) -> LogLine:
        """Return the line at *position* of the view, from 0."""
        if self._filter is None:
            return self._line(self._first + position)
        return self._line(self._passing[self._dead + position])

    def append(self, lines: Sequence[LogLine]) -> tuple[int, int]:
        """Add *lines*; return how many joined the view's end, how many left its beginning."""
        before, passed_before = self.view_count, len(self._passing)
        for line in lines:
            self._put(line)
        self._first = max(self._first, self._next - self.lines_max)
        joined = len(lines) if self._filter is None else len(self._passing) - passed_before
        self._trim()
        return joined, before + joined - self.view_count

    def _put(self, line: LogLine) -> None:
        if len(self._slots) < self.lines_max:
            self._slots.append(line)
        else:
            self._slots[(self._next - self._origin) % self.lines_max] = line
        if self._filter is not None and self._filter(line):
            self._passing.append(self._next)
        self._next += 1

    def _trim(self) -> None:
        """Leave forgotten lines out of the view."""
        self._dead = bisect_left(self._passing, self._first, self._dead)
        if self._dead > _SLACK_MAX:
            del self._passing[: self._dead]
            self._dead = 0

    def _line(self, number: int) -> LogLine:
        return self._slots[(number - self._origin) % self.lines_max]

    def set_filter(self, line_filter: LineFilter | None) -> None:
        """Let only lines that pass into view, of those kept and of those to come."""
        self._filter = line_filter
        self._dead = 0
        self._passing = []
        if line_filter is not None:
            lines = enumerate(self._in_order(), self._first)
            self._passing = [number for number, line in lines if line_filter(line)]

    def _in_order(self) -> list[LogLine]:
        """Return the lines kept, oldest first: one copy of references, no arithmetic for each."""
        oldest = (self._first - self._origin) % self.lines_max
        return (self._slots[oldest:] + self._slots[:oldest])[: len(self)]

    def clear(self) -> None:
        """Forget every line."""
        self._slots = []
        self._passing = []
        self._dead = 0
        self._first = self._origin = self._next


class HeightIndex:
    """How many rows each line of a view takes, summed up: rows to lines in O(log lines).

    Lines join at the end and leave at the beginning, as in ``LogRing``.
    """

    def __init__(self, heights: Iterable[int] = ()) -> None:
        self._ends: list[int] = []  # rows up to and with each line, counted from the first ever
        self._dead = 0
        self._base = 0  # rows of the dead
        self._total = 0
        self.append(heights)

    @property
    def row_count(self) -> int:
        """All rows."""
        return self._total - self._base

    def append(self, heights: Iterable[int]) -> None:
        """Add lines of these heights."""
        for height in heights:
            self._total += height
            self._ends.append(self._total)

    def drop(self, lines: int) -> int:
        """Forget the first *lines*; return how many rows they had."""
        if lines <= 0:
            return 0
        before = self._base
        self._dead += lines
        self._base = self._ends[self._dead - 1]
        if self._dead > _SLACK_MAX:
            del self._ends[: self._dead]
            self._dead = 0
        return self._base - before

    def locate(self, row: int) -> tuple[int, int]:
        """Return the line that *row* belongs to, and which of its rows it is."""
        at = bisect_right(self._ends, self._base + row, self._dead)
        start = self._base if at == self._dead else self._ends[at - 1]
        return at - self._dead, self._base + row - start
