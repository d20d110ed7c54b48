"""How many a second: counts in the seconds they fell in."""

from collections import deque
from typing import Final

from c101.core.clock import Clock

#: Seconds remembered.
SECONDS_MAX: Final = 60


class Rate:
    """Counts events by the second, on the clock it is given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts: deque[int] = deque([0], maxlen=SECONDS_MAX)
        self._second = int(clock.monotonic())

    def add(self, count: int) -> None:
        """Count *count* events that happen now."""
        self._catch_up()
        self._counts[-1] += count

    def history(self, seconds: int) -> tuple[int, ...]:
        """Return the counts of the last whole *seconds*, oldest first."""
        self._catch_up()
        return tuple(self._counts)[-1 - seconds : -1]

    def per_second(self, seconds: int = 3) -> float:
        """Return the mean over the last whole *seconds*."""
        counts = self.history(seconds)
        return sum(counts) / len(counts) if counts else 0.0

    def _catch_up(self) -> None:
        second = int(self._clock.monotonic())
        for _ in range(min(second - self._second, SECONDS_MAX)):
            self._counts.append(0)
        self._second = second
