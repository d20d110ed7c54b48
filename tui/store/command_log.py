"""Everything that was done from this console: when, what, the same as a command, and the result."""

from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum

#: Commands remembered; the oldest go first.
COMMANDS_MAX = 1_000


class Outcome(Enum):
    """How a command ended, or that it has not."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEntry:
    """One deed. ``began`` is wall clock seconds, ``seconds`` how long it took."""

    number: int
    began: float
    command: str
    outcome: Outcome = Outcome.RUNNING
    result: str = ""
    seconds: float = 0.0


@dataclass(slots=True)
class CommandLog:
    """The deeds, oldest first."""

    entries: deque[CommandEntry] = field(default_factory=lambda: deque(maxlen=COMMANDS_MAX))
    _count: int = 0

    def begin(self, command: str, now: float) -> int:
        """Note that *command* was begun; return its number."""
        self._count += 1
        self.entries.append(CommandEntry(number=self._count, began=now, command=command))
        return self._count

    def end(self, number: int, outcome: Outcome, result: str, now: float) -> None:
        """Note how the command *number* ended."""
        for index, entry in enumerate(self.entries):
            if entry.number == number:
                self.entries[index] = replace(
                    entry, outcome=outcome, result=result, seconds=max(0.0, now - entry.began)
                )
                return
