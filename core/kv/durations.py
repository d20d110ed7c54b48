"""How long something took, over all times: counts in buckets, as Prometheus wants them."""

from bisect import bisect_left
from typing import Final

#: Upper bounds in seconds, etcd's for its disk; what is longer is in the last bucket, without one.
BOUNDS_SECONDS: Final = tuple(0.001 * 2**power for power in range(14))


class Durations:
    """Durations that were added up. One thread adds; another may read what is slightly old."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        #: how many fell into each bucket and no smaller one
        self.counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one that took *seconds*."""
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.seconds += seconds
