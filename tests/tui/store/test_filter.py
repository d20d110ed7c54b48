"""The one grammar of filters."""

import pytest

from c101.tui.store.filter import FilterError, parse

FIELDS = {"machine": "m2", "unit": "web@1.service", "is": "failed"}
TEXT = "web@1.service m2 GET /index 500 in 12 ms"


@pytest.mark.parametrize(
    ("typed", "passes"),
    [
        # Nothing typed hides nothing.
        ("", True),
        # Words in any case, all of them.
        ("web", True),
        ("WEB get", True),
        ("web nothing", False),
        # Turned around.
        ("!staging", True),
        ("!web", False),
        # A field begins with; a field nobody has is text.
        ("machine:m2", True),
        ("machine:m", True),
        ("machine:m3", False),
        ("!machine:m3", True),
        ("index:x", False),
        # Regular expressions may hold spaces.
        ("/GET .* 500/", True),
        ("/^GET/", False),
        ("!/ 2\\d\\d /", True),
        # Letters in order.
        ("~wb1", True),
        ("~1bw", False),
    ],
)
def test_a_row_passes_a_filter_when_every_word_holds(typed: str, passes: bool) -> None:
    assert parse(typed).matches(TEXT, FIELDS) is passes


def test_a_malformed_expression_is_refused_with_its_reason() -> None:
    with pytest.raises(FilterError, match=r"/\(/"):
        parse("/(/")


def test_the_first_plain_word_is_what_stands_out() -> None:
    assert parse("!a machine:b ~c web /d/").highlight == "web"
    assert parse("!a").highlight == ""


def test_only_the_beginning_of_a_long_text_is_searched() -> None:
    assert not parse("needle").matches("x" * 5_000 + "needle", {})
