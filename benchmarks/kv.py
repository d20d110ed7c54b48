"""Durable puts, gets and one-at-a-time puts: ours beside a real etcd, in interleaved rounds.

    python benchmarks/kv.py [--rounds 5] [--seconds 5] [--directory DIR] [--work put,get,put1]

Both servers listen on loopback and keep their data below one directory, on one disk (never a
tmpfs: a sync costs nothing there). Each round drives both in turn with the same load, made by
``loadgen.c``, and takes the ratio within the round. That the revision rose by the requests counted
is checked after every put.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
KEYS = 100_000
VALUE_BYTES = 256
#: name: loadgen's arguments
WORK = {
    "put": ["-k", "put", "-c", "10", "-m", "10"],
    "get": ["-k", "get", "-c", "10", "-m", "10"],
    "put1": ["-k", "put", "-c", "1", "-m", "1"],
    "get1": ["-k", "get", "-c", "1", "-m", "1"],
}
TITLES = {
    "put": "durable put/s, 100 in flight over 10 connections",
    "get": "get/s, 100 in flight over 10 connections",
    "put1": "durable put/s, one at a time",
    "get1": "get/s, one at a time",
}


@dataclass
class Server:
    """A running server."""

    name: str
    process: subprocess.Popen[bytes]
    port: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(name: str, directory: Path) -> Server:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    if name == "etcd":
        peer = f"http://127.0.0.1:{free_port()}"
        command = [
            "etcd", "--name", "t1", "--data-dir", str(directory / name), "--log-level", "error",
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"t1={peer}", "--quota-backend-bytes", str(8 << 30),
        ]  # fmt: skip
    else:
        core = [sys.executable, "-m", "c101.core.daemon", "kv"]
        command = [*core, "--data-dir", str(directory / name), "--listen", url]
    with (directory / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(1)
                return Server(name, process, port)
        time.sleep(0.1)
    raise SystemExit(f"{name} did not start: see {directory}")


def revision(server: Server) -> int:
    shown = subprocess.run(
        ["etcdctl", f"--endpoints=127.0.0.1:{server.port}", "get", "no-such-key", "-w", "json"],
        env={**os.environ, "ETCDCTL_API": "3"},
        check=True,
        capture_output=True,
    )
    return int(json.loads(shown.stdout)["header"]["revision"])


def load(generator: Path, server: Server, arguments: list[str]) -> dict[str, float]:
    writes = "get" not in arguments
    before = revision(server)
    command = [
        generator,
        "-p",
        str(server.port),
        "-n",
        str(KEYS),
        "-v",
        str(VALUE_BYTES),
        *arguments,
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    risen = revision(server) - before
    expected = result["all_requests"] if writes else 0
    if risen != expected or result["failed"]:
        raise SystemExit(f"{server.name}: revision rose by {risen}, expected {expected}: {result}")
    return result


def refuse_tmpfs(directory: Path) -> None:
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", directory], check=True, capture_output=True, text=True
    ).stdout.strip()
    if kind in ("tmpfs", "ramfs"):
        raise SystemExit(f"{directory} is a {kind}: give --directory on a disk")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--work", default="put,get,put1,get1")
    options = parser.parse_args()
    refuse_tmpfs(options.directory)
    directory = Path(tempfile.mkdtemp(prefix="c101-bench-", dir=options.directory))
    generator = directory / "loadgen"
    subprocess.run(["gcc", "-O2", "-o", generator, HERE / "loadgen.c"], check=True)
    servers: list[Server] = []
    try:
        servers = [start(name, directory) for name in ("ours", "etcd")]
        for server in servers:
            load(generator, server, ["-k", "fill"])
        for work in options.work.split(","):
            measure(generator, servers, work, options.rounds, options.seconds)
        for server in servers:
            print(f"{server.name}: {resident_mib(server.process.pid)} MiB resident at the end")
    finally:
        for server in servers:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)
        shutil.rmtree(directory)


def measure(generator: Path, servers: list[Server], work: str, rounds: int, seconds: float) -> None:
    print(f"{TITLES[work]}: {rounds} rounds of {seconds:g} s, {KEYS} keys, {VALUE_BYTES} B values")
    ratios: list[float] = []
    rates: dict[str, list[float]] = {server.name: [] for server in servers}
    for number in range(rounds):
        # Who goes first changes from round to round: the disk's mood is shared fairly.
        order = servers if number % 2 == 0 else servers[::-1]
        line: dict[str, str] = {}
        for server in order:
            arguments = [*WORK[work], "-s", str(seconds), "-r", str(number + 1)]
            result = load(generator, server, arguments)
            rate = result["requests"] / result["seconds"]
            rates[server.name].append(rate)
            line[server.name] = (
                f"{server.name} {rate:8.0f}/s "
                f"p50 {result['p50_ms']:6.2f} p99 {result['p99_ms']:6.2f} ms"
            )
        ratios.append(rates["ours"][-1] / rates["etcd"][-1])
        print(f"  {line['ours']}   {line['etcd']}   ratio {ratios[-1]:.2f}", flush=True)
    medians = {name: statistics.median(found) for name, found in rates.items()}
    print(
        f"  median: ours {medians['ours']:.0f}/s, etcd {medians['etcd']:.0f}/s, "
        f"ratio {statistics.median(ratios):.2f} (from {min(ratios):.2f} to {max(ratios):.2f})",
        flush=True,
    )


def resident_mib(pid: int) -> int:
    fields = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) // 1024


if __name__ == "__main__":
    main()
