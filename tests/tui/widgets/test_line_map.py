"""Rows and the lines they are on."""

from hypothesis import given
from hypothesis import strategies as st

from c101.tui.widgets.line_map import LineMap


def test_the_example_of_the_class() -> None:
    lines = LineMap(4, [(1, 2)])
    assert [lines.locate(line) for line in range(6)] == [
        (0, 0), (1, 0), (1, 1), (1, 2), (2, 0), (3, 0),
    ]  # fmt: skip


@given(st.lists(st.integers(0, 3), max_size=30))
def test_every_line_is_a_row_or_part_of_its_note(notes: list[int]) -> None:
    lines = LineMap(len(notes), ((row, count) for row, count in enumerate(notes) if count))
    expected = [(row, part) for row, count in enumerate(notes) for part in range(count + 1)]
    assert lines.line_count == len(expected)
    assert [lines.locate(line) for line in range(len(expected))] == expected
    assert [lines.line_of(row) for row in range(len(notes))] == [
        expected.index((row, 0)) for row in range(len(notes))
    ]
    assert [lines.note_lines(row) for row in range(len(notes))] == notes
