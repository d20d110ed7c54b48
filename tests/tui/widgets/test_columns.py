"""How columns share a width."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from c101.tui.widgets.columns import GAP, Column, layout

COLUMNS = st.builds(
    Column,
    st.sampled_from(["a", "b", "c"]),
    st.just("TITLE"),
    width=st.none() | st.integers(1, 12),
    min_width=st.integers(1, 10),
    priority=st.integers(0, 3),
    max_width=st.none() | st.integers(5, 20),
)


def test_a_flexible_column_takes_what_the_others_leave() -> None:
    placed = layout([Column("g", "", 1), Column("u", "UNIT"), Column("s", "SINCE", 5)], 30)
    assert [(p.x, p.width) for p in placed] == [(0, 1), (2, 22), (25, 5)]


def test_flexible_columns_share_evenly_up_to_their_maximum() -> None:
    placed = layout([Column("a", "A", max_width=6), Column("b", "B"), Column("c", "C")], 30)
    assert [p.width for p in placed] == [6, 11, 11]


def test_the_lowest_priority_goes_first_of_equals_the_rightmost() -> None:
    columns = [
        Column("a", "A", 10, priority=2),
        Column("b", "B", 10, priority=1),
        Column("c", "C", 10, priority=1),
        Column("d", "D", 10, priority=3),
    ]
    kept = {width: [p.column.key for p in layout(columns, width)] for width in (43, 42, 31, 20, 3)}
    assert kept == {
        43: ["a", "b", "c", "d"],
        42: ["a", "b", "d"],
        31: ["a", "d"],
        20: ["d"],
        3: ["d"],
    }


@given(st.lists(COLUMNS, min_size=1, max_size=6), st.integers(1, 60))
def test_columns_never_overlap_nor_leave_the_room(columns: list[Column], width: int) -> None:
    placed = layout(columns, width)
    assert placed
    assert placed[0].x == 0
    for left, right in pairwise(placed):
        assert right.x == left.x + left.width + GAP
        assert right.index > left.index
    assert placed[-1].x + placed[-1].width <= width
