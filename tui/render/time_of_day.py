"""The time on the clock of whoever looks."""

from datetime import datetime, tzinfo
from functools import lru_cache


@lru_cache(maxsize=1_024)
def time_of_day(seconds: int, zone: tzinfo | None) -> str:
    """Return ``18:42:07`` for *seconds* since 1970, in *zone*; ``None`` is this computer's."""
    # A naive local time on purpose: it is shown, never reckoned with.
    when = datetime.fromtimestamp(seconds, tz=zone)
    return when.strftime("%H:%M:%S")
