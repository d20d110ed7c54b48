"""Deadlines of calls, kept cheaply: one timer for all that end in the same tick.

Most calls are answered long before their deadline, so entering and leaving must cost next to
nothing: a set a tick, and a call leaves by discarding itself from its set. A deadline is noticed
up to one tick late; the caller, who has a clock of its own, does not wait for that.
"""

import asyncio
import math
from typing import Protocol

#: How late a deadline of under a minute may be noticed, and a longer one.
TICK_SECONDS = 0.05
TICK_SECONDS_LONG = 1.0
LONG_SECONDS = 60.0

#: A call with more time than this is not timed here: with the ticks it bounds the timers.
TIMED_SECONDS_MAX = 3_600.0


class Expiring(Protocol):
    """What has a deadline."""

    def on_deadline(self) -> None:
        """Hear that the deadline passed."""
        ...


Bucket = set[Expiring]


class Deadlines:
    """The deadlines of all calls of one server or channel, on *loop*."""

    __slots__ = ("_buckets", "_loop", "_timers")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._buckets: dict[float, Bucket] = {}
        self._timers: dict[float, asyncio.TimerHandle] = {}

    def add(self, call: Expiring, seconds: float) -> Bucket | None:
        """Enter *call*; return the set it must discard itself from when it ends earlier."""
        if seconds > TIMED_SECONDS_MAX:
            return None
        tick = TICK_SECONDS if seconds < LONG_SECONDS else TICK_SECONDS_LONG
        at = math.ceil((self._loop.time() + seconds) / tick) * tick
        bucket = self._buckets.get(at)
        if bucket is None:
            bucket = self._buckets[at] = set()
            self._timers[at] = self._loop.call_at(at, self._expire, at)
        bucket.add(call)
        return bucket

    def close(self) -> None:
        """Forget every deadline."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._buckets.clear()

    def _expire(self, at: float) -> None:
        del self._timers[at]
        for call in list(self._buckets.pop(at)):
            call.on_deadline()
