"""Power is cut at any moment: what was acknowledged is there, and nothing half done.

What was not synced is dropped, or kept in part: any writes of it, any sectors of them, any names.
"""

import asyncio
import os
import pickle
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from c101.core.clock import SystemClock
from c101.core.errors import C101Error
from c101.core.etcd.errors import KVError
from c101.core.kv import storage
from c101.core.kv.compactor import Compactor
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from tests.conftest import Summary
from tests.disk.journal import POLICIES, Record, read_journal, replayed, write_state
from tests.disk.power_cut import PowerCutKV, UnsyncedPowerCutKV
from tests.disk.shim import HAVE_GCC, Shim
from tests.disk.work import SMALL_LOG, Dump, dump
from tests.linearizability.historian import Historian
from tests.linearizability.replay import ReplayError
from tests.linearizability.rounds import Rounds

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(not HAVE_GCC, reason="no gcc here"),
]

#: Moments at which power is cut; ``make fuzz`` asks for many more.
CUTS = int(os.environ.get("C101_POWER_CUTS", "1000"))
#: Power cuts of a whole server under load.
ROUNDS = max(6, CUTS // 200)
SEED = 101


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory in memory where there is one: what is read back need not be on a disk."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None) as directory:
        yield Path(directory)


def recorded(library: Path, directory: Path, *options: str) -> tuple[list[Record], list[Dump]]:
    """Let the driver work on a simulated disk; return its journal and what a reader saw."""
    root = directory / "disk"
    root.mkdir()
    shim = Shim(library, root, directory / "journal")
    dumps = directory / "dumps"
    subprocess.run(
        [sys.executable, "-m", "tests.disk.driver", str(root), str(dumps), *options],
        env=shim.environment,
        check=True,
        timeout=120,
    )
    return read_journal(shim.journal), pickle.loads(dumps.read_bytes())


async def recovered(directory: Path) -> Dump:
    """Open what a power cut left, see what is there, and that it can be worked with."""
    store = Store(Storage(directory), SystemClock())
    try:
        found = dump(store)
        assert store.storage.writer.execute("pragma integrity_check").fetchone() == ("ok",)
        compactor = Compactor(store, SystemClock())
        running = asyncio.create_task(compactor.run())
        await compactor.finished(store.compact_revision)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert dump(store) == found
        return found
    finally:
        await store.close()


def problems(
    records: list[Record], dumps: list[Dump], root: Path, memory: Path, cuts: int
) -> Iterator[str]:
    """Cut power at *cuts* moments, each with one of the ways to lose what was not synced."""
    random_ = random.Random(SEED)
    moments = Counter(random_.randrange(len(records) + 1) for _ in range(cuts))
    marks = {"begin": 0, "done": 0, "open": 0}
    for time, disk in enumerate(replayed(root, records)):
        if time and records[time - 1].data.strip() in (b"begin", b"done", b"open"):
            marks[records[time - 1].data.strip().decode()] += 1
        for _ in range(moments[time]):
            policy = random_.choice(POLICIES)
            with TemporaryDirectory(dir=memory) as cut:
                write_state(disk.crashed(random_, policy), root, Path(cut))
                try:
                    found = asyncio.run(recovered(Path(cut, "kv")))
                except (C101Error, AssertionError) as exc:
                    yield f"record {time}, {policy}: {exc!r}"
                    continue
            allowed = dumps[marks["done"] : marks["begin"] + 1]
            if marks["open"] and found not in allowed:
                yield (
                    f"record {time}, {policy}: revision {found.revision} after"
                    f" {allowed[0].revision} was acknowledged and {allowed[-1].revision} begun"
                )


@pytest.mark.timeout(120 + CUTS // 10)
def test_whenever_power_is_cut_what_was_acknowledged_is_there(
    library: Path, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch, summary: Summary
) -> None:
    records, dumps = recorded(library, tmp_path)
    small_log(monkeypatch)
    found = list(problems(records, dumps, tmp_path / "disk", memory, CUTS))
    summary(f"power cuts: {CUTS:,} at {len(records):,} moments of {len(dumps):,} acknowledgements")
    assert not found, "\n".join(found[:10])


def test_without_syncs_the_same_power_cuts_lose_what_was_acknowledged(
    library: Path, tmp_path: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, dumps = recorded(library, tmp_path, "--without-sync")
    small_log(monkeypatch)
    found = list(problems(records, dumps, tmp_path / "disk", memory, 50))
    assert len(found) > 10


def small_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what is read back be opened as the driver opened it."""
    for name, value in SMALL_LOG.items():
        monkeypatch.setattr(storage, name, value)


async def under_load(server: PowerCutKV, count: int) -> Counter[str]:
    """Cut the power of *server* so many times, under load; return what was done meanwhile."""
    server.start()
    try:
        async with Historian(server.port) as historian:
            rounds = Rounds(server, historian)
            for _ in range(count):
                await rounds.round(kill=True, single=False)
            return rounds.mix
    finally:
        server.kill()


@pytest.mark.timeout(120 + 20 * ROUNDS)
async def test_a_server_under_load_keeps_its_promises_over_power_cuts(
    library: Path, tmp_path: Path, summary: Summary
) -> None:
    mix = await under_load(PowerCutKV(tmp_path, library, SEED), ROUNDS)
    counts = ", ".join(f"{count:,} {name}" for name, count in mix.most_common(6))
    summary(f"power cuts under load: {ROUNDS} rounds: {counts}")


@pytest.mark.timeout(120)
async def test_without_syncs_a_server_under_load_breaks_them(library: Path, tmp_path: Path) -> None:
    server = UnsyncedPowerCutKV(tmp_path, library, SEED)
    with pytest.raises((AssertionError, ReplayError, KVError)):
        await under_load(server, len(POLICIES))
