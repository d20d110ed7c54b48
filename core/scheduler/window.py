"""How many writes are under way at once: few where each is fast, more where the KV takes its time.

What an engine writes in a burst is handled in a burst, and everybody else's next write waits for
that. A KV that answers within a millisecond is kept busy by a few writes; one on a slow disk, or
far away, makes many durable in the time of one.
"""

import asyncio

from c101.core.clock import Clock

WRITES_MIN = 8
WRITES_MAX = 64
#: A write that takes longer waited for a disk or a network, not for the other seven.
SLOW_SECONDS = 0.01


class Window:
    """Has room for ``size`` writes at once; once a round trip it grows by one, or shrinks."""

    def __init__(self, clock: Clock) -> None:
        self.size = WRITES_MIN
        self._clock = clock
        self._free = asyncio.Semaphore(WRITES_MIN)
        self._sized_at = clock.monotonic()

    async def enter(self) -> float:
        """Wait for room for a write; return what to ``leave`` with."""
        await self._free.acquire()
        return self._clock.monotonic()

    def leave(self, entered_at: float) -> None:
        """Make room: a write is over."""
        now = self._clock.monotonic()
        growth = 0
        # Writes that were under way together say the same thing: it counts once.
        if entered_at >= self._sized_at:
            self._sized_at = now
            if now - entered_at > SLOW_SECONDS:
                growth = int(self.size < WRITES_MAX)
            else:
                growth = -int(self.size > WRITES_MIN)
        self.size += growth
        for _ in range(1 + growth):
            self._free.release()
