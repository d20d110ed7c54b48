"""How a line of the journal looks: time, machine, unit, then what was said."""

from datetime import tzinfo

from c101.tui.render.cells import Cell, LogLine, Meaning
from c101.tui.render.humanise import cut_middle
from c101.tui.render.time_of_day import time_of_day
from c101.tui.render.units import short_name
from c101.tui.store.journal import JournalLine, Scope

UNIT_CELLS = 14
MACHINE_CELLS = 6

#: Between unit and machine in a line's key; no name holds it.
KEY_SEPARATOR = "\0"

#: syslog's priorities: 0 to 3 are errors and worse, 4 warnings, 7 debugging.
_TINTS: dict[int, Meaning] = {0: "bad", 1: "bad", 2: "bad", 3: "bad", 4: "warn", 7: "dim"}


def prefix(line: JournalLine, zone: tzinfo | None, *, machines: bool = True) -> tuple[Cell, ...]:
    """Return the cells before the text; *zone* ``None`` is this computer's."""
    unit = cut_middle(short_name(line.unit), UNIT_CELLS)
    cells = [Cell(time_of_day(line.realtime_us // 1_000_000, zone), "muted")]
    if machines:
        cells.append(Cell(cut_middle(line.machine, MACHINE_CELLS), "muted"))
    cells.append(Cell(unit, tint(line)))
    return tuple(cells)


def tint(line: JournalLine) -> Meaning:
    """Return the colour of a line's text by its priority."""
    return _TINTS.get(line.priority, "")


def scope_words(scope: Scope, machine: str) -> str:
    """Return what is shown, in words: ``all units``, ``web@1``, ``3 units on m2``."""
    if len(scope.units) == 1:
        units = short_name(next(iter(scope.units)))
    else:
        units = f"{len(scope.units)} units" if scope.units else "all units"
    return f"{units} on {machine}" if machine else units


def log_line(line: JournalLine, zone: tzinfo | None) -> LogLine:
    """Return a line for the log; its ``key`` is the unit and the machine's id."""
    key = f"{line.unit}{KEY_SEPARATOR}{line.machine_id}"
    return LogLine(prefix(line, zone), line.text, tint(line), key)
