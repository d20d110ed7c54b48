"""The terminal that the console's tests run on, with programs small enough to be sure of."""

import sys
import textwrap
from pathlib import Path

import pytest

from tests.tui.pty import TerminalProgram
from tests.tui.vt import Screen

PROGRAM = """
from textual.app import App
from c101.tui.render.cells import Cell
from c101.tui.widgets.log import LogLine, VirtualLog

class Small(App):
    BINDINGS = [("q", "quit", "Quit")]

    def compose(self):
        yield VirtualLog()

    def on_mount(self):
        self.query_one(VirtualLog).append([LogLine((Cell("m1"),), f"size {self.size.width}")])

    def on_resize(self, event):
        self.query_one(VirtualLog).append([LogLine((Cell("m1"),), f"size {event.size.width}")])

Small().run()
"""


@pytest.fixture
def program(tmp_path: Path) -> list[str]:
    path = tmp_path / "small.py"
    path.write_text(textwrap.dedent(PROGRAM))
    return [sys.executable, str(path)]


@pytest.mark.parametrize(
    ("written", "lines"),
    [
        (b"plain\r\nnext", ["plain", "next", ""]),
        (b"\x1b[2;3Hat\x1b[1;1Hfirst", ["first", "  at", ""]),
        (b"\x1b[31;1mred\x1b[0m", ["red", "", ""]),
        (b"\x1b]0;title\x07shown\x1bP+q\x1b\\", ["shown", "", ""]),
        (b"gone\x1b[2Jkept", ["    kept", "", ""]),
        (b"abcdef\x1b[3G\x1b[K", ["ab", "", ""]),
        ("日本\x1b[1;5Hx".encode(), ["日本x", "", ""]),
        (b"0123456789overflow", ["0123456789", "", ""]),
        (b"\x1b[?2026h\x1b[>1u\x1b(Bok\x1b7", ["ok", "", ""]),
    ],
)
def test_a_screen_shows_what_was_written(written: bytes, lines: list[str]) -> None:
    whole = Screen(10, 3)
    whole.feed(written)
    assert whole.lines == lines
    bit_by_bit = Screen(10, 3)
    for byte in written:
        bit_by_bit.feed(bytes([byte]))
    assert bit_by_bit.lines == lines


def test_a_program_shows_its_screen_takes_keys_and_leaves_the_terminal_as_it_was(
    program: list[str],
) -> None:
    with TerminalProgram(program, columns=60, rows=10) as small:
        small.wait_for("size 60")
        assert not small.restored
        small.resize(70, 12)
        small.wait_for("size 70")
        assert small.quit_with("q") == 0
        assert small.restored


def test_a_program_that_ends_is_told_from_one_that_is_slow() -> None:
    argv = [sys.executable, "-c", "print('short')"]
    with TerminalProgram(argv) as short, pytest.raises(AssertionError, match="short"):
        short.wait_for("never said")


def test_a_lost_terminal_ends_a_program(program: list[str]) -> None:
    with TerminalProgram(program) as small:
        small.wait_for("size 120")
        small.hang_up()
        assert small.wait() != 0
