"""How each figure grows: from a thousand keys to a million, from one watcher to ten thousand."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.kv.chart import Panel, draw
from benchmarks.kv.data import restart
from benchmarks.kv.generator import Generator, Load
from benchmarks.kv.rounds import Rounds, figure, in_turn, tell
from benchmarks.kv.servers import NAMES, Server, running
from benchmarks.kv.work import TABLE, Work

KEYS = (1_000, 10_000, 100_000, 1_000_000)
WATCHERS = (1, 10, 100, 1_000, 10_000)
#: Streams of the watchers, as far as there are so many.
STREAMS = 100
STARTS = 3
#: Watchers watch one prefix of so many keys.
_WATCHED_KEYS = 1_000
_WORKS = {work.name: work for work in TABLE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One figure as it grows: by what it grows with, the rounds."""

    title: str
    unit: str
    rounds: dict[int, Rounds]


def grow_keys(generator: Generator, directory: Path, count: int, seconds: float) -> list[Column]:
    """Measure rates, memory and start of both with each number of keys."""
    titles = {"put": "puts/s", "get": "gets/s", "range": "ranges of 1,000 keys/s"}
    rates = {name: Column(title=title, unit="/s", rounds={}) for name, title in titles.items()}
    resident = Column(title="resident memory after a start, MiB", unit=" MiB", rounds={})
    start = Column(title="seconds to start", unit=" s", rounds={})
    for keys in KEYS:
        with running(generator, directory, keys=keys) as servers:
            for name, column in rates.items():
                work = replace(_WORKS[name], keys=keys)
                column.rounds[keys] = _rounds(servers, work, count, seconds, _rate)
                _say(column, keys, "keys")
            seconds_taken, memory, _ = restart(servers, STARTS)
            resident.rounds[keys] = Rounds(**memory)
            start.rounds[keys] = Rounds(**seconds_taken)
            _say(resident, keys, "keys")
            _say(start, keys, "keys")
    return [*rates.values(), resident, start]


def grow_watchers(
    generator: Generator, directory: Path, count: int, seconds: float
) -> list[Column]:
    """Measure events and what a put takes with each number of watchers of one prefix."""
    events = Column(title="events/s, 100 puts in flight", unit="/s", rounds={})
    put = Column(title="a put at a time, p50, ms", unit=" ms", rounds={})
    last = Column(title="put to the last event, p50, ms", unit=" ms", rounds={})
    with running(generator, directory, keys=_WATCHED_KEYS) as servers:
        for watchers in WATCHERS:
            many = replace(_watch(watchers, 100), keys=_WATCHED_KEYS)
            one = replace(_watch(watchers, 1), keys=_WATCHED_KEYS)
            events.rounds[watchers] = _rounds(servers, many, count, seconds, _event_rate)
            put.rounds[watchers], last.rounds[watchers] = _delays(servers, one, count, seconds)
            for column in (events, put, last):
                _say(column, watchers, "watchers")
    return [events, put, last]


def table(what: str, columns: Sequence[Column]) -> list[str]:
    """Return a table: a line for each number of *what*, ours, etcd's and the ratio in each cell."""
    lines = [f"| {what} | {' | '.join(column.title for column in columns)} |"]
    lines.append("|---" * (len(columns) + 1) + "|")
    for number in columns[0].rounds:
        cells = " | ".join(_cell(column.rounds[number]) for column in columns)
        lines.append(f"| {number:,} | {cells} |")
    return lines


def plot(what: str, columns: Sequence[Column]) -> str:
    """Return an SVG with a panel for each column."""
    return draw(
        [
            Panel(
                title=column.title,
                across=what,
                lines={
                    name: [
                        (x, statistics.median(getattr(y, name))) for x, y in column.rounds.items()
                    ]
                    for name in NAMES
                },
            )
            for column in columns
        ]
    )


def _watch(watchers: int, in_flight: int) -> Work:
    streams = min(watchers, STREAMS)
    connections = min(streams, 10)
    return replace(
        _WORKS["watch-prefix"],
        arguments=(
            "-k", "watch", "-c", str(connections), "-m", str(in_flight),
            "-W", str(watchers), "-S", str(streams),
        ),
    )  # fmt: skip


def _loads(
    servers: Sequence[Server], work: Work, count: int, seconds: float
) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in NAMES}
    for number in range(count):
        for server in in_turn(servers, number):
            arguments = work.command(seconds=seconds, seed=number + 1)
            loads[server.name].append(server.drive(arguments, writes=work.writes))
    return loads


def _rounds(
    servers: Sequence[Server],
    work: Work,
    count: int,
    seconds: float,
    of: Callable[[Load], float],
) -> Rounds:
    loads = _loads(servers, work, count, seconds)
    return Rounds(**{name: [of(load) for load in loads[name]] for name in NAMES})


def _delays(
    servers: Sequence[Server], work: Work, count: int, seconds: float
) -> tuple[Rounds, Rounds]:
    loads = _loads(servers, work, count, seconds)
    return (
        Rounds(**{name: [load.p50_ms for load in loads[name]] for name in NAMES}),
        Rounds(**{name: [load.event_p50_ms for load in loads[name]] for name in NAMES}),
    )


def _rate(load: Load) -> float:
    return load.rate


def _event_rate(load: Load) -> float:
    return load.event_rate


def _cell(rounds: Rounds) -> str:
    ours, etcd = (figure(statistics.median(found)) for found in (rounds.ours, rounds.etcd))
    return f"{ours} : {etcd} = {statistics.median(rounds.ratios):.2f}"


def _say(column: Column, number: int, what: str) -> None:
    tell(f"{number:,} {what}: {column.title}: {_cell(column.rounds[number])}")
