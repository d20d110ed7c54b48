"""Time, as a thing that is handed in: nothing else in c101 asks the system for it."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where time comes from."""

    def time(self) -> float:
        """Return the wall clock, in seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never run backwards; only differences mean anything."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; zero or less gives the loop one turn."""
        ...


class SystemClock:
    """The computer's own clocks."""

    def time(self) -> float:
        """Return the wall clock, in seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return the monotonic clock, in seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running loop."""
        await asyncio.sleep(seconds)
