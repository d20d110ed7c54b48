"""Globs, as Go's path.Match reads them."""

import contextlib
import fnmatch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.core.units.globs import GlobError, is_exact, matches


@pytest.mark.parametrize(
    ("glob", "name", "is_match"),
    [
        ("abc", "abc", True),
        ("*", "abc", True),
        ("*c", "abc", True),
        ("a*", "a", True),
        ("a*", "ab/c", False),
        ("a*/b", "abc/b", True),
        ("a*b*c", "axbyc", True),
        ("a**b", "aXXb", True),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a?b", "a/b", False),
        ("ab[c]", "abc", True),
        ("ab[b-d]", "abc", True),
        ("ab[e-g]", "abc", False),
        ("ab[^c]", "abc", False),
        ("ab[^e-g]", "abc", True),
        ("[a-ce-g]", "f", True),
        ("a\\*b", "a*b", True),
        ("a\\*b", "axb", False),
        ("[\\-x]", "-", True),
        ("[\\]a]", "]", True),
        ("web@*.service", "web@1.service", True),
        ("web@*.service", "xweb@1.service", False),
        ("a.service", "aXservice", False),
        ("", "", True),
    ],
)
def test_a_glob_matches_as_in_go(glob: str, name: str, is_match: bool) -> None:
    assert matches(glob, name) is is_match


@pytest.mark.parametrize(
    "glob", ["[", "[]a]", "[-]", "[x-]", "[a", "[^", "a\\", "[a\\", "[b-a]", "[a-"]
)
def test_a_malformed_glob_is_refused(glob: str) -> None:
    with pytest.raises(GlobError):
        matches(glob, "a")


def test_a_glob_without_special_characters_is_exact() -> None:
    assert is_exact("web@1.service")
    assert not any(map(is_exact, ["a*", "a?", "[a]", "\\a"]))


@given(st.text(max_size=20), st.text(max_size=20))
def test_any_glob_matches_or_is_refused(glob: str, name: str) -> None:
    with contextlib.suppress(GlobError):
        matches(glob, name)


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_stars_and_marks_match_as_in_the_shell(glob: str, name: str) -> None:
    assert matches(glob, name) == fnmatch.fnmatchcase(name, glob)


def test_many_stars_are_no_trap() -> None:
    assert not matches("*a" * 100 + "b", "a" * 255)
