"""How a line of a log looks: its prefix in columns, its text cut, shifted or wrapped."""

from collections.abc import Callable, Sequence
from typing import Final

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from c101.tui.render.cells import LogLine
from c101.tui.render.humanise import cut_end
from c101.tui.render.width import head, text_width
from c101.tui.render.wrap import wrap
from c101.tui.widgets.line_view import printable
from c101.tui.widgets.paint import fit, matched

#: The widest that a column of the prefix grows.
PREFIX_WIDTH_MAX: Final = 20

#: The most rows of one wrapped line.
WRAP_ROWS_MAX: Final = 40

#: Cells left of a line.
MARGIN: Final = 1

#: A text keeps this much room, whatever the prefix wants.
TEXT_WIDTH_MIN: Final = 10


class LinePainter:
    """Paints log lines; ``prefix_widths`` grow with the lines it has measured."""

    def __init__(self, style_of: Callable[..., Style], *, wraps: bool) -> None:
        self._style_of = style_of
        self.wraps = wraps
        self.shift = 0
        self.highlight = ""
        self.prefix_widths: list[int] = []

    def measure(self, lines: Sequence[LogLine]) -> bool:
        """Widen the prefix's columns for *lines*; say whether any grew."""
        widths = self.prefix_widths
        before = sum(widths)
        for line in lines:
            for index, cell in enumerate(line.prefix):
                width = min(text_width(cell.text), PREFIX_WIDTH_MAX)
                if index == len(widths):
                    widths.append(width)
                elif width > widths[index]:
                    widths[index] = width
        return sum(widths) != before

    def _prefix_width(self, width: int) -> int:
        """Return the cells before the text: none of the prefix if there is no room for both."""
        wanted = MARGIN + sum(self.prefix_widths) + len(self.prefix_widths)
        return wanted if width - wanted >= TEXT_WIDTH_MIN else MARGIN

    def _rows(self, line: LogLine, room: int) -> list[str]:
        return wrap(printable(line.text), room, WRAP_ROWS_MAX)

    def height(self, line: LogLine, width: int) -> int:
        """Return how many rows *line* takes when it is wrapped in *width* cells."""
        room = max(1, width - self._prefix_width(width))
        if len(line.text) <= room and line.text.isascii():
            return 1
        return len(self._rows(line, room))

    def strip(self, line: LogLine, part: int, width: int) -> Strip:
        """Paint row *part* of *line*, exactly *width* cells wide."""
        prefix_width = self._prefix_width(width)
        room = max(0, width - prefix_width)
        plain = self._style_of()
        if part or prefix_width == MARGIN:
            segments = [Segment(" " * prefix_width, plain)]
        else:
            segments = self._prefix(line, plain)
        text = self._shown(line, part, room)
        segments += self._matched(text, self._style_of(line.style), line.style)
        air = room - text_width(text)
        if air > 0:
            segments.append(Segment(" " * air, plain))
        return Strip(segments, width)

    def _prefix(self, line: LogLine, plain: Style) -> list[Segment]:
        air = Segment(" ", plain)
        segments = [air]
        for index, width in enumerate(self.prefix_widths):
            if index < len(line.prefix):
                cell = line.prefix[index]
                text = fit(printable(cell.text), width, cell.align or "left", "middle")
                segments += self._matched(text, self._style_of(cell.style), cell.style)
            else:
                segments.append(Segment(" " * width, plain))
            segments.append(air)
        return segments

    def _shown(self, line: LogLine, part: int, room: int) -> str:
        if self.wraps:
            rows = self._rows(line, max(1, room))
            return rows[part] if part < len(rows) else ""
        text = printable(line.text)
        if self.shift:
            text = text[len(head(text, self.shift)) :]
        return cut_end(text, room)

    def _matched(self, text: str, style: Style, meaning: str) -> list[Segment]:
        if self.highlight and self.highlight in text.casefold():
            return list(matched(text, self.highlight, style, self._style_of(meaning, "match")))
        return [Segment(text, style)]

    def badge(self, text: str) -> Strip:
        """Paint the badge that counts what waits below."""
        return Strip([Segment(text, self._style_of("badge"))], text_width(text))
