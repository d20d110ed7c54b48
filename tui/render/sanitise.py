"""The one sanitiser: what a host or a key says becomes text that only looks like itself.

A unit's log line, a key, a value, a machine's name may hold anything: escape sequences that
retitle the terminal or move its cursor, marks that turn text around, characters with no width
that make two names look alike. After ``sanitise`` a text is printable, on one line, and as wide as
it seems. Nothing is dropped unseen, but for variation selectors, which only choose an emoji's look.

- an escape sequence (CSI, OSC, DCS, …): one ``␛`` for the whole, its text not shown;
  a string sequence that never ends hides nothing: ``␛``, then what follows
- control characters: their pictures, ``␀`` to ``␡``; a tab: spaces to the next stop
- C1 controls, bidirectional controls, zero-width characters, lone surrogates, invalid UTF-8,
  private and unassigned code points: ``�``
- a combining mark with nothing to combine with: on ``◌``; a pile of them: four, then ``�``
- more cells than ``width_max``: cut, with ``…``
"""

import re
from typing import Final

from c101.tui.render.width import character_width, head, text_width

#: The most cells a sanitised text takes unless its caller says otherwise: a line longer than this
#: is not read on a terminal.
WIDTH_MAX: Final = 4_096

#: A letter with more combining marks than this is an attack on the lines above and below it.
MARKS_MAX: Final = 4

TAB_CELLS: Final = 8

REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"
ELLIPSIS: Final = "…"

#: How many code points are looked at for one cell of the answer: bounds the work on a text of
#: a hundred megabytes of escape sequences.
_INPUT_PER_CELL: Final = 16

_ESCAPE = re.compile(
    r"""
    (?: \x1b\[ | \x9b ) [0-?]{0,64} [ -/]{0,8} [@-~]                       # CSI
  | (?: \x1b[\]PX^_] | [\x9d\x90\x98\x9e\x9f] ) [^\x07\x1b\x9c]{0,2048}    # OSC, DCS, SOS, PM, APC
    (?: \x07 | \x1b\\ | \x9c )
  | \x1b [ -/]{1,8} [0-~]                                                  # character sets
  | \x1b [0-~]                                                             # two bytes
  | \x1b
    """,
    re.VERBOSE,
)
_ESCAPE_MARK = "\N{SYMBOL FOR ESCAPE}"


def _controls() -> dict[int, str]:
    table = {code: chr(0x2400 + code) for code in range(0x20)}
    table[0x7F] = "\N{SYMBOL FOR DELETE}"
    table |= dict.fromkeys(range(0x80, 0xA0), REPLACEMENT)
    table |= dict.fromkeys((*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)), "")
    # Printable by Unicode's word, and yet nothing to be seen: fillers and joiners.
    table |= dict.fromkeys((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0), REPLACEMENT)
    table |= dict.fromkeys((0x180B, 0x180C, 0x180D, 0x180F), REPLACEMENT)
    table |= dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F), " ")
    table[0x3000] = "  "
    del table[0x09]  # tabs have stops
    return table


_CONTROLS: Final = _controls()


def sanitise(text: str | bytes, *, width_max: int = WIDTH_MAX) -> str:
    r"""Return *text* as one printable line of at most *width_max* cells.

    >>> sanitise(b"ok\x1b[2J\x07")
    'ok␛␇'
    """
    head_only = text[: (width_max + 1) * _INPUT_PER_CELL]
    more = len(head_only) < len(text)
    line = head_only.decode("utf-8", "replace") if isinstance(head_only, bytes) else head_only
    if not (line.isascii() and line.isprintable()):
        line = _printable(line)
    if not more and text_width(line) <= width_max:
        return line
    return head(line, width_max - 1) + ELLIPSIS if width_max > 0 else ""


def _printable(text: str) -> str:
    text = _ESCAPE.sub(_ESCAPE_MARK, text)
    text = text.translate(_CONTROLS)
    if "\t" in text:
        text = _expand_tabs(text)
    if not text.isprintable():
        text = "".join(c if c.isprintable() else REPLACEMENT for c in text)
    return text if text.isascii() else _seat_marks(text)


def _expand_tabs(text: str) -> str:
    first, *rest = text.split("\t")
    pieces = [first]
    column = text_width(first)
    for piece in rest:
        spaces = TAB_CELLS - column % TAB_CELLS
        pieces += (" " * spaces, piece)
        column += spaces + text_width(piece)
    return "".join(pieces)


def _seat_marks(text: str) -> str:
    """Give every mark a letter to sit on, and no letter more than it can carry."""
    if all(map(character_width, text)):
        return text
    seated: list[str] = []
    marks = 0
    for character in text:
        if character_width(character):
            marks = 0
        elif not seated:
            seated.append("\N{DOTTED CIRCLE}")
        else:
            marks += 1
        if marks <= MARKS_MAX:
            seated.append(character)
        elif marks == MARKS_MAX + 1:
            seated.append(REPLACEMENT)
    return "".join(seated)
