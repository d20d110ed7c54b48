"""The ring and its view against a plain list."""

from hypothesis import given
from hypothesis import strategies as st

from c101.tui.render.cells import Cell, LogLine
from c101.tui.widgets import log_ring
from c101.tui.widgets.log_ring import HeightIndex, LogRing


def line(text: str) -> LogLine:
    return LogLine((Cell("18:42"),), text)


def texts(ring: LogRing) -> list[str]:
    return [ring.line_at(position).text for position in range(ring.view_count)]


def is_even(entry: LogLine) -> bool:
    return int(entry.text) % 2 == 0


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["append", "filter", "unfilter", "clear"]), st.integers(0, 25)),
    max_size=40,
)


@given(STEPS, st.integers(1, 12))
def test_a_ring_is_the_end_of_a_list(steps: list[Step], lines_max: int) -> None:
    ring, plain, filtered, number = LogRing(lines_max), list[str](), False, 0
    for step, count in steps:
        if step == "append":
            batch = [str(number + i) for i in range(count)]
            number += count
            before = ring.view_count
            joined, left = ring.append([line(text) for text in batch])
            plain = (plain + batch)[-lines_max:]
            assert joined == sum(not filtered or is_even(line(text)) for text in batch)
            assert ring.view_count == before + joined - left
        elif step == "clear":
            ring.clear()
            plain = []
        else:
            filtered = step == "filter"
            ring.set_filter(is_even if filtered else None)
        assert texts(ring) == [text for text in plain if not filtered or is_even(line(text))]
        assert len(ring) == len(plain)


@given(st.lists(st.tuples(st.lists(st.integers(1, 4), max_size=6), st.integers(0, 8)), max_size=30))
def test_rows_are_found_as_by_counting(steps: list[tuple[list[int], int]]) -> None:
    index, plain = HeightIndex(), list[int]()
    for heights, wanted in steps:
        index.append(heights)
        plain += heights
        dropped = min(wanted, len(plain))
        assert index.drop(dropped) == sum(plain[:dropped])
        plain = plain[dropped:]
        rows = [(at, part) for at, height in enumerate(plain) for part in range(height)]
        assert index.row_count == len(rows)
        assert [index.locate(row) for row in range(len(rows))] == rows


def test_what_is_forgotten_leaves_the_lists() -> None:
    ring, index = LogRing(10), HeightIndex()
    ring.set_filter(is_even)
    for number in range(20_000):
        joined, left = ring.append([line(str(number))])
        index.append([1] * joined)
        index.drop(left)
    assert texts(ring) == ["19990", "19992", "19994", "19996", "19998"]
    assert len(ring._passing) <= log_ring._SLACK_MAX + 10
    assert len(index._ends) <= log_ring._SLACK_MAX + 10
