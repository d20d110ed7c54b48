"""``--snapshot-every``: snapshots in a directory, kept in number, whatever goes wrong."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.kv.revision import SHIFT
from c101.core.kv.snapshot.restore import restore
from c101.core.kv.snapshot.snapshot_file import status
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from c101.core.kvserver.snapshot_keeper import (
    RETRY_SECONDS,
    SnapshotKeeper,
    SnapshotPlan,
)
from tests.fakes.clock import FakeClock
from tests.kvserver.processes import Ours

HOUR = 3_600.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    one = Store(Storage(tmp_path / "kv"), SystemClock())
    await write(one)
    yield one
    await one.close()


async def write(store: Store) -> None:
    store.staged_revision += 1
    store.stage_put(store.staged_revision << SHIFT, b"k", os.urandom(100), 0)
    await store.durable()


def plan(tmp_path: Path, keep: int = 3) -> SnapshotPlan:
    return SnapshotPlan(directory=tmp_path / "snapshots", every_seconds=HOUR, keep=keep)


def names(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "snapshots").iterdir())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def test_the_latest_are_kept_and_each_is_whole(store: Store, tmp_path: Path) -> None:
    clock = FakeClock()
    keeper = SnapshotKeeper(store.storage.path, plan(tmp_path), clock)
    task = asyncio.create_task(keeper.run())
    for revision in range(2, 8):
        await until(lambda: clock.sleepers == 1)
        assert status(keeper.kept()[-1]).revision == revision
        await write(store)
        await clock.advance(HOUR)
    await until(lambda: clock.sleepers == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    kept = keeper.kept()
    assert names(tmp_path) == [path.name for path in kept]
    assert [status(path).revision for path in kept] == [6, 7, 8]
    assert {path.stat().st_mode & 0o777 for path in kept} == {0o600}


async def test_the_next_one_is_due_when_the_last_one_is_old_enough(
    store: Store, tmp_path: Path
) -> None:
    clock = FakeClock()
    assert SnapshotKeeper(store.storage.path, plan(tmp_path), clock).take()
    (first,) = names(tmp_path)
    await clock.advance(HOUR - 100)
    # The KV was started again: the last one is not forgotten.
    keeper = SnapshotKeeper(store.storage.path, plan(tmp_path), clock)
    task = asyncio.create_task(keeper.run())
    await until(lambda: clock.sleepers == 1)
    await clock.advance(99)
    assert names(tmp_path) == [first]
    await clock.advance(2)
    await until(lambda: clock.sleepers == 1)
    assert len(keeper.kept()) == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_failure_is_logged_and_tried_again_and_no_older_one_is_removed(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    keeper = SnapshotKeeper(store.storage.path, plan(tmp_path, keep=1), clock)
    assert keeper.take()
    before = names(tmp_path)
    database = store.storage.path
    database.rename(tmp_path / "aside")
    await clock.advance(HOUR)
    assert not keeper.take()
    assert "snapshot failed" in caplog.text
    assert names(tmp_path) == before
    task = asyncio.create_task(keeper.run())
    await until(lambda: clock.sleepers == 1)
    (tmp_path / "aside").rename(database)
    await clock.advance(RETRY_SECONDS + 1)
    # It sleeps again when the next one is there and the one before it removed.
    await until(lambda: clock.sleepers == 1)
    assert len(names(tmp_path)) == 1
    assert names(tmp_path) != before
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_directory_that_cannot_be_had_is_a_failure_and_no_end(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    where = SnapshotPlan(directory=tmp_path / "file" / "d", every_seconds=HOUR, keep=1)
    assert not SnapshotKeeper(store.storage.path, where, FakeClock()).take()
    assert "snapshot failed" in caplog.text


async def test_what_a_killed_one_left_is_removed_and_what_is_not_ours_is_not(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "snapshots").mkdir()
    (tmp_path / "snapshots" / "kv-20200101T000000Z-r5.db.abc.part").write_bytes(b"half")
    (tmp_path / "snapshots" / "kv-mine.db").write_bytes(b"mine")
    (tmp_path / "snapshots" / "letter").write_bytes(b"dear")
    keeper = SnapshotKeeper(store.storage.path, plan(tmp_path, keep=1), FakeClock())
    assert keeper.take()
    assert len(names(tmp_path)) == 3
    assert not [name for name in names(tmp_path) if name.endswith(".part")]


@pytest.mark.integration
async def test_a_kv_whose_disk_was_lost_is_restored_from_its_last_snapshot(tmp_path: Path) -> None:
    """The drill: lose everything but the directory of the snapshots."""
    kept = tmp_path / "elsewhere"
    ours = Ours(tmp_path / "site")
    command = ours.command
    options = ["--snapshot-every", "1s", "--snapshot-keep", "2", "--snapshot-dir", str(kept)]
    ours.command = lambda: [*command(), *options]  # type: ignore[method-assign]
    await asyncio.to_thread(ours.start)
    client = ours.client()
    for number in range(100):
        client.put(b"/k/%d" % number, b"v%d" % number)
    held = client.grant(500).ID
    client.put(b"/leased", b"", lease=held)
    revision = client.revision

    def snapshots() -> list[Path]:
        return sorted(kept.glob("kv-*.db")) if kept.exists() else []

    await until(lambda: bool(snapshots()) and f"-r{revision}." in snapshots()[-1].name)
    await until(lambda: len(snapshots()) == 2)
    client.close()
    ours.kill()
    (ours.directory / "kv" / "kv.db").unlink()
    newest = snapshots()[-1]
    restore(newest, tmp_path / "again" / "kv")
    back = Ours(tmp_path / "again")
    await asyncio.to_thread(back.start)
    client = back.client()
    assert client.revision == revision
    assert len(client.get(b"/k/", b"/k0").kvs) == 100
    assert list(client.time_to_live(held).keys) == [b"/leased"]
    client.close()
    await asyncio.to_thread(back.stop)


@pytest.mark.integration
@pytest.mark.parametrize("text", ["often", "0s", "1", "", "1d", "-1h"])
def test_an_interval_that_is_none_is_told_before_the_kv_starts(tmp_path: Path, text: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "c101.core.daemon", "kv", "--data-dir", str(tmp_path / "kv"),
         "--listen", "http://127.0.0.1:0", f"--snapshot-every={text}"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--snapshot-every" in done.stderr
    assert not (tmp_path / "kv").exists()
