"""How long a person waits: a unit's start, and commands as whole processes.

Starts a cluster of three machines on this computer and ends it. Prints a Markdown table.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.model.unit import TargetState
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from c101.core.rpc.dial import dialer_for

BIN = Path(sys.executable).parent
#: Started again and again, which systemd's own limit (five in ten seconds) would end.
UNIT = """[Unit]
StartLimitIntervalSec=0

[Service]
ExecStart=/bin/sh -c "date +%%s%%N > {stamp}; exec sleep infinity"
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="c101b") as name:
        where = ("--dir", f"{name}/cluster")
        environment = {**os.environ, "XDG_STATE_HOME": f"{name}/state"}
        begin = time.perf_counter()
        up = _run("local", "up", "--machines", "3", *where, "-o", "json", env=environment)
        rows = [("local up, three machines joined", [time.perf_counter() - begin])]
        try:
            endpoints = json.loads(up)
            rows += _measure(endpoints, Path(name), rounds, environment)
        finally:
            _run("local", "down", *where, env=environment)
    print("| what | median | least | most | rounds |\n|---|---|---|---|---|")
    for what, seconds in rows:
        milliseconds = [1000 * one for one in seconds]
        print(
            f"| {what} | {statistics.median(milliseconds):.0f} ms | {min(milliseconds):.0f} ms"
            f" | {max(milliseconds):.0f} ms | {len(seconds)} |"
        )


def _measure(
    endpoints: dict[str, dict[str, str]], work: Path, rounds: int, environment: dict[str, str]
) -> list[tuple[str, list[float]]]:
    kv = endpoints["kv"]["unix"]
    unit = work / "stamped.service"
    stamp = work / "stamp"
    unit.write_text(UNIT.format(stamp=stamp))
    _run("--kv", kv, "submit", str(unit), env=environment)
    _run("--kv", kv, "set", "--", "bench", "value", env=environment)
    request = asyncio.run(_request_to_running(kv, stamp, rounds))

    def start_and_stop() -> float:
        seconds = _timed(lambda: _run("--kv", kv, "start", "stamped", env=environment))
        _run("--kv", kv, "stop", "stamped", env=environment)
        return seconds

    return [
        ("start of a unit: request to its process running", request),
        ("`c101ctl start` as a whole process, until active", _several(start_and_stop, rounds)),
        (
            "`c101ctl get` as a whole process, unix endpoint",
            _several(
                lambda: _timed(lambda: _run("--kv", kv, "get", "bench", env=environment)), rounds
            ),
        ),
    ]


async def _request_to_running(kv: str, stamp: Path, rounds: int) -> list[float]:
    clock = SystemClock()
    found = []
    async with Client([dialer_for(kv)], clock=clock) as client:
        registry = Registry(client, Keyspace(), clock)
        for _ in range(rounds):
            stamp.unlink(missing_ok=True)
            begin = time.time_ns()
            await registry.set_target("stamped.service", TargetState.LAUNCHED)
            while not (stamp.exists() and (text := stamp.read_text().strip())):
                await clock.sleep(0.005)
            found.append((int(text) - begin) / 1e9)
            await registry.set_target("stamped.service", TargetState.LOADED)
            await clock.sleep(0.5)
    return found


def _several(measure: Callable[[], float], rounds: int) -> list[float]:
    return [measure() for _ in range(rounds)]


def _timed(deed: Callable[[], object]) -> float:
    begin = time.perf_counter()
    deed()
    return time.perf_counter() - begin


def _run(*arguments: str, env: dict[str, str]) -> str:
    done = subprocess.run(
        [BIN / "c101ctl", *arguments], capture_output=True, text=True, env=env, check=False
    )
    if done.returncode:
        sys.exit(f"c101ctl {' '.join(arguments)}: {done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
