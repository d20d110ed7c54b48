"""How many writes an engine has under way: few on a fast KV, more on one that takes its time."""

import asyncio

from c101.core.scheduler.window import SLOW_SECONDS, WRITES_MAX, WRITES_MIN, Window
from tests.fakes.clock import FakeClock


async def round_trips(window: Window, clock: FakeClock, count: int, seconds: float) -> None:
    """Have all writes that there is room for under way at once, *count* times."""
    for _ in range(count):
        entered = [await window.enter() for _ in range(window.size)]
        full = asyncio.create_task(window.enter())
        await asyncio.sleep(0)
        assert not full.done()
        full.cancel()
        await asyncio.gather(full, return_exceptions=True)
        await clock.advance(seconds)
        for at in entered:
            window.leave(at)


async def test_fast_writes_stay_few() -> None:
    clock = FakeClock()
    window = Window(clock)
    await round_trips(window, clock, 100, SLOW_SECONDS / 10)
    assert window.size == WRITES_MIN


async def test_slow_ones_become_more_up_to_a_limit_one_a_round_trip() -> None:
    clock = FakeClock()
    window = Window(clock)
    await round_trips(window, clock, 5, SLOW_SECONDS * 2)
    assert window.size == WRITES_MIN + 5
    await round_trips(window, clock, WRITES_MAX, SLOW_SECONDS * 2)
    assert window.size == WRITES_MAX


async def test_what_was_slow_and_is_fast_again_becomes_fewer() -> None:
    clock = FakeClock()
    window = Window(clock)
    await round_trips(window, clock, 10, SLOW_SECONDS * 2)
    await round_trips(window, clock, 3, SLOW_SECONDS / 10)
    assert window.size == WRITES_MIN + 7
    await round_trips(window, clock, 100, SLOW_SECONDS / 10)
    assert window.size == WRITES_MIN


async def test_who_waits_for_room_gets_it() -> None:
    window = Window(FakeClock())
    entered = [await window.enter() for _ in range(WRITES_MIN)]
    waiting = [asyncio.create_task(window.enter()) for _ in range(WRITES_MIN)]
    for at in entered:
        window.leave(at)
    await asyncio.gather(*waiting)
