"""Nothing that a host or a key says reaches the terminal as anything but visible text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from c101.tui.render.sanitise import MARKS_MAX, WIDTH_MAX, sanitise
from c101.tui.render.width import text_width

#: Pieces of which attacks on terminals are made.
HOSTILE = [
    "\x1b", "\x1b[", "\x1b[2J", "\x1b[31;1m", "\x1b]0;title\x07", "\x1b]8;;http://x\x1b\\",
    "\x1bP1$r\x1b\\", "\x1b(0", "\x1bc", "\x9b31m", "\x9d0;x\x9c", "\x90q\x9c", "\x00", "\x07",
    "\x08", "\r", "\n", "\t", "\x0b", "\x7f", "\x85", "\u202e", "\u2066", "\u200b", "\u200d",
    "\ufeff", "\u00ad", "\u2028", "\ud800", "\udcff", "\ue000", "\U000e0041", "\ufe0f", "\u0301",
    "\u3164", "\u115f", "\u00a0", "\u3000", "日本", "👨‍👩‍👧", "❤️", "[bold red]x[/]", "ok", " ",
]  # fmt: skip


def assert_harmless(text: str) -> None:
    assert text.isprintable()
    for character in text:
        assert unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("plain text", "plain text"),
        (b"bytes too \xe6\x97\xa5", "bytes too 日"),
        (b"not utf-8: \xff\xfe", "not utf-8: ��"),
        ("clear\x1b[2Jscreen", "clear␛screen"),
        ("\x1b[1;31mred\x1b[0m", "␛red␛"),
        ("\x1b]0;owned\x07title", "␛title"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "␛link␛"),
        ("\x1b]never ends", "␛never ends"),
        ("\x9b2Jeight bit", "␛eight bit"),
        ("bell\x07 back\x08 null\x00 del\x7f", "bell␇ back␈ null␀ del␡"),
        ("two\nlines\r", "two␊lines␍"),
        ("a\tb\tc", "a       b       c"),
        ("日\tb", "日      b"),
        ("turned \u202egnp.exe", "turned �gnp.exe"),
        ("web\u200b1 web\u200d1", "web�1 web�1"),
        ("lone \ud800 surrogate", "lone � surrogate"),
        ("\u0301starts with a mark", "◌\u0301starts with a mark"),
        ("no\u00a0break\u2003wide", "no break wide"),
        ("❤\ufe0f", "❤"),
        ("[bold red]markup[/] :smile: $var @click", "[bold red]markup[/] :smile: $var @click"),
    ],
)
def test_what_is_not_text_is_replaced_by_something_visible(raw: str | bytes, shown: str) -> None:
    assert sanitise(raw) == shown


@given(st.lists(st.sampled_from(HOSTILE) | st.text(max_size=6), max_size=40).map("".join))
def test_no_text_however_hostile_gets_through(text: str) -> None:
    shown = sanitise(text)
    assert_harmless(shown)
    assert cell_len(shown) == text_width(shown) <= WIDTH_MAX


@given(st.binary(max_size=200))
def test_no_bytes_however_hostile_get_through(raw: bytes) -> None:
    assert_harmless(sanitise(raw))


@given(st.text(max_size=80), st.integers(0, 40))
def test_a_sanitised_text_is_never_wider_than_asked(text: str, width: int) -> None:
    assert text_width(sanitise(text, width_max=width)) <= width


@given(st.lists(st.sampled_from(HOSTILE), max_size=20).map("".join))
def test_what_is_sanitised_is_left_alone_by_the_sanitiser(text: str) -> None:
    once = sanitise(text)
    assert sanitise(once) == once


def test_a_cut_text_says_so() -> None:
    assert sanitise("abcdef", width_max=4) == "abc…"
    assert sanitise("日本語", width_max=4) == "日…"
    assert sanitise("\x1b[m" * 1_000, width_max=5) == "␛␛␛␛…"


def test_a_pile_of_marks_is_cut_down() -> None:
    shown = sanitise("a" + "\u0301" * 50 + "b")
    assert shown == "a" + "\u0301" * MARKS_MAX + "�b"


def test_a_hundred_megabytes_cost_no_more_than_what_is_shown() -> None:
    assert text_width(sanitise(b"\x1b[0m" * 10_000_000, width_max=80)) == 80
