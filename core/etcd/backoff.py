"""How long to wait before trying again."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

DELAY_SECONDS_FIRST = 0.05
DELAY_SECONDS_MAX = 1.0
GROWTH = 2.0

# Seeded by the system, so that clients that lost the same server do not come back in step.
_random = random.SystemRandom()


@dataclass(slots=True)
class Backoff:
    """Delays that grow and are jittered: each is between half of its step and the whole.

    The steps are 0.05, 0.1, 0.2, 0.4, 0.8, 1, 1 ... seconds. ``jitter`` gives numbers from 0 to 1.
    """

    jitter: Callable[[], float] = field(default=_random.random)
    _step: float = DELAY_SECONDS_FIRST

    def next(self) -> float:
        """Return the seconds to wait before the next attempt."""
        delay = self._step * (0.5 + 0.5 * self.jitter())
        self._step = min(self._step * GROWTH, DELAY_SECONDS_MAX)
        return delay

    def reset(self) -> None:
        """Begin anew: an attempt succeeded."""
        self._step = DELAY_SECONDS_FIRST
