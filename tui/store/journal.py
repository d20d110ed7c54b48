"""What the journal pane shows: every machine's lines in one order, and which of them are wanted."""

import heapq
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

#: Lines kept over all machines; the oldest go first.
LINES_MAX = 100_000

#: How long a line waits for an older one from a slower machine, in seconds.
REORDER_SECONDS = 0.1

#: Lines waiting at most; above it the oldest are let go at once.
WAITING_MAX = 20_000

#: Seconds of history behind the sparkline of the rate.
RATE_SECONDS = 60


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

    def holds(self, line: JournalLine) -> bool:
        """Say whether *line* is wanted."""
        if self.units and line.unit not in self.units:
            return False
        return not self.machine_id or line.machine_id == self.machine_id


@dataclass(slots=True)
class JournalModel:
    """Merges lines by their time, remembers them, and counts them."""

    scope: Scope = Scope()
    lines: deque[JournalLine] = field(default_factory=lambda: deque(maxlen=LINES_MAX))
    lost_lines: int = 0
    _waiting: list[tuple[int, int, float, JournalLine]] = field(default_factory=list)
    _sequence: int = 0
    _rate: deque[tuple[int, int, bool]] = field(default_factory=lambda: deque(maxlen=RATE_SECONDS))

    def push(self, lines: Iterable[JournalLine], now: float) -> None:
        """Take in lines that arrived at *now* (monotonic, seconds)."""
        for line in lines:
            self._sequence += 1
            heapq.heappush(self._waiting, (line.realtime_us, self._sequence, now, line))

    def release(self, now: float) -> list[JournalLine]:
        """Return the lines that have waited long enough, oldest first, those out of scope left out.

        An older line that comes later than that is let through in the order of its arrival: late is
        better than never.
        """
        ready = list(self._ready(now))
        self.lines.extend(ready)
        self._count(ready)
        return [line for line in ready if self.scope.holds(line)]

    @property
    def waiting(self) -> bool:
        """Whether ``release`` has something to give, now or soon."""
        return bool(self._waiting)

    def _ready(self, now: float) -> Iterator[JournalLine]:
        waiting = self._waiting
        # A line waits for what may be older, so it leaves when its own time is up, and takes
        # with it every line older than itself.
        due = now - REORDER_SECONDS
        newest_due = max((item[0] for item in waiting if item[2] <= due), default=None)
        while waiting and (
            (newest_due is not None and waiting[0][0] <= newest_due) or len(waiting) > WAITING_MAX
        ):
            yield heapq.heappop(waiting)[3]

    def select(self, scope: Scope) -> list[JournalLine]:
        """Show *scope* from now on; return what of it is remembered."""
        self.scope = scope
        return [line for line in self.lines if scope.holds(line)]

    def rate(self, now: float, seconds: int) -> list[int]:
        """Return lines counted in each of the last *seconds* up to *now* (wall clock)."""
        end = int(now)
        found = {second: count for second, count, _ in self._rate}
        return [found.get(second, 0) for second in range(end - seconds, end)]

    def _count(self, ready: list[JournalLine]) -> None:
        for line in ready:
            second = line.realtime_us // 1_000_000
            if self._rate and self._rate[-1][0] >= second:
                last, count, grave = self._rate[-1]
                self._rate[-1] = (last, count + 1, grave or line.priority <= 3)
            else:
                self._rate.append((second, 1, line.priority <= 3))
