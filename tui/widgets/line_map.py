"""Which line of the screen is which row, where some rows have notes under them."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable


class LineMap:
    """Rows to lines and back, in O(log notes).

    Every row has one line of its own, then those of its note. With rows 0 to 3 and a note of two
    lines under row 1::

        line   0  1  2  3  4  5
        row    0  1  1  1  2  3
        part   0  0  1  2  0  0
    """

    def __init__(self, row_count: int, notes: Iterable[tuple[int, int]] = ()) -> None:
        """Take (row, lines of its note) in order of rows."""
        self.row_count = row_count
        self._rows: list[int] = []  # rows with a note
        self._before: list[int] = [0]  # note lines before the note of the same place
        self._starts: list[int] = []  # line of the row with that note
        for row, lines in notes:
            self._rows.append(row)
            self._starts.append(row + self._before[-1])
            self._before.append(self._before[-1] + lines)

    @property
    def line_count(self) -> int:
        """All lines."""
        return self.row_count + self._before[-1]

    def line_of(self, row: int) -> int:
        """Return the line that *row* begins on."""
        return row + self._before[bisect_left(self._rows, row)]

    def note_lines(self, row: int) -> int:
        """Return how many lines the note under *row* has."""
        at = bisect_left(self._rows, row)
        if at == len(self._rows) or self._rows[at] != row:
            return 0
        return self._before[at + 1] - self._before[at]

    def locate(self, line: int) -> tuple[int, int]:
        """Return the row that *line* belongs to, and which part: 0 the row itself, 1… its note."""
        at = bisect_right(self._starts, line) - 1
        if at < 0:
            return line, 0
        part = line - self._starts[at]
        note_lines = self._before[at + 1] - self._before[at]
        if part <= note_lines:
            return self._rows[at], part
        return line - self._before[at + 1], 0
