"""Deadlines in ticks."""

import asyncio

from c101.core.rpc.deadlines import TICK_SECONDS, TIMED_SECONDS_MAX, Deadlines


class Call:
    def __init__(self) -> None:
        self.expired_at: float | None = None

    def on_deadline(self) -> None:
        self.expired_at = asyncio.get_running_loop().time()


async def test_a_deadline_is_noticed_within_a_tick() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    call, start = Call(), loop.time()
    deadlines.add(call, 0.1)
    await asyncio.sleep(0.1 + 3 * TICK_SECONDS)
    assert call.expired_at is not None
    assert call.expired_at >= start + 0.1


async def test_a_call_that_left_its_bucket_does_not_expire() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    stays, leaves = Call(), Call()
    deadlines.add(stays, 0.01)
    bucket = deadlines.add(leaves, 0.01)
    assert bucket is not None
    bucket.discard(leaves)
    await asyncio.sleep(3 * TICK_SECONDS)
    assert leaves.expired_at is None
    assert stays.expired_at is not None


async def test_calls_of_the_same_tick_share_a_timer() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    buckets = {id(deadlines.add(Call(), 50 + number / 10_000)) for number in range(100)}
    assert len(buckets) <= 2
    assert len({id(deadlines.add(Call(), 100 + number / 100)) for number in range(100)}) <= 3
    deadlines.close()


async def test_a_very_long_time_is_not_timed() -> None:
    assert Deadlines(asyncio.get_running_loop()).add(Call(), TIMED_SECONDS_MAX + 1) is None


async def test_a_closed_set_of_deadlines_expires_nothing() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    call = Call()
    deadlines.add(call, 0.01)
    deadlines.close()
    await asyncio.sleep(3 * TICK_SECONDS)
    assert call.expired_at is None
