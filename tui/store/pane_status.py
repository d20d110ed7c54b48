"""How fresh what a pane shows is."""

from dataclasses import dataclass
from enum import Enum


class Freshness(Enum):
    """Where a feed stands."""

    STARTING = "starting"  # nothing has come yet
    LIVE = "live"
    RECONNECTING = "reconnecting"  # what is shown is as old as ``since``
    FAILED = "failed"  # something of ours broke; it is being started again


@dataclass(frozen=True, slots=True)
class PaneStatus:
    """A feed's state, since when (wall clock, seconds), and what there is to say of it."""

    freshness: Freshness = Freshness.STARTING
    since: float = 0.0
    message: str = ""

    @property
    def stale(self) -> bool:
        """Whether what is shown may no longer be so."""
        return self.freshness in {Freshness.RECONNECTING, Freshness.FAILED}
