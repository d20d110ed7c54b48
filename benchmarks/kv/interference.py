"""What a put notices of heavy work beside it: its 99th percentile, idle and not."""

import signal
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.kv.cluster import Cluster
from benchmarks.kv.generator import Load, LoadError
from benchmarks.kv.rounds import figure, in_turn, tell
from benchmarks.kv.servers import NAMES, Server
from benchmarks.kv.work import KEYS, VALUE_BYTES

UNITS = 10_000
#: How much longer than idle a put may take at its 99th percentile.
TIMES_MAX = 3.0
_HEAD = (
    "| put p99, one at a time, while | server | idle | then "
    "| then ÷ idle: median (least to most) | at most | reached |"
)
_READ = f"all {KEYS:,} keys are read, in a loop"
#: A load that is ended by hand.
_ENDLESS = "3600"
_END_SECONDS_MAX = 60.0
_PUTS = ["-k", "put", "-c", "1", "-m", "1", "-n", str(KEYS), "-v", str(VALUE_BYTES), "-w", "0.2"]
_SCANS = ["-k", "scan", "-c", "1", "-m", "1", "-n", str(KEYS), "-w", "0", "-s", _ENDLESS]


@dataclass
class _Found:
    """What was found of one server, a round each: milliseconds, and seconds to place all units."""

    idle: list[float] = field(default_factory=list)
    scanned: list[float] = field(default_factory=list)
    scheduled: list[float] = field(default_factory=list)
    placed: list[float] = field(default_factory=list)


def measure_interference(servers: Sequence[Server], count: int, seconds: float) -> list[str]:
    """Measure *count* rounds on servers with KEYS keys; return a table."""
    found = {name: _Found() for name in NAMES}
    for number in range(count):
        for server in in_turn(servers, number):
            one = found[server.name]
            one.idle.append(_p99(server, seconds))
            with _scanning(server):
                one.scanned.append(_p99(server, seconds))
            busy, placed = _while_scheduling(server, f"/bench{number}/")
            one.scheduled.append(busy)
            one.placed.append(placed)
            tell(
                f"{server.name} {number + 1}/{count}: put p99 idle {one.idle[-1]:.2f}, scanned "
                f"{one.scanned[-1]:.2f}, scheduled {busy:.2f} ms, all placed in {placed:.1f} s"
            )
    return [
        _HEAD,
        "|---|---|---|---|---|---|---|",
        *(_line(_READ, name, found[name].idle, found[name].scanned) for name in NAMES),
        *(_engine_line(name, found[name]) for name in NAMES),
    ]


def _p99(server: Server, seconds: float) -> float:
    return server.drive([*_PUTS, "-s", f"{seconds:g}"], writes=True).p99_ms


@contextmanager
def _scanning(server: Server) -> Iterator[None]:
    scans = server.generator.start(server.port, _SCANS)
    try:
        yield
    finally:
        _end(scans)


def _while_scheduling(server: Server, prefix: str) -> tuple[float, float]:
    """Have an engine place all units; return a put's p99 meanwhile and the seconds it took."""
    cluster = Cluster(server.port, prefix, UNITS)
    cluster.write()
    puts = server.generator.start(server.port, [*_PUTS, "-s", _ENDLESS])
    try:
        with cluster.engine():
            placed = cluster.until_placed()
    finally:
        p99 = _end(puts)
    return p99, placed


def _end(load: "subprocess.Popen[str]") -> float:
    """End *load*; return the 99th percentile of what was answered, in milliseconds."""
    load.send_signal(signal.SIGTERM)
    shown, said = load.communicate(timeout=_END_SECONDS_MAX)
    if load.returncode:
        raise LoadError(said.strip())
    return Load.parse(shown).p99_ms


def _engine_line(name: str, found: _Found) -> str:
    title = f"an engine places {UNITS:,} units, in {figure(statistics.median(found.placed))} s"
    return _line(title, name, found.idle, found.scheduled)


def _line(title: str, name: str, idle: list[float], busy: list[float]) -> str:
    ratios = [slow / fast for slow, fast in zip(busy, idle, strict=True)]
    median = statistics.median(ratios)
    reached = "yes" if median <= TIMES_MAX else "**no**"
    return (
        f"| {title} | {name} | {statistics.median(idle):.2f} ms | {statistics.median(busy):.2f} ms "
        f"| {median:.1f} ({min(ratios):.1f} to {max(ratios):.1f}) "
        f"| {TIMES_MAX:g} | {reached if name == 'ours' else ''} |"
    )
