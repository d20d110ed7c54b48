"""How far a machine's clock is from the KV's: on our KV, on an etcd that does not say, and gone."""

import asyncio
import logging
from pathlib import Path

import pytest

from c101.agents.host.clock_offset import PERIOD_SECONDS, ClockOffset, clock_offset
from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.kvserver.server import ADMIN_SOCKET, KvServer
from c101.core.rpc.dial import UnixDialer, dialer_for
from tests.fakes.clock import FakeClock
from tests.kvserver.processes import HAVE_ETCD
from tests.processes import running_etcd


class Shifted(SystemClock):
    """A clock that goes wrong by so many seconds."""

    seconds = 0.0

    def time(self) -> float:
        return super().time() + self.seconds


@pytest.mark.parametrize("seconds", [0.0, 3_600.0, -7_200.0])
async def test_our_kv_says_what_time_it_is(tmp_path: Path, seconds: float) -> None:
    clock = Shifted()
    clock.seconds = seconds
    async with KvServer(tmp_path / "kv", SystemClock()) as server:
        await server.listen_unix(tmp_path / ADMIN_SOCKET)
        async with Client([UnixDialer(tmp_path / ADMIN_SOCKET)], clock=clock) as client:
            found = await clock_offset(client, clock)
    assert found is not None
    assert abs(found - seconds) < 1.0


@pytest.mark.skipif(not HAVE_ETCD, reason="needs etcd")
async def test_an_etcd_does_not_say_it(tmp_path: Path) -> None:
    with running_etcd(tmp_path) as server:
        async with Client([dialer_for(server.url)], clock=SystemClock()) as client:
            assert await clock_offset(client, SystemClock()) is None


async def test_a_wrong_clock_is_logged_once_and_its_end_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "c101.agents.host.clock_offset")
    real, ticking = Shifted(), FakeClock()
    ticking.time = real.time  # type: ignore[method-assign]
    async with KvServer(tmp_path / "kv", SystemClock()) as server:
        await server.listen_unix(tmp_path / ADMIN_SOCKET)
        async with Client([UnixDialer(tmp_path / ADMIN_SOCKET)], clock=SystemClock()) as client:
            offset = ClockOffset(client, ticking)
            running = asyncio.create_task(offset.run())

            async def look(seconds: float) -> None:
                real.seconds = seconds
                await ticking.advance(PERIOD_SECONDS)
                async with asyncio.timeout(10):
                    while offset.seconds is None or abs(offset.seconds - seconds) > 1:
                        await asyncio.sleep(0.01)
                    # It sleeps again only when it has said what there was to say.
                    while not ticking.sleepers:
                        await asyncio.sleep(0.01)

            for seconds in (0.0, 3_600.0, 3_605.0, 0.0):
                await look(seconds)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    assert [record.getMessage() for record in caplog.records] == [
        "the clock here differs from that of the KV's host",
        "the clock here is again that of the KV's host",
    ]


async def test_a_kv_that_is_gone_leaves_nothing_known(tmp_path: Path) -> None:
    ticking = FakeClock()
    dialer = UnixDialer(tmp_path / "nobody.sock")
    async with Client([dialer], clock=SystemClock(), fails_fast=True) as client:
        offset = ClockOffset(client, ticking)
        setattr(offset, "seconds", 3.0)  # noqa: B010 a type checker believes it for ever
        running = asyncio.create_task(offset.run())
        async with asyncio.timeout(30):
            while not ticking.sleepers:
                await asyncio.sleep(0.01)
        assert offset.seconds is None
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
