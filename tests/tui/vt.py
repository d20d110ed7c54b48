"""A terminal's screen, as far as our programs use one: text, cursor moves, erasing, modes.

Colours are ignored, scrolling regions are not known. What cannot be understood is skipped.
"""

import codecs
import re

from rich.cells import get_character_cell_size

_CSI = re.compile(r"\x1b\[([<=>?]?)([0-9;:]*)([ -/]*)([@-~])")
_STRING = re.compile(r"\x1b[\]PX^_].*?(?:\x07|\x1b\\)", re.DOTALL)
_SHORT = re.compile(r"\x1b[ -/]*[^]\x1b\[PX^_ -/]")

#: The longest sequence that may still be incomplete at the end of what was read.
_PENDING_MAX = 4_096

#: Private modes a full-screen program turns on, and must turn off when it leaves.
ALTERNATE_SCREEN = 1049
CURSOR_SHOWN = 25
MOUSE_AND_PASTE = frozenset({1000, 1002, 1003, 1004, 1006, 1015, 2004, 2048})


class Screen:
    """What a person would see, and the private modes that are on."""

    def __init__(self, columns: int, rows: int) -> None:
        self.modes = {CURSOR_SHOWN}
        self.title = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending = ""
        self.resize(columns, rows)

    def resize(self, columns: int, rows: int) -> None:
        """Take another size, empty."""
        self.columns, self.rows = columns, rows
        self.x = self.y = 0
        self._cells = [[" "] * columns for _ in range(rows)]

    @property
    def lines(self) -> list[str]:
        """The text, line by line, without the blanks at their ends."""
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines)

    def feed(self, data: bytes) -> None:
        """Take in what the program wrote."""
        text = self._pending + self._decoder.decode(data)
        self._pending = ""
        at = 0
        while at < len(text):
            if text[at] != "\x1b":
                self._character(text[at])
                at += 1
                continue
            match = _CSI.match(text, at) or _STRING.match(text, at) or _SHORT.match(text, at)
            if match is None:
                if len(text) - at < _PENDING_MAX:
                    self._pending = text[at:]
                    return
                at += 1
                continue
            if match.re is _CSI:
                self._control(match)
            at = match.end()

    def _character(self, character: str) -> None:
        if character == "\r":
            self.x = 0
        elif character == "\n":
            self.y = min(self.rows - 1, self.y + 1)
        elif character == "\b":
            self.x = max(0, self.x - 1)
        elif character.isprintable():
            self._put(character)

    def _put(self, character: str) -> None:
        width = get_character_cell_size(character)
        if width == 0 or self.y >= self.rows or self.x >= self.columns:
            return
        self._cells[self.y][self.x] = character
        if width == 2 and self.x + 1 < self.columns:
            self._cells[self.y][self.x + 1] = ""
        self.x += width

    def _control(self, match: re.Match[str]) -> None:
        private, numbers, _, final = match.groups()
        values = [int(n) if n.isdigit() else 0 for n in numbers.split(";")]
        if private == "?" and final in "hl":
            change = self.modes.update if final == "h" else self.modes.difference_update
            change(values)
        elif private:
            return
        elif final in "Hf":
            self.y = min(self.rows, max(1, values[0])) - 1
            self.x = min(self.columns, max(1, values[1] if len(values) > 1 else 1)) - 1
        elif final in "ABCDGd":
            self._move(final, max(1, values[0]))
        elif final == "J":
            self._erase_screen(values[0])
        elif final == "K":
            self._erase_line(values[0])

    def _move(self, final: str, count: int) -> None:
        moves = {
            "A": (self.x, self.y - count),
            "B": (self.x, self.y + count),
            "C": (self.x + count, self.y),
            "D": (self.x - count, self.y),
            "G": (count - 1, self.y),
            "d": (self.x, count - 1),
        }
        x, y = moves[final]
        self.x, self.y = min(max(x, 0), self.columns - 1), min(max(y, 0), self.rows - 1)

    def _erase_screen(self, what: int) -> None:
        first, last = {0: (self.y + 1, self.rows), 1: (0, self.y)}.get(what, (0, self.rows))
        for y in range(first, last):
            self._cells[y] = [" "] * self.columns
        if what in {0, 1}:
            self._erase_line(what)

    def _erase_line(self, what: int) -> None:
        first, last = {0: (self.x, self.columns), 1: (0, self.x + 1)}.get(what, (0, self.columns))
        self._cells[self.y][first:last] = [" "] * (last - first)
