"""Numbers as a person reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.tui.render import humanise
from c101.tui.render.width import text_width


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, humanise.UNKNOWN),
        (-3, "0s"),
        (0.9, "0s"),
        (12, "12s"),
        (119, "119s"),
        (240, "4m"),
        (7_199, "119m"),
        (3 * 3600, "3h"),
        (2 * 86_400, "2d"),
        (400 * 86_400, "400d"),
    ],
)
def test_an_age_has_one_unit(seconds: float | None, shown: str) -> None:
    assert humanise.age(seconds) == shown


@pytest.mark.parametrize(
    ("count_bytes", "shown"),
    [
        (None, humanise.UNKNOWN),
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.0K"),
        (10_188, "9.9K"),
        (10_189, "10K"),
        (1024 * 1023, "1023K"),
        (1024 * 1024 - 1, "1.0M"),
        (14_889_779, "14M"),
        (3 * 2**30, "3.0G"),
        (2**80, "1048576E"),
    ],
)
def test_a_size_has_at_most_three_figures_and_a_unit(count_bytes: float | None, shown: str) -> None:
    assert humanise.size(count_bytes) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(None, humanise.UNKNOWN), (0, "0"), (999, "999"), (1_482, "1 482"), (10**6, "1 000 000")],
)
def test_a_count_has_its_thousands_apart(number: int | None, shown: str) -> None:
    assert humanise.count(number) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"),
    [(None, humanise.UNKNOWN), (0, "0%"), (0.001, "<1%"), (0.07, "7%"), (1, "100%")],
)
def test_a_share_is_whole_per_cent(fraction: float | None, shown: str) -> None:
    assert humanise.percent(fraction) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, humanise.UNKNOWN), (0.0004, "0ms"), (0.004, "4ms"), (1.24, "1.2s")],
)
def test_a_short_delay_is_in_milliseconds(seconds: float | None, shown: str) -> None:
    assert humanise.milliseconds(seconds) == shown


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("web-frontend@12.service", 23, "web-frontend@12.service"),
        ("web-frontend@12.service", 14, "web-fro…ervice"),
        ("web-frontend@12.service", 1, "…"),
        ("web-frontend@12.service", 0, ""),
        ("日本語日本語", 7, "日…語"),
    ],
)
def test_a_name_is_cut_in_the_middle(text: str, width: int, shown: str) -> None:
    assert humanise.cut_middle(text, width) == shown


@given(st.text(alphabet="ab日é", max_size=30), st.integers(0, 20))
def test_a_cut_name_is_never_too_wide(text: str, width: int) -> None:
    assert text_width(humanise.cut_middle(text, width)) <= max(width, 0)
    assert text_width(humanise.cut_end(text, width)) <= max(width, 0)


@pytest.mark.parametrize(
    ("values", "width", "shown"),
    [
        ([], 3, "   "),
        ([0, 0], 3, " ▁▁"),
        ([1, 8, 4], 3, "▂█▅"),
        ([9, 0.001, 8], 2, "▂█"),
        ([5], 0, ""),
    ],
)
def test_a_sparkline_shows_the_last_values(values: list[float], width: int, shown: str) -> None:
    assert humanise.spark(values, width) == shown


def test_a_sparkline_can_be_a_share_of_a_given_top() -> None:
    assert humanise.spark([0.07, 1, 2], 3, top=1) == "▂██"
