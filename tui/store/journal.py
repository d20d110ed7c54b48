"""What the journal pane shows: every machine's lines in one order, and which of them are wanted."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

#: How long a line waits for an older one from a slower machine, in seconds.
REORDER_SECONDS = 0.1

#: Lines waiting at most; above it the oldest are let go at once.
WAITING_MAX = 20_000

#: Lines let go and not yet fetched; the oldest are dropped, as the log itself would.
FRESH_MAX = 100_000


@dataclass(frozen=True, slots=True)
class JournalLine:
    """A line as it may be shown: its text has passed the sanitiser."""

    realtime_us: int
    machine_id: str
    machine: str
    unit: str
    priority: int
    text: str


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose lines are shown: of these units, or of this machine; of all when both are empty."""

    units: frozenset[str] = frozenset()
    machine_id: str = ""

    def __bool__(self) -> bool:
        """Say whether it leaves anything out."""
        return bool(self.units or self.machine_id)

    def holds(self, unit: str, machine_id: str) -> bool:
        """Say whether a line of *unit* on *machine_id* is wanted."""
        if self.units and unit not in self.units:
            return False
        return not self.machine_id or machine_id == self.machine_id


_Waiting = tuple[int, int, float, JournalLine]


@dataclass(slots=True)
class JournalModel:
    """Merges lines by their time. What it has let go is fetched with ``take_fresh``.

    ``gaps`` counts the places where a machine had forgotten lines that were asked for.
    """

    gaps: int = 0
    _waiting: list[_Waiting] = field(default_factory=list)
    _fresh: list[JournalLine] = field(default_factory=list)
    _sequence: int = 0

    def push(self, lines: Iterable[JournalLine], now: float) -> None:
        """Take in lines that arrived at *now* (monotonic, seconds)."""
        for line in lines:
            self._sequence += 1
            heapq.heappush(self._waiting, (line.realtime_us, self._sequence, now, line))

    def release(self, now: float) -> int:
        """Let go of the lines that have waited long enough, oldest first; return how many.

        A line whose time is up takes with it every line older than itself. An older line that comes
        later than that is let through in the order of its arrival: late is better than never.
        """
        ready = list(self._ready(now))
        self._fresh += ready
        del self._fresh[:-FRESH_MAX]
        return len(ready)

    def take_fresh(self) -> list[JournalLine]:
        """Return the lines that were let go since this was asked last."""
        taken, self._fresh = self._fresh, []
        return taken

    @property
    def waiting(self) -> bool:
        """Whether ``release`` has something to give, now or soon."""
        return bool(self._waiting)

    def _ready(self, now: float) -> Iterator[JournalLine]:
        waiting = self._waiting
        due = now - REORDER_SECONDS
        newest_due = max((item[0] for item in waiting if item[2] <= due), default=None)
        while waiting and (
            (newest_due is not None and waiting[0][0] <= newest_due) or len(waiting) > WAITING_MAX
        ):
            yield heapq.heappop(waiting)[3]
