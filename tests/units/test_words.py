"""Values split into words, as systemd splits them."""

import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.core.units.words import (
    WordsError,
    quote_word,
    split_assignments,
    split_commands,
    split_words,
)

SPLITS = {
    "white space separates": (" a  b\tc ", ["a", "b", "c"]),
    "nothing gives no words": ("  ", []),
    "double quotes group and are removed": ('"a b" c', ["a b", "c"]),
    "single quotes group and are removed": ("'a b' c", ["a b", "c"]),
    "a quote may stand inside a word": ("a\"b c\"d e'f g'", ["ab cd", "ef g"]),
    "an empty word needs quotes": ("a '' b", ["a", "", "b"]),
    "the other quote is plain inside quotes": ('"it\'s" \'a "b"\'', ["it's", 'a "b"']),
    "escapes are C's": (r"\a\b\f\n\r\t\v\\\"\'", ["\a\b\f\n\r\t\v\\\"'"]),
    "backslash s is a space": (r"a\sb", ["a b"]),
    "escapes work inside both quotes": (r""""a\tb" 'c\td' """, ["a\tb", "c\td"]),
    "hexadecimal and octal are bytes": (r"\x41\102", ["AB"]),
    "bytes may make up one character": (r"\xc3\xa9", ["é"]),
    "unicode escapes are characters": (r"\u00e9\U0001f600", ["é😀"]),
    "an unknown escape stays": (r"\d+ \w", [r"\d+", r"\w"]),
    "a NUL cannot be written": (r"a\x00b \000", [r"a\x00b", r"\000"]),
    "a backslash at the end stays": ("a\\", ["a\\"]),
    "a dollar and a semicolon are plain": ("$A ${B} a;b", ["$A", "${B}", "a;b"]),
    "a shell line is one word": (
        r'''/bin/sh -c "while true; do echo \"Hello\"; sleep 1; done"''',
        ["/bin/sh", "-c", 'while true; do echo "Hello"; sleep 1; done'],
    ),
}


@pytest.mark.parametrize(("text", "words"), SPLITS.values(), ids=SPLITS.keys())
def test_a_value_splits_as_in_systemd(text: str, words: list[str]) -> None:
    assert split_words(text) == words


@pytest.mark.parametrize("text", ['"a', "'a", 'a b"c', '"a\\"'])
def test_an_open_quote_is_refused(text: str) -> None:
    with pytest.raises(WordsError, match="is not closed"):
        split_words(text)


def test_bytes_that_are_no_text_reach_the_process_as_they_are() -> None:
    assert os.fsencode(split_words(r"\xff")[0]) == b"\xff"


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("/bin/a 1 ; /bin/b 2", [["/bin/a", "1"], ["/bin/b", "2"]]),
        ("/bin/a 1;2", [["/bin/a", "1;2"]]),
        (r"/bin/find -exec x \; -print", [["/bin/find", "-exec", "x", ";", "-print"]]),
        ("/bin/a ';' b", [["/bin/a", ";", "b"]]),
        ("; /bin/a ;", [["/bin/a"]]),
        ("", []),
    ],
)
def test_a_bare_semicolon_separates_commands(text: str, commands: list[list[str]]) -> None:
    assert split_commands(text) == commands


def test_environment_values_are_assignments() -> None:
    text = 'A=1 "B=two words" C= D="quo ted" E=a=b'
    assert split_assignments(text) == [
        ("A", "1"),
        ("B", "two words"),
        ("C", ""),
        ("D", "quo ted"),
        ("E", "a=b"),
    ]


@pytest.mark.parametrize("text", ["A", "=1", "1A=2", "A-B=1", "A=1 word"])
def test_what_is_no_assignment_is_refused(text: str) -> None:
    with pytest.raises(WordsError, match="NAME=VALUE"):
        split_assignments(text)


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))))
def test_quoted_words_split_into_themselves(words: list[str]) -> None:
    assert split_words(" ".join(quote_word(word) for word in words)) == words


@given(st.text())
def test_any_text_splits_or_is_refused(text: str) -> None:
    with contextlib.suppress(WordsError, UnicodeEncodeError):
        split_commands(text)
