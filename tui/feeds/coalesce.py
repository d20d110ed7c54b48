"""However fast things change, a pane is told at most thirty times a second."""

import asyncio
from collections.abc import Callable

from c101.core.clock import Clock

#: Repaints a second, a pane.
RATE_MAX = 30

#: More keys than this are not told one by one.
KEYS_MAX = 512

Emit = Callable[[str, frozenset[str] | None], None]


class Coalescer:
    """Collects what changed a pane. The first change is told at once, the next with those after it.

    A change after a quiet time waits for nothing: the delay is only ever paid in a flood.
    """

    def __init__(self, emit: Emit, clock: Clock) -> None:
        self._emit = emit
        self._clock = clock
        self._pending: dict[str, set[str] | None] = {}
        self._told: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def mark(self, pane: str, keys: frozenset[str] | None = None) -> None:
        """Note that these rows of a pane changed, or all of it; not none."""
        held = self._pending.setdefault(pane, set())
        if held is None or keys is None or len(held) + len(keys) > KEYS_MAX:
            self._pending[pane] = None
        else:
            held.update(keys)
        if pane in self._timers:
            return
        now = self._clock.monotonic()
        wait = self._told.get(pane, -1.0) + 1 / RATE_MAX - now
        loop = asyncio.get_running_loop()
        self._timers[pane] = loop.call_later(max(0.0, wait), self._tell, pane)

    def close(self) -> None:
        """Tell nothing any more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _tell(self, pane: str) -> None:
        del self._timers[pane]
        self._told[pane] = self._clock.monotonic()
        keys = self._pending.pop(pane)
        self._emit(pane, None if keys is None else frozenset(keys))
