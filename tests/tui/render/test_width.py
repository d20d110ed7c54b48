"""The widths we compute are those the terminal library will assume."""

import sys

import pytest
from rich.cells import cell_len, get_character_cell_size

from c101.tui.render.width import character_width, head, tail, text_width


def test_every_printable_character_is_as_wide_as_the_terminal_library_says() -> None:
    differing = [
        hex(code)
        for code in range(0x20, sys.maxunicode + 1)
        if chr(code).isprintable()
        and character_width(chr(code)) != get_character_cell_size(chr(code))
    ]
    assert differing == []


@pytest.mark.parametrize("text", ["", "plain", "日本語", "e\u0301clair", "héllo ▁▂▃ ● ✖"])
def test_a_text_is_as_wide_as_the_sum_of_its_characters(text: str) -> None:
    assert text_width(text) == cell_len(text)


@pytest.mark.parametrize(
    ("text", "width", "start", "end"),
    [
        ("plain", 3, "pla", "ain"),
        ("plain", 9, "plain", "plain"),
        ("plain", 0, "", ""),
        ("日本語", 3, "日", "語"),
        ("日本語", 4, "日本", "本語"),
        ("ae\u0301", 1, "a", "e\u0301"),
        ("e\u0301a", 1, "e\u0301", "a"),
    ],
)
def test_a_text_is_cut_between_characters_never_through_one(
    text: str, width: int, start: str, end: str
) -> None:
    assert head(text, width) == start
    assert tail(text, width) == end
