"""Reasons are wrapped, not cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.tui.render.width import text_width
from c101.tui.render.wrap import wrap


@pytest.mark.parametrize(
    ("text", "width", "lines_max", "lines"),
    [
        ("", 5, 3, [""]),
        ("fits", 5, 3, ["fits"]),
        ("one two three", 7, 3, ["one two", "three"]),
        ("one two three", 8, 3, ["one two", "three"]),
        ("unbreakable", 4, 3, ["unbr", "eaka", "ble"]),
        ("one two three four", 5, 2, ["one", "two …"]),
        ("日本語日本", 4, 3, ["日本", "語日", "本"]),
        ("a  b", 2, 9, ["a", "b"]),
    ],
)
def test_lines_break_at_spaces_where_there_are_any(
    text: str, width: int, lines_max: int, lines: list[str]
) -> None:
    assert wrap(text, width, lines_max) == lines


@given(st.text(alphabet="ab 日", max_size=60), st.integers(2, 12))
def test_no_word_is_lost_and_no_line_too_wide(text: str, width: int) -> None:
    lines = wrap(text, width, 100)
    assert all(text_width(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())
