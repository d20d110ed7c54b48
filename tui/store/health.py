"""How well a thing is: the few words that colour and glyph follow from."""

from enum import Enum


class Health(Enum):
    """From as wanted to broken. ``order`` puts what needs a person first."""

    BAD = "failed"
    PENDING = "pending"  # wanted, and placed nowhere for a reason
    WARN = "warning"  # needs attention soon
    UNKNOWN = "unknown"
    BUSY = "changing"
    GOOD = "active"
    PAUSED = "cordoned"
    OFF = "inactive"  # off on purpose

    @property
    def order(self) -> int:
        """Position from worst to best."""
        return list(Health).index(self)
