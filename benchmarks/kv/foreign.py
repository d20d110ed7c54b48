"""Load generators that are not ours: nghttp2's ``h2load`` and ``etcdctl check perf``."""

import os
import re
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.kv.rounds import Rounds, figure, in_turn, tell
from benchmarks.kv.servers import NAMES, Server, ServerError
from benchmarks.kv.work import VALUE_BYTES
from c101.core.proto import rpc_pb2
from c101.core.rpc.messages import prefixed

#: What is sent: the same request again and again, of one key.
_KEY = b"k0000000"
_REQUESTS = {
    "Put": rpc_pb2.PutRequest(key=_KEY, value=b"v" * VALUE_BYTES).SerializeToString(),
    "Range": rpc_pb2.RangeRequest(key=_KEY).SerializeToString(),
}
_TITLES = {"Put": "durable puts", "Range": "gets"}
#: Clients and streams of each.
_SHAPES = ((10, 10), (1, 1))
#: ``etcdctl check perf`` asks for so many writes a second, from so many clients, for a minute.
_CHECKS = {"s": (150, 50), "m": (1_000, 200), "l": (8_000, 500)}
_CHECK_FIGURES = {
    "writes": r"Throughput (?:is|too low:)\D*([\d.]+) writes/s",
    "slowest": r"Slowest request (?:took|took too long:)\D*([\d.]+)s",
    "deviation": r"Stddev (?:is|too high:)\D*([\d.]+)s",
}


def measure_h2load(
    servers: Sequence[Server], directory: Path, count: int, seconds: float
) -> list[str]:
    """Drive both by ``h2load``; return a table."""
    lines = [
        "| h2load | clients, streams each | ours | etcd | ours ÷ etcd: median (least to most) |",
        "|---|---|---|---|---|",
    ]
    for method, request in _REQUESTS.items():
        body = directory / method
        body.write_bytes(prefixed(request))
        for shape in _SHAPES:
            found: dict[str, list[float]] = {name: [] for name in NAMES}
            for number in range(count):
                for server in in_turn(servers, number):
                    rate = _h2load(server, method, body, shape, seconds)
                    found[server.name].append(rate)
            rounds = Rounds(**found)
            ours, etcd = (figure(statistics.median(found[name])) for name in NAMES)
            shown = f"{shape[0]}, {shape[1]}"
            lines.append(
                f"| {_TITLES[method]} | {shown} | {ours}/s | {etcd}/s | {rounds.spread()} |"
            )
            tell(lines[-1])
    return lines


def _h2load(
    server: Server, method: str, body: Path, shape: tuple[int, int], seconds: float
) -> float:
    clients, streams = shape
    command = [
        "h2load", f"--duration={max(1, round(seconds))}", "--warm-up-time=1",
        f"--clients={clients}", f"--max-concurrent-streams={streams}", f"--data={body}",
        "--header=content-type: application/grpc", "--header=te: trailers",
        f"http://127.0.0.1:{server.port}/etcdserverpb.KV/{method}",
    ]  # fmt: skip
    before = server.revision()
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rate = re.search(r"finished in [\d.]+s, ([\d.]+) req/s", shown)
    done = re.search(r"(\d+) total, \d+ started, (\d+) done, \d+ succeeded, 0 failed", shown)
    if rate is None or done is None:
        raise ServerError(f"{server.name}: h2load says\n{shown}")
    if method == "Put" and server.revision() - before < int(done[2]):
        # It counts what was answered; what was under way at its end is written all the same.
        raise ServerError(f"{server.name}: fewer revisions than h2load counts")
    return float(rate[1])


def measure_checks(servers: Sequence[Server], loads: Sequence[str]) -> list[str]:
    """Run ``etcdctl check perf`` on both, a minute for each load; return a table."""
    lines = [
        "| etcdctl check perf | server | writes/s | slowest | deviation | verdict |",
        "|---|---|---|---|---|---|",
    ]
    for load in loads:
        rate, clients = _CHECKS[load]
        for server in servers:
            shown = _check(server, load)
            found = {name: _found(pattern, shown) for name, pattern in _CHECK_FIGURES.items()}
            verdict = "PASS" if re.search(r"^PASS$", shown, re.MULTILINE) else "FAIL"
            title = f"`--load={load}`: {rate:,}/s of {clients} clients"
            lines.append(
                f"| {title} | {server.name} | {found['writes']:,.0f} "
                f"| {found['slowest'] * 1e3:.0f} ms | {found['deviation'] * 1e3:.1f} ms "
                f"| {verdict} |"
            )
            tell(lines[-1])
    return lines


def _check(server: Server, load: str) -> str:
    command = ["etcdctl", f"--endpoints=127.0.0.1:{server.port}", "check", "perf"]
    # Its exit status says FAIL, too, which is a figure here and no error.
    done = subprocess.run(
        [*command, f"--load={load}"],
        env={**os.environ, "ETCDCTL_API": "3"},
        check=False,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def _found(pattern: str, shown: str) -> float:
    found = re.search(pattern, shown)
    if found is None:
        raise ServerError(f"etcdctl check perf says\n{shown[-500:]}")
    return float(found[1])
