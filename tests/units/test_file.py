"""Unit files: read as systemd reads them, printed as they were written, refused with a line."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.core.units.file import TEXT_BYTES_MAX, Option, UnitFile, UnitFileError

HELLO = """\
[Unit]
Description=Hello World

[Service]
ExecStart=/bin/bash -c "while true; do echo \\"Hello, world\\"; sleep 1; done"
"""


def options(text: str) -> list[tuple[str, str, str, int]]:
    return [(o.section, o.name, o.value, o.line) for o in UnitFile.parse(text).options]


READS = {
    "white space around name and value is dropped": (
        "[A]\n  x \t=\t 1 2 \t\n",
        [("A", "x", "1 2", 2)],
    ),
    "comments and blank lines are skipped": (
        "# one\n; two\n\n[A]\n  # three\nx=1 # no comment\n",
        [("A", "x", "1 # no comment", 6)],
    ),
    "a backslash at the end goes on in the next line": (
        "[A]\nx=1 \\\n  2 \\\n3\ny=4\n",
        [("A", "x", "1    2  3", 2), ("A", "y", "4", 5)],
    ),
    "comments inside a continuation are skipped": (
        "[A]\nx=1\\\n# no\n; no\n2\n",
        [("A", "x", "1 2", 2)],
    ),
    "a blank line ends a continuation": (
        "[A]\nx=1\\\n\ny=2\n",
        [("A", "x", "1", 2), ("A", "y", "2", 4)],
    ),
    "two backslashes at the end are no continuation": (
        "[A]\nx=1\\\\\ny=2\n",
        [("A", "x", "1\\\\", 2), ("A", "y", "2", 3)],
    ),
    "a continuation may end the file": ("[A]\nx=1\\", [("A", "x", "1", 2)]),
    "a comment does not go on in the next line": ("[A]\n# a \\\nx=1\n", [("A", "x", "1", 3)]),
    "a value may hold equals signs": ("[A]\nx=a=b=c\n", [("A", "x", "a=b=c", 2)]),
    "a section may come again": (
        "[A]\nx=1\n[B]\ny=2\n[A]\nx=3",
        [("A", "x", "1", 2), ("B", "y", "2", 4), ("A", "x", "3", 6)],
    ),
    "a byte order mark is ignored": ("\ufeff[A]\nx=1\n", [("A", "x", "1", 2)]),
    "an empty file has no options": ("", []),
    "a section may be empty": ("[A]\n", []),
}


@pytest.mark.parametrize(("text", "expected"), READS.values(), ids=READS.keys())
def test_a_file_is_read_as_systemd_reads_it(
    text: str, expected: list[tuple[str, str, str, int]]
) -> None:
    assert options(text) == expected
    assert str(UnitFile.parse(text)) == text


REFUSED = {
    "an assignment before any section": ("x=1\n", 1, "assignment outside of a section"),
    "a header that is not closed": ("[A]\nx=1\n[B\n", 3, "not a section header"),
    "a header without a name": ("[]\n", 1, "not a section header"),
    "a header with a bracket in it": ("[A[B]\n", 1, "not a section header"),
    "text after a header": ("[A] x\n", 1, "not a section header"),
    "a line without an equals sign": ("[A]\nx=1\nnonsense\n", 3, "no '='"),
    "an option without a name": ("[A]\n=1\n", 2, "not the name of an option"),
    "a name with a space": ("[A]\nx y=1\n", 2, "not the name of an option"),
    "a line ended with carriage return": ("[A]\r\nx=1\r\n", 1, "has a carriage return"),
    "a NUL": ("[A]\nx=a\0b\n", 2, r"U\+0000"),
    "an escape": ("[A]\nx=1\ny=\x1b[2J\n", 3, r"U\+001B"),
    "a C1 control": ("[A]\nx=\x9b2J\n", 2, r"U\+009B"),
    "a lone surrogate": ("[A]\nx=\udc80\n", 2, "not UTF-8"),
}


@pytest.mark.parametrize(("text", "line", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_a_bad_file_is_refused_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(UnitFileError, match=reason) as caught:
        UnitFile.parse(text, "hello.service")
    assert caught.value.line == line
    assert str(caught.value).startswith(f"hello.service:{line}: ")


def test_the_message_is_file_line_reason() -> None:
    text = "# a\n" * 6 + "ExecStart=/bin/true\n"
    with pytest.raises(UnitFileError) as caught:
        UnitFile.parse(text, "hello.service")
    assert str(caught.value) == "hello.service:7: assignment outside of a section"


def test_a_file_over_the_limit_is_refused() -> None:
    UnitFile.parse("#" * TEXT_BYTES_MAX)
    with pytest.raises(UnitFileError, match="longer than"):
        UnitFile.parse("#" * (TEXT_BYTES_MAX + 1))
    with pytest.raises(UnitFileError, match="longer than"):
        UnitFile.decode(b"#" * (TEXT_BYTES_MAX + 1))


def test_bytes_that_are_no_text_are_refused_with_their_line() -> None:
    with pytest.raises(UnitFileError, match=r"x\.service:2: not UTF-8"):
        UnitFile.decode(b"[A]\nx=\xff\n", "x.service")


def test_repeated_options_accumulate_and_an_empty_one_resets_them() -> None:
    file = UnitFile.parse("[S]\nE=1\nE=2\n[T]\nE=9\n[S]\nE=\nE=3\nE=4\n")
    assert file.get("S", "E") == ["3", "4"]
    assert file.last("S", "E") == "4"
    assert file.get("T", "E") == ["9"]
    assert file.get("S", "none") == []
    assert file.last("S", "none") is None
    assert file.sections() == ["S", "T"]


def test_the_hash_is_of_what_the_file_means() -> None:
    plain = UnitFile.parse("[A]\nx=1\n\n[B]\ny=2\n")
    spaced = UnitFile.parse("# why\n[A]\n  x = 1\n[B]\n\ny=2")
    other = UnitFile.parse("[A]\nx=2\n\n[B]\ny=2\n")
    assert plain.serialise() == plain.text
    assert plain.hash() == spaced.hash() != other.hash()
    # printf '[A]\nx=1\n\n[B]\ny=2\n' | sha1sum
    assert plain.hash() == "1ec815198c757787a9c5091204c9028bfb5903e6"


def test_the_hello_unit_of_fleet_is_read() -> None:
    file = UnitFile.parse(HELLO, "hello.service")
    assert file.options[0] == Option("Unit", "Description", "Hello World", 2)
    assert file.last("Service", "ExecStart") == HELLO.splitlines()[4].removeprefix("ExecStart=")


LINES = st.sampled_from(
    [
        "[A]",
        "[B]",
        "x=1",
        "y = 2 ",
        "x=",
        "# c",
        "",
        " ; c",
        "z=a\\",
        "\\",
        "b \\\\",
        "q",
        "=",
        "[",
        "\t",
    ]
)


@given(st.lists(LINES))
def test_what_is_read_prints_the_same_and_means_the_same_when_normalised(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        file = UnitFile.parse(text)
    except UnitFileError:
        return
    assert str(file) == text
    again = UnitFile.parse(file.serialise())
    for section in file.sections():
        for option in file.options:
            assert again.get(section, option.name) == file.get(section, option.name)
    assert again.hash() == file.hash()


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UnitFileError):
        assert str(UnitFile.parse(text)) == text
