"""Measure the KV beside a real etcd and print the tables.

    python -m benchmarks.kv [--rounds 7] [--seconds 10] [--work put,get,...] [--quick]

Both servers listen on loopback and keep their data below one directory, on one disk, never a tmpfs.
Each round drives both in turn, whoever was first being second in the next, and the ratio is that
within the round. The revision must rise by the requests counted, every answer must hold what was
asked for, every event must arrive. How far it is goes to standard error.
"""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.kv import data, foreign, growth, interference, rounds
from benchmarks.kv.generator import Generator, build
from benchmarks.kv.servers import kind_of_disk, running
from benchmarks.kv.work import KEYS, TABLE, VALUE_BYTES

#: What --quick takes: less of it, and only what needs no data of its own.
QUICK_ROUNDS, QUICK_SECONDS = 3, 2.0
#: A point of a curve gets less time than a line of the table.
GROWTH_ROUNDS_MAX, GROWTH_SECONDS_MAX = 3, 3.0


@dataclass(frozen=True, slots=True)
class Setting:
    """How everything is measured."""

    generator: Generator
    directory: Path
    rounds: int
    seconds: float
    checks: tuple[str, ...]
    plots: Path | None


def main() -> None:
    """Measure what was asked for."""
    options = _options()
    kind = kind_of_disk(options.directory)
    with tempfile.TemporaryDirectory(prefix="c101-bench-", dir=options.directory) as name:
        setting = Setting(
            build(Path(name)),
            Path(name),
            options.rounds or (QUICK_ROUNDS if options.quick else 7),
            options.seconds or (QUICK_SECONDS if options.quick else 10.0),
            tuple(options.checks.split(",")),
            options.plots,
        )
        before = os.getloadavg()[0]
        wanted = options.work.split(",") if options.work else _all(quick=options.quick)
        _table(setting, wanted)
        for part, measure in PARTS.items():
            if part in wanted:
                print(f"\n{measure(setting)}", flush=True)
    after = os.getloadavg()[0]
    print(
        f"\n{setting.rounds} rounds of {setting.seconds:g} s; {KEYS:,} keys, values of "
        f"{VALUE_BYTES} bytes, 10 connections where nothing else is said; {_etcd_version()}; data "
        f"on {kind}; load average {before:.1f} at the beginning, {after:.1f} at the end. "
        "The generator's CPU is its share of one processor, driving ours / etcd."
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="7; with --quick 3")
    parser.add_argument("--seconds", type=float, help="of each round: 10; with --quick 2")
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"), help="on a disk")
    names = ", ".join([work.name for work in TABLE] + ["data", *PARTS])
    parser.add_argument("--work", help=f"some of {names}; table, all but the last five; all")
    parser.add_argument("--checks", default="s,m,l", help="loads of etcdctl check perf")
    parser.add_argument("--plots", type=Path, help="where the curves are written as SVG")
    parser.add_argument("--quick", action="store_true", help="the table, without the data it needs")
    return parser.parse_args()


def _all(*, quick: bool) -> list[str]:
    names = [work.name for work in TABLE]
    return names if quick else [*names, "data", *PARTS]


def _table(setting: Setting, wanted: list[str]) -> None:
    works = [work for work in TABLE if work.name in wanted or "table" in wanted]
    if works or "data" in wanted:
        print(rounds.HEAD, flush=True)
    if works:
        with running(setting.generator, setting.directory, keys=KEYS) as servers:
            for work in works:
                lines = rounds.measure(servers, work, setting.rounds, setting.seconds)
                print("\n".join(lines), flush=True)
    if "data" in wanted:
        lines = data.measure_data(setting.generator, setting.directory, setting.rounds)
        print("\n".join(lines), flush=True)


def _interference(setting: Setting) -> str:
    with running(setting.generator, setting.directory, keys=KEYS) as servers:
        lines = interference.measure_interference(servers, setting.rounds, setting.seconds)
    return _part("What a put notices of others", lines)


def _h2load(setting: Setting) -> str:
    with running(setting.generator, setting.directory, keys=KEYS) as servers:
        lines = foreign.measure_h2load(servers, setting.directory, setting.rounds, setting.seconds)
    return _part("Under h2load", lines)


def _check(setting: Setting) -> str:
    with running(setting.generator, setting.directory, keys=KEYS) as servers:
        lines = foreign.measure_checks(servers, setting.checks)
    return _part("Under etcdctl check perf", lines)


def _growth(setting: Setting) -> str:
    count = min(setting.rounds, GROWTH_ROUNDS_MAX)
    seconds = min(setting.seconds, GROWTH_SECONDS_MAX)
    keys = growth.grow_keys(setting.generator, setting.directory, count, seconds)
    watchers = growth.grow_watchers(setting.generator, setting.directory, count, seconds)
    lines = [f"Ours : etcd = ratio; medians of {count} rounds of {seconds:g} s.", ""]
    for what, columns in (("keys", keys), ("watchers", watchers)):
        lines += [*growth.table(what, columns), ""]
        if setting.plots is not None:
            setting.plots.mkdir(parents=True, exist_ok=True)
            path = setting.plots / f"kv-{what}.svg"
            path.write_text(growth.plot(what, columns))
            lines += [f"![by the number of {what}]({setting.plots.name}/{path.name})", ""]
    return _part("How it grows", lines)


def _part(title: str, lines: list[str]) -> str:
    return "\n".join([f"### {title}", "", *lines]).rstrip()


def _etcd_version() -> str:
    shown = subprocess.run(["etcd", "--version"], check=True, capture_output=True, text=True)
    return shown.stdout.splitlines()[0].replace(" Version:", "")


PARTS: dict[str, Callable[[Setting], str]] = {
    "interference": _interference,
    "h2load": _h2load,
    "check": _check,
    "growth": _growth,
}


if __name__ == "__main__":
    main()
