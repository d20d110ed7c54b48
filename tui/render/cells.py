"""The cell: what render hands to a widget."""

from dataclasses import dataclass
from typing import Literal

#: What a cell means. A theme decides the colour; ``""`` is plain text.
#: good: as wanted. busy: on its way. warn: needs attention soon. bad: broken or lost.
#: dim: off on purpose. muted: said in passing. accent: focus and selection only. strong: a title.
Meaning = Literal["", "good", "busy", "warn", "bad", "dim", "muted", "accent", "strong"]

Align = Literal["left", "right"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A piece of text with a meaning.

    ``text`` is plain: it is never read as markup, and it has passed the sanitiser if it came from
    a host or a key. ``align`` overrides the column's.
    """

    text: str
    style: Meaning = ""
    align: Align | None = None


#: Nothing, in a cell.
BLANK = Cell("")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: cells that stand in columns (time, machine, unit), then free text.

    ``style`` is the text's meaning. ``key`` is the owner's: what it finds the record again by.
    """

    prefix: tuple[Cell, ...]
    text: str
    style: Meaning = ""
    key: str = ""
