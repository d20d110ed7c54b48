"""What is measured: a load each, and what ours is to reach beside etcd's."""

from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.kv.generator import Load

KEYS = 100_000
VALUE_BYTES = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What the ratio ours ÷ etcd is to reach; with *less* it is to be at most that."""

    floor: float
    aim: float
    less: bool = False

    def verdict(self, ratio: float) -> str:
        """Say in words what *ratio* reaches."""
        if self._reaches(ratio, self.aim):
            return "aim"
        return "floor" if self._reaches(ratio, self.floor) else "**no**"

    def _reaches(self, ratio: float, limit: float) -> bool:
        return ratio <= limit if self.less else ratio >= limit

    def shown(self, limit: float) -> str:
        """Return *limit* as it reads in a table."""
        return f"{'≤' if self.less else '≥'} {limit:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One figure of a load: *of* takes it out, *unit* is behind it in the table."""

    title: str
    unit: str
    of: Callable[[Load], float]
    goal: Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One load, its arguments to the generator without duration and seed."""

    name: str
    arguments: tuple[str, ...]
    metrics: tuple[Metric, ...]
    writes: bool = True
    keys: int = field(default=KEYS)

    def command(self, *, seconds: float, seed: int) -> list[str]:
        """Return the generator's arguments for a run of *seconds*."""
        # What has just begun is not measured; a second is enough, and a quarter of a short run.
        warm_up = min(1.0, seconds / 4)
        return [
            *self.arguments, "-n", str(self.keys), "-v", str(VALUE_BYTES),
            "-s", f"{seconds:g}", "-w", f"{warm_up:g}", "-r", str(seed),
        ]  # fmt: skip


def _rate(title: str, floor: float, aim: float) -> tuple[Metric, ...]:
    goal = Goal(floor=floor, aim=aim)
    return (Metric(title=title, unit="/s", of=lambda load: load.rate, goal=goal),)


def _events(title: str) -> tuple[Metric, ...]:
    goal = Goal(floor=1.5, aim=2.5)
    return (Metric(title=title, unit="/s", of=lambda load: load.event_rate, goal=goal),)


_HUNDRED = ("-c", "10", "-m", "10")
_ONE = ("-c", "1", "-m", "1")
_WATCHERS = ("-k", "watch", "-c", "10", "-m", "100", "-W", "1000")
_DELAY = Goal(floor=1, aim=0.7, less=True)

TABLE: tuple[Work, ...] = (
    Work(
        name="put",
        arguments=("-k", "put", *_HUNDRED),
        metrics=_rate("durable puts, 100 in flight", 1.5, 2),
    ),
    Work(
        name="put-go",
        arguments=("-k", "put", *_HUNDRED, "-t", "go"),
        metrics=_rate("the same, each with another timeout, as grpc-go sends it", 1.1, 1.6),
    ),
    Work(
        name="put-core",
        arguments=("-k", "put", *_HUNDRED, "-t", "core"),
        metrics=_rate("the same, each with another timeout, as C-core sends it", 1.1, 1.6),
    ),
    Work(
        name="put1",
        arguments=("-k", "put", *_ONE),
        metrics=_rate("durable puts, one at a time", 1, 1.2),
    ),
    Work(
        name="get",
        arguments=("-k", "get", *_HUNDRED),
        metrics=_rate("gets, 100 in flight", 6, 12),
        writes=False,
    ),
    Work(
        name="get1",
        arguments=("-k", "get", *_ONE),
        metrics=_rate("gets, one at a time", 2, 3),
        writes=False,
    ),
    Work(
        name="range",
        arguments=("-k", "range", "-c", "10", "-m", "1"),
        metrics=_rate("ranges of 1,000 keys, 10 connections", 1.8, 2.5),
        writes=False,
    ),
    Work(
        name="swap",
        arguments=("-k", "swap", *_HUNDRED),
        metrics=_rate("compare-and-swap transactions, 100 in flight", 2.5, 4),
    ),
    Work(
        name="watch-keys",
        arguments=(*_WATCHERS, "-S", "100", "-K"),
        metrics=_events("events, 1,000 watchers on 1,000 keys, 100 streams"),
    ),
    Work(
        name="watch-prefix",
        arguments=(*_WATCHERS, "-S", "100"),
        metrics=_events("events, 1,000 watchers on one prefix, 100 streams"),
    ),
    Work(
        name="watch-streams",
        arguments=(*_WATCHERS, "-S", "1000"),
        metrics=_events("events, 1,000 watchers on one prefix, a stream each"),
    ),
    Work(
        name="delay",
        arguments=("-k", "watch", *_ONE, "-W", "1", "-S", "1"),
        metrics=(
            Metric(
                title="put to watch event, p50",
                unit=" ms",
                of=lambda load: load.event_p50_ms,
                goal=_DELAY,
            ),
            Metric(
                title="put to watch event, p99",
                unit=" ms",
                of=lambda load: load.event_p99_ms,
                goal=_DELAY,
            ),
        ),
    ),
)
