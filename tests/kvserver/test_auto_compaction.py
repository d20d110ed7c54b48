"""Automatic compaction on a clock that is moved by hand: when, and at which revision."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from c101.core.kvserver.options import KvOptions, Retention
from c101.core.kvserver.server import KvServer
from tests.fakes.clock import FakeClock
from tests.kvserver.processes import Ours

MINUTE = 60.0
HOUR = 3600.0


class Site:
    """A server on a clock of our own; ``write`` makes revisions."""

    def __init__(self, server: KvServer, clock: FakeClock) -> None:
        self.store = server.context.store
        self.clock = clock

    async def write(self, revision: int) -> None:
        """Put until the store stands at *revision*."""
        while self.store.staged_revision < revision:
            self.store.staged_revision += 1
            self.store.stage_put(self.store.staged_revision << 22, b"key", b"", 0)
        await self.store.durable()
        while self.store.revision < revision:
            await asyncio.sleep(0)

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, and what it set going be done."""
        await self.clock.advance(seconds)
        while not self.store.settled:
            await asyncio.sleep(0)
        await self.clock.advance(0)

    async def compacted_at(self, revision: int) -> bool:
        """Say whether the store is compacted at *revision*, once what was staged is durable."""
        await self.store.durable()
        while not self.store.settled:
            await asyncio.sleep(0)
        return self.store.compact_revision == revision


@pytest.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    clock = FakeClock()
    options = KvOptions(retention=request.param)
    async with KvServer(tmp_path, clock, options) as server:
        await clock.advance(0)
        yield Site(server, clock)


@pytest.mark.parametrize("site", [Retention(seconds=HOUR)], indirect=True)
async def test_after_an_hour_what_was_current_an_hour_ago_is_compacted(site: Site) -> None:
    await site.write(10)
    # Noted at 0, 6, 12 ... minutes, before what is written here: 1, 10, 16, 22 ...
    for minute in range(6, 60, 6):
        await site.pass_by(6 * MINUTE)
        assert await site.compacted_at(-1)
        await site.write(10 + minute)
    await site.pass_by(6 * MINUTE)
    assert await site.compacted_at(1)
    await site.write(100)
    for _ in range(9):
        await site.pass_by(6 * MINUTE)
        assert await site.compacted_at(1)
    await site.pass_by(6 * MINUTE)
    # The oldest note is that of the 54th minute: an hour at least stays readable.
    assert await site.compacted_at(58)


@pytest.mark.parametrize("site", [Retention(seconds=3 * HOUR)], indirect=True)
async def test_three_hours_are_compacted_hour_by_hour_once_they_are_over(site: Site) -> None:
    for hour in range(1, 3):
        await site.write(100 * hour)
        await site.pass_by(HOUR)
        assert await site.compacted_at(-1)
    await site.pass_by(HOUR)
    assert await site.compacted_at(1)
    await site.pass_by(HOUR)
    assert 1 < site.store.compact_revision <= 200


@pytest.mark.parametrize("site", [Retention(seconds=5)], indirect=True)
async def test_a_few_seconds_are_compacted_as_often_as_they_last(site: Site) -> None:
    await site.write(50)
    for _ in range(9):
        await site.pass_by(0.5)
    assert await site.compacted_at(-1)
    await site.pass_by(0.5)
    assert site.store.compact_revision >= 1
    await site.pass_by(5)
    assert await site.compacted_at(50)
    # Nothing is new: compacting the same again is no error.
    await site.pass_by(50)
    assert await site.compacted_at(50)


@pytest.mark.parametrize("site", [Retention(revisions=100)], indirect=True)
async def test_all_but_the_newest_revisions_are_compacted_every_five_minutes(site: Site) -> None:
    await site.write(100)
    await site.pass_by(5 * MINUTE)
    assert await site.compacted_at(-1)
    await site.write(250)
    await site.pass_by(4 * MINUTE)
    assert await site.compacted_at(-1)
    await site.pass_by(1 * MINUTE)
    assert await site.compacted_at(150)
    await site.pass_by(5 * MINUTE)
    assert await site.compacted_at(150)
    await site.write(251)
    await site.pass_by(5 * MINUTE)
    assert await site.compacted_at(151)


@pytest.mark.parametrize("site", [Retention(revisions=100)], indirect=True)
async def test_somebody_elses_compaction_is_taken_for_ours(site: Site) -> None:
    await site.write(300)
    site.store.stage_compaction(290)
    await site.store.durable()
    await site.pass_by(5 * MINUTE)
    assert await site.compacted_at(290)
    await site.write(500)
    await site.pass_by(5 * MINUTE)
    assert await site.compacted_at(400)


@pytest.mark.integration
def test_the_flags_reach_the_server_and_old_revisions_go(tmp_path: Path) -> None:
    own = Ours(tmp_path, flags=("--auto-compaction-retention=100ms",))
    own.start()
    client = own.client()
    for number in range(5):
        client.put(b"key", b"%d" % number)
    while client.hash_kv().compact_revision < 6:
        client.get(b"key")
    assert client.get(b"key").kvs[0].value == b"4"
    client.close()
    own.stop()
