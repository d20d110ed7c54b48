"""How long one request holds the KV's loop: the longest turn, and what others notice of it.

    .venv/bin/python -m benchmarks.loop [--keys 100000] [--rounds 3] [--directory DIR]

Each heavy request is made on a connection of its own while another process puts and gets a small
key, one at a time. Two servers are asked. One runs on asyncio's loop with a selector that takes the
time between two waits: that is one turn, given as CPU time of the loop's thread (what else runs on
the machine does not count), with the longest pass of the garbage collector in it. The other is
``c101-core kv`` as it is; of it the 99th percentile and the maximum of what the small requests took
are given. Prints a Markdown table: medians over the rounds, but for maxima.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import uvloop

from benchmarks.loop_processes import Child, TurnTimer, probe, serve
from benchmarks.loop_requests import Heavy, schedule

#: row: what was measured in each round
Rows = dict[str, list[dict[str, float]]]


async def measure_turns(directory: Path, keys: int, rows: Rows) -> None:
    """Measure the longest turn of every request."""
    server = Child.start("--serve", str(directory))
    port = int(server.line().rsplit(":", 1)[1])
    prober = Child.start("--probe", str(port))
    heavy = Heavy(port, keys)
    for name, action in schedule(heavy):
        server.ask()
        await action()
        turn, collection = json.loads(server.ask())
        if name:
            rows.setdefault(name, []).append({"turn": turn, "collection": collection})
    await heavy.channel.close()
    prober.end()
    server.end()


async def measure_latency(directory: Path, keys: int, rows: Rows) -> None:
    """Measure what the small requests take meanwhile, with the product as it is."""
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "c101.core.daemon", "kv", "--data-dir", str(directory)]
        socket_directory = directory.parent / "s"
        server = subprocess.Popen(
            [*command, "--listen", "http://127.0.0.1:0", "--socket-dir", str(socket_directory)],
            stderr=subprocess.PIPE,
            stdout=log,
            text=True,
        )
        assert server.stderr is not None
        port = 0
        while not port:
            line = server.stderr.readline()
            if "http://127.0.0.1:" in line:
                digits = line.split("http://127.0.0.1:")[1]
                port = int("".join(digit for digit in digits[:6] if digit.isdigit()))
        prober = Child.start("--probe", str(port))
        heavy = Heavy(port, keys)
        for name, action in schedule(heavy):
            prober.ask()
            began = time.perf_counter()
            await action()
            seconds = time.perf_counter() - began
            took = json.loads(prober.ask())
            if name:
                row = {"seconds": seconds}
                for kind, found in took.items():
                    row[f"{kind} p99"] = percentile(found)
                    row[f"{kind} max"] = max(found, default=0.0)
                rows.setdefault(name, []).append(row)
        await heavy.channel.close()
        prober.end()
        server.terminate()
        server.communicate(timeout=30)


def percentile(found: list[float]) -> float:
    """Return the 99th percentile."""
    return sorted(found)[int(len(found) * 0.99)] if found else 0.0


def show(turns: Rows, latencies: Rows) -> None:
    """Print the table; milliseconds but for the first column of figures."""
    print(
        "| request | s | longest turn, CPU ms | collector ms "
        "| get p99 ms | get max ms | put p99 ms | put max ms |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    for name, found in turns.items():
        taken = latencies[name]

        def median(key: str, taken: list[dict[str, float]] = taken) -> str:
            return f"{1000 * statistics.median(row[key] for row in taken):.1f}"

        def most(key: str, rows: list[dict[str, float]]) -> str:
            return f"{1000 * max(row[key] for row in rows):.1f}"

        seconds = statistics.median(row["seconds"] for row in taken)
        print(
            f"| {name} | {seconds:.2f} | {most('turn', found)} | {most('collection', found)} "
            f"| {median('get p99')} | {most('get max', taken)} "
            f"| {median('put p99')} | {most('put max', taken)} |"
        )
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")


def main() -> None:
    """Measure, or be one of the processes that takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        turns = TurnTimer()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
            runner.run(serve(options.serve, turns))
        return
    if options.probe is not None:
        uvloop.run(probe(options.probe))
        return
    turns_rows: Rows = {}
    latency_rows: Rows = {}
    for number in range(options.rounds):
        directory = Path(tempfile.mkdtemp(prefix="c101-loop-", dir=options.directory))
        try:
            uvloop.run(measure_turns(directory / "turns", options.keys, turns_rows))
            uvloop.run(measure_latency(directory / "latency", options.keys, latency_rows))
        finally:
            shutil.rmtree(directory)
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    show(turns_rows, latency_rows)


if __name__ == "__main__":
    main()
