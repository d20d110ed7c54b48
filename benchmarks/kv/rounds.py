"""Rounds: both servers in turn under one load, and the ratio within each round."""

import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.kv.generator import Load
from benchmarks.kv.servers import NAMES, Server
from benchmarks.kv.work import Goal, Metric, Work

HEAD = (
    "| work | ours | etcd | ours ÷ etcd: median (least to most) | floor | aim | reached "
    "| generator's CPU |\n|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """One figure over the rounds, by server; ratios are those within a round."""

    ours: list[float] = field(default_factory=list)
    etcd: list[float] = field(default_factory=list)

    @property
    def ratios(self) -> list[float]:
        """Return ours by etcd's, round by round."""
        pairs = zip(self.ours, self.etcd, strict=True)
        return [ours / etcd if etcd else math.inf for ours, etcd in pairs]

    def spread(self) -> str:
        """Return the median ratio and its extremes."""
        ratios = self.ratios
        return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def line(title: str, unit: str, rounds: Rounds, goal: Goal, cpu: str = "") -> str:
    """Return a line of the table."""
    ours, etcd = (figure(statistics.median(found)) for found in (rounds.ours, rounds.etcd))
    verdict = goal.verdict(statistics.median(rounds.ratios))
    return (
        f"| {title} | {ours}{unit} | {etcd}{unit} | {rounds.spread()} "
        f"| {goal.shown(goal.floor)} | {goal.shown(goal.aim)} | {verdict} | {cpu} |"
    )


def figure(value: float) -> str:
    """Return a figure with as many digits as say something."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def in_turn(servers: Sequence[Server], number: int) -> list[Server]:
    """Return the servers in the order of round *number*: the disk's moods are shared fairly."""
    return list(servers) if number % 2 == 0 else list(servers)[::-1]


def measure(servers: Sequence[Server], work: Work, count: int, seconds: float) -> list[str]:
    """Run *count* rounds of *work*; return the lines of the table they make."""
    loads: dict[str, list[Load]] = {name: [] for name in NAMES}
    for number in range(count):
        for server in in_turn(servers, number):
            arguments = work.command(seconds=seconds, seed=number + 1)
            loads[server.name].append(server.drive(arguments, writes=work.writes))
        shown = "  ".join(_shown(work.metrics[0], name, loads[name][-1]) for name in NAMES)
        tell(f"{work.name} {number + 1}/{count}: {shown}")
    cpu = " / ".join(f"{statistics.median(run.cpu for run in loads[name]):.0%}" for name in NAMES)
    return [
        line(
            metric.title,
            metric.unit,
            Rounds(**{name: [metric.of(run) for run in loads[name]] for name in NAMES}),
            metric.goal,
            cpu,
        )
        for metric in work.metrics
    ]


def tell(text: str) -> None:
    """Say how far it is, beside what is printed for the page."""
    print(text, file=sys.stderr, flush=True)


def _shown(metric: Metric, name: str, load: Load) -> str:
    return (
        f"{name} {figure(metric.of(load))}{metric.unit} "
        f"(p50 {load.p50_ms:.2f}, p99 {load.p99_ms:.2f} ms, generator {load.cpu:.0%})"
    )
