"""How long from the start of the console's process to its first picture, on a real terminal.

    .venv/bin/python -m benchmarks.first_paint
    .venv/bin/python -m benchmarks.first_paint --live "● lb" -- .venv/bin/c101-console demo

The first picture is there when the four panes' titles are; ``--live`` names a text that is there
once the cluster is. Without a command it is the console on a cluster in memory. Medians; each
round is a process of its own, ended by ctrl+q.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

from tests.tui.pty import TerminalProgram
from tests.tui.vt import Screen

ROOT = Path(__file__).parents[1]
IN_MEMORY = """
import sys
from c101.tui.app import ConsoleApp
from tests.fakes import sample_cluster
sys.exit(ConsoleApp(sample_cluster.access()).run())
"""
PANES = ("UNITS", "MACHINES", "KEYS", "JOURNAL")

#: Longer than any start that is worth measuring.
PATIENCE_SECONDS = 60.0


def panes_shown(screen: Screen) -> bool:
    """Say whether the first picture is complete."""
    return all(pane in screen.text for pane in PANES)


def measure(argv: list[str], live: str) -> tuple[float, float, float, float]:
    """Return seconds to the first byte, to four panes, CPU used by then, and to the text *live*."""
    began = time.perf_counter()
    with TerminalProgram(argv, environment={"PYTHONPATH": str(ROOT)}) as console:
        console.read(PATIENCE_SECONDS)
        first = time.perf_counter() - began
        console.wait_for(panes_shown, PATIENCE_SECONDS)
        panes, cpu = time.perf_counter() - began, console.cpu_seconds()
        console.wait_for(live, PATIENCE_SECONDS)
        alive = time.perf_counter() - began
        console.quit_with("ctrl+q", seconds=PATIENCE_SECONDS)
    return first, panes, cpu, alive


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--live", default="● lb", help="a text that shows once the cluster does")
    parser.add_argument("command", nargs="*")
    arguments = parser.parse_args()
    argv = arguments.command or [sys.executable, "-c", IN_MEMORY]
    measure(argv, arguments.live)  # bytecode is written, the disk is warm
    rounds = [measure(argv, arguments.live) for _ in range(arguments.rounds)]
    names = ("first byte", "four panes", "CPU by then", f"{arguments.live!r}")
    for name, values in zip(names, zip(*rounds, strict=True), strict=True):
        taken = sorted(1_000 * value for value in values)
        spread = f"least {taken[0]:.0f}, most {taken[-1]:.0f}"
        print(f"{name:<14} {statistics.median(taken):7.0f} ms   {spread}")


if __name__ == "__main__":
    main()
