"""The console on a real terminal, with a cluster in memory behind it."""

import sys
import time
from pathlib import Path

import pytest

from tests.tui.pty import TerminalProgram

PROGRAM = """
import sys
from datetime import UTC

from c101.tui.app import ConsoleApp, Settings
from tests.fakes import sample_cluster

sys.exit(ConsoleApp(sample_cluster.access(), settings=Settings(zone=UTC)).run())
"""

#: Writes all the time, and is slow to leave: what a console is in the middle of a flood of lines.
BUSY = """
import asyncio
import sys

from textual.app import App
from c101.tui.feeds.terminal import TerminalDriver
from c101.tui.widgets.log import LogLine, VirtualLog

class Busy(App[int]):
    def compose(self):
        yield VirtualLog()

    def on_mount(self):
        self.number = 0
        self.set_interval(0.01, self.more)

    def more(self):
        self.number += 1
        log = self.query_one(VirtualLog)
        log.append([LogLine((), f"line {self.number}") for _ in range(60)])
        log.flush()

    async def on_terminal_gone(self):
        self.set_timer(1.5, lambda: self.exit(0))

sys.exit(Busy(driver_class=TerminalDriver).run())
"""

ROOT = Path(__file__).parents[2]


@pytest.fixture
def argv(tmp_path: Path) -> list[str]:
    path = tmp_path / "console.py"
    path.write_text(PROGRAM)
    return [sys.executable, str(path)]


def on_terminal(
    argv: list[str], *, columns: int = 120, rows: int = 36, stdin: str = "terminal", **env: str
) -> TerminalProgram:
    environment = {"PYTHONPATH": str(ROOT), **env}
    return TerminalProgram(argv, columns=columns, rows=rows, stdin=stdin, environment=environment)


def test_it_shows_four_panes_and_leaves_the_terminal_as_it_was(argv: list[str]) -> None:
    with on_terminal(argv) as console:
        for pane in ("UNITS 9", "MACHINES 3", "KEYS 7", "JOURNAL"):
            console.wait_for(pane)
        console.wait_for("GET / 200 3ms")
        assert console.quit_with("ctrl+q") == 0
        assert console.restored


def test_it_is_readable_without_colour(argv: list[str]) -> None:
    with on_terminal(argv, NO_COLOR="1") as console:
        console.wait_for("● db1")
        assert console.quit_with("ctrl+q") == 0


def test_an_idle_console_is_idle(argv: list[str]) -> None:
    with on_terminal(argv) as console:
        console.wait_for("GET / 200 3ms")
        console.settle()
        before, written = console.cpu_seconds(), console.written
        began = time.monotonic()
        while time.monotonic() - began < 3:
            console.read(0.2)
        # The clock of the header and the ages repaint once a second; nothing else does.
        assert console.cpu_seconds() - before < 0.6
        assert console.written - written < 3 * 4_000


def test_it_ends_when_its_input_does(argv: list[str]) -> None:
    with on_terminal(argv, stdin="nothing") as console:
        assert console.wait() == 0
        assert console.restored


def test_it_ends_when_its_terminal_is_gone(argv: list[str]) -> None:
    with on_terminal(argv) as console:
        console.wait_for("UNITS 9")
        console.hang_up()
        assert console.process.wait(15) == 0


def test_output_that_nobody_reads_any_more_holds_nothing_up(tmp_path: Path) -> None:
    path = tmp_path / "busy.py"
    path.write_text("import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n" + BUSY)
    with on_terminal([sys.executable, str(path)]) as busy:
        busy.wait_for("line 9")
        busy.hang_up()
        assert busy.process.wait(15) == 0


@pytest.mark.parametrize(("columns", "rows"), [(60, 20), (60, 16), (80, 24), (200, 60)])
def test_it_fits_terminals_of_many_sizes(argv: list[str], columns: int, rows: int) -> None:
    with on_terminal(argv, columns=columns, rows=rows) as console:
        console.wait_for("UNITS 9")
        assert console.quit_with("ctrl+q") == 0


def test_a_terminal_that_is_too_small_says_so_and_one_that_grows_is_used(argv: list[str]) -> None:
    with on_terminal(argv, columns=40, rows=10) as console:
        console.wait_for("60")
        assert "UNITS" not in console.screen.text
        console.resize(120, 36)
        console.wait_for("MACHINES 3")
        console.resize(59, 15)
        console.wait_for(lambda screen: "MACHINES" not in screen.text)
        assert console.quit_with("ctrl+q") == 0
