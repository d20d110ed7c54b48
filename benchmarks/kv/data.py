"""A hundred thousand keys and a million revisions: the memory they take, and a start on them."""

from pathlib import Path

from benchmarks.kv.generator import Generator
from benchmarks.kv.rounds import Rounds, in_turn, line, tell
from benchmarks.kv.servers import NAMES, Server, running
from benchmarks.kv.work import KEYS, VALUE_BYTES, Goal

REVISIONS = 1_000_000
MEMORY = Goal(floor=0.6, aim=0.35, less=True)
START = Goal(floor=1.2, aim=0.7, less=True)


def measure_data(generator: Generator, directory: Path, count: int) -> list[str]:
    """Write both, then start both *count* times in turn; return the lines of the table."""
    with running(generator, directory, keys=KEYS) as servers:
        for server in servers:
            write_revisions(server, KEYS, REVISIONS - KEYS)
            tell(f"{server.name}: {REVISIONS} revisions")
        written = {server.name: [server.resident_mib()] for server in servers}
        starts, started, anonymous = restart(servers, count)
    title = f"{KEYS:,} keys, {REVISIONS:,} revisions"
    return [
        line(f"resident memory, {title}, as written", " MiB", Rounds(**written), MEMORY),
        line("the same after a start", " MiB", Rounds(**started), MEMORY),
        line("the same, without pages of files", " MiB", Rounds(**anonymous), MEMORY),
        line("seconds to start on that data", " s", Rounds(**starts), START),
    ]


def write_revisions(server: Server, keys: int, puts: int) -> None:
    """Put *puts* times to random ones of *keys* keys."""
    load = ["-k", "put", "-c", "10", "-m", "50", "-N", str(puts)]
    server.drive([*load, "-n", str(keys), "-v", str(VALUE_BYTES)], writes=True)


def restart(servers: list[Server], count: int) -> tuple[dict[str, list[float]], ...]:
    """Stop and start both *count* times in turn.

    Returns, by server and for each start, its seconds, the resident memory after it, and what of
    that is not pages of files.
    """
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    resident: dict[str, list[float]] = {name: [] for name in NAMES}
    anonymous: dict[str, list[float]] = {name: [] for name in NAMES}
    for number in range(count):
        for server in in_turn(servers, number):
            server.stop()
            seconds[server.name].append(server.start())
            resident[server.name].append(server.resident_mib())
            anonymous[server.name].append(server.anonymous_mib())
        shown = ", ".join(
            f"{name} {seconds[name][-1]:.2f} s {resident[name][-1]:.0f} MiB" for name in NAMES
        )
        tell(f"start {number + 1}/{count}: {shown}")
    return seconds, resident, anonymous
