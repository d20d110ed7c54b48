"""A clock that stands still until it is moved."""

import asyncio
import heapq
import itertools

#: 2026-11-23 18:42:07 UTC.
START = 1_795_459_327.0


class FakeClock:
    """Time for tests: ``advance`` moves it and wakes who slept so long."""

    def __init__(self, start: float = START) -> None:
        self._wall = start
        self._monotonic = 1_000.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._order = itertools.count()

    def time(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.Event()
        item = (self._monotonic + seconds, next(self._order), woken)
        heapq.heappush(self._sleepers, item)
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Move time on, waking sleepers in the order of their alarms."""
        end = self._monotonic + seconds
        while self._sleepers and self._sleepers[0][0] <= end:
            alarm, _, woken = heapq.heappop(self._sleepers)
            self._move_to(alarm)
            woken.set()
            await settle()
        self._move_to(end)
        await settle()

    @property
    def sleepers(self) -> int:
        """How many wait for their alarm."""
        return len(self._sleepers)

    def _move_to(self, monotonic: float) -> None:
        self._wall += max(0.0, monotonic - self._monotonic)
        self._monotonic = max(self._monotonic, monotonic)


async def settle(turns: int = 20) -> None:
    """Let whatever is ready run."""
    for _ in range(turns):
        await asyncio.sleep(0)
