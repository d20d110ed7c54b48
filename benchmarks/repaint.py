"""How soon a change anywhere is on the screen, and what an idle console costs.

    .venv/bin/python -m benchmarks.repaint

Starts a cluster of two machines on this computer with the console on a terminal of its own, changes
something, and waits until the terminal shows it. Prints Markdown tables.
"""

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from c101.agents.local import cli
from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.model.unit import TargetState
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from c101.core.rpc.dial import dialer_for
from tests.tui.pty import TerminalProgram
from tests.tui.vt import Screen

BIN = Path(sys.executable).parent
PATIENCE_SECONDS = 30.0

#: Started again and again, which systemd's own limit (five in ten seconds) would end.
SLEEPER = "[Unit]\nStartLimitIntervalSec=0\n\n[Service]\nExecStart=/bin/sleep infinity\n"

#: Prints what is written into its pipe, at once.
PRINTER = '[Service]\nExecStart=/bin/sh -c "while true; do cat {pipe}; done"\n'

#: Between two changes: they come one at a time, in no step with anything that repeats.
PAUSE_SECONDS = 0.317

Rows = list[tuple[str, list[float]]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--idle", type=float, default=10.0, metavar="SECONDS")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="c101b") as name, _cluster(Path(name)) as document:
        argv = [str(BIN / "c101-console"), "--cluster", str(document["name"])]
        with TerminalProgram(argv) as console:
            console.wait_for("2/2 machines", PATIENCE_SECONDS)
            _settle(console, 2.0)
            idle = _idle(console, arguments.idle)
            rows = _changes(console, str(document["kv"]["unix"]), Path(name), arguments.rounds)
            console.quit_with("ctrl+q", seconds=PATIENCE_SECONDS)
    print("| from the change to the screen | median | least | most | rounds |")
    print("|---|---|---|---|---|")
    for what, seconds in rows:
        taken = sorted(1_000 * one for one in seconds)
        spread = f"{taken[0]:.0f} ms | {taken[-1]:.0f} ms | {len(taken)}"
        print(f"| {what} | {statistics.median(taken):.0f} ms | {spread} |")
    print("\n| an idle console | |\n|---|---|")
    for what, found in idle:
        print(f"| {what} | {found} |")


@contextmanager
def _cluster(work: Path) -> Iterator[cli.Document]:
    os.environ["XDG_STATE_HOME"] = str(work / "state")
    os.environ["XDG_CONFIG_HOME"] = str(work / "config")
    directory = work / "bench"
    try:
        yield asyncio.run(cli.up(directory, machines=2))
    finally:
        asyncio.run(cli.down(directory))


def _changes(console: TerminalProgram, kv: str, work: Path, rounds: int) -> Rows:
    """Return the seconds of each kind of change: a key, a unit started and stopped, a line."""
    pipe = work / "pipe"
    os.mkfifo(pipe)
    units = {"sleeper.service": SLEEPER, "printer.service": PRINTER.format(pipe=pipe)}
    keys, starts, stops, lines = [], [], [], []
    with asyncio.Runner() as runner:
        clock = SystemClock()
        client = Client([dialer_for(kv)], clock=clock)
        registry = Registry(client, Keyspace(), clock)
        for name, text in units.items():
            runner.run(registry.submit(name, text))
        runner.run(registry.set_target("printer.service", TargetState.LAUNCHED))
        console.wait_for(lambda screen: _is(screen, "printer", "active"), PATIENCE_SECONDS)
        for number in range(rounds):
            _settle(console, PAUSE_SECONDS)
            key = f"/services/key-{number}."
            began = time.perf_counter()
            runner.run(client.put(key, f"{number}"))
            console.wait_for(f"key-{number}.", PATIENCE_SECONDS)
            keys.append(time.perf_counter() - began)
            runner.run(client.delete(key))
        for _ in range(rounds):
            _settle(console, PAUSE_SECONDS)
            began = time.perf_counter()
            runner.run(registry.set_target("sleeper.service", TargetState.LAUNCHED))
            console.wait_for(lambda screen: _is(screen, "sleeper", "active"), PATIENCE_SECONDS)
            starts.append(time.perf_counter() - began)
            _settle(console, PAUSE_SECONDS)
            began = time.perf_counter()
            runner.run(registry.set_target("sleeper.service", TargetState.LOADED))
            console.wait_for(lambda screen: _is(screen, "sleeper", "inactive"), PATIENCE_SECONDS)
            stops.append(time.perf_counter() - began)
        for number in range(rounds):
            _settle(console, PAUSE_SECONDS)
            began = time.perf_counter()
            pipe.write_text(f"printed {number}.\n")
            console.wait_for(f"printed {number}.", PATIENCE_SECONDS)
            lines.append(time.perf_counter() - began)
        runner.run(client.close())
    return [
        ("a key is put", keys),
        ("a unit is started: request to `active`", starts),
        ("a unit is stopped: request to `inactive`", stops),
        ("a unit prints a line", lines),
    ]


def _is(screen: Screen, unit: str, active: str) -> bool:
    row = next((line for line in screen.lines if f" {unit} " in line), "")
    return active in row.partition("│")[0].split()


def _settle(console: TerminalProgram, seconds: float) -> None:
    """Read on for so long: what is not read would hold the console up."""
    until = time.perf_counter() + seconds
    while (left := until - time.perf_counter()) > 0:
        console.read(left)


def _idle(console: TerminalProgram, seconds: float) -> list[tuple[str, str]]:
    """Return what the console does in so many seconds in which nothing happens."""
    pid = console.process.pid
    before, cpu, written = _sent(pid), console.cpu_seconds(), console.written
    _settle(console, seconds)
    after = _sent(pid)
    sent = sum(after[port][0] - before.get(port, (0, 0))[0] for port in after)
    packets = sum(after[port][1] - before.get(port, (0, 0))[1] for port in after)
    share = (console.cpu_seconds() - cpu) / seconds
    return [
        (f"sent over its {len(after)} SSH connections in {seconds:g} s", f"{sent} bytes"),
        ("in so many packets", f"{packets}"),
        ("written to the terminal", f"{(console.written - written) / seconds:.0f} bytes/s"),
        ("of a processor", f"{share:.1%}"),
    ]


def _sent(pid: int) -> dict[str, tuple[int, int]]:
    """Return bytes and packets that a process has sent, by its connections' own address."""
    out = subprocess.run(["ss", "-Htinp"], capture_output=True, text=True, check=True).stdout
    found = {}
    for line, details in pairwise(out.splitlines()):
        if f"pid={pid}," in line:
            sent = re.search(r"bytes_sent:(\d+)", details)
            packets = re.search(r"data_segs_out:(\d+)", details)
            found[line.split()[3]] = (_number(sent), _number(packets))
    return found


def _number(found: re.Match[str] | None) -> int:
    return int(found.group(1)) if found is not None else 0


if __name__ == "__main__":
    main()
