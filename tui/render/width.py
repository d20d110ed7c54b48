"""How many terminal cells a text takes.

The same answer as the terminal library's tables for every printable character (a test compares
them all), without importing it: what is here must stay pure.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache

#: Where Unicode's East Asian width and its categories do not say what terminals do:
#: first and last code point, cells.
_EXCEPTIONS: tuple[tuple[int, int, int], ...] = (
    (0x1160, 0x11FF, 0),  # Hangul vowels and finals join the syllable before them
    (0x2630, 0x2637, 2),  # trigrams
    (0x268A, 0x268F, 2),  # monograms, digrams
    (0x302E, 0x302F, 0),  # Hangul tone marks
    (0x3164, 0x3164, 0),  # Hangul filler
    (0x4DC0, 0x4DFF, 2),  # hexagrams
    (0xD7B0, 0xD7FF, 0),  # more Hangul vowels and finals
    (0xFFA0, 0xFFA0, 0),  # half-width Hangul filler
    (0x16FF0, 0x16FF1, 0),  # Vietnamese reading marks
    (0x1D300, 0x1D376, 2),  # Tai Xuan Jing symbols, counting rods
    (0x1F3FB, 0x1F3FF, 0),  # skin tones join the emoji before them
)
_STARTS = [first for first, _, _ in _EXCEPTIONS]


@lru_cache(maxsize=4_096)
def character_width(character: str) -> int:
    """Return the cells, 0 to 2, of one printable character."""
    code = ord(character)
    at = bisect_right(_STARTS, code) - 1
    if at >= 0 and code <= _EXCEPTIONS[at][1]:
        return _EXCEPTIONS[at][2]
    if unicodedata.category(character) in {"Mn", "Me", "Mc"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1


def text_width(text: str) -> int:
    """Return the cells of *text*, which holds printable characters only."""
    if text.isascii():
        return len(text)
    return sum(map(character_width, text))


def head(text: str, width: int) -> str:
    """Return as much of the start of *text* as fits in *width* cells."""
    if text.isascii():
        return text[: max(0, width)]
    return "".join(_fitting(text, width))


def tail(text: str, width: int) -> str:
    """Return as much of the end of *text* as fits in *width* cells, beginning with no mark."""
    if text.isascii():
        return text[len(text) - width :] if 0 < width < len(text) else text[:width]
    kept = list(_fitting(text[::-1], width))
    while kept and not character_width(kept[-1]):
        kept.pop()
    return "".join(reversed(kept))


def _fitting(text: str, width: int) -> Iterator[str]:
    for character in text:
        width -= character_width(character)
        if width < 0:
            return
        yield character
