"""How a unit looks as a row."""

from c101.core.model.unit import TargetState
from c101.tui.render.cells import BLANK, Cell, Meaning
from c101.tui.render.glyphs import glyph, tint
from c101.tui.render.humanise import UNKNOWN, age
from c101.tui.store.health import Health
from c101.tui.store.units import UnitRow

_QUIET = {Health.OFF, Health.UNKNOWN}

#: Words of systemd that are too long for the column, and are known by less.
_SHORT_SUBS = {"auto-restart": "restart", "start-pre": "pre", "start-post": "post"}


def cells(row: UnitRow, now: float) -> tuple[Cell, ...]:
    """Return glyph, unit, machine, target, active, sub and since, as of *now* (wall clock)."""
    quiet: Meaning = "dim" if row.health in _QUIET else ""
    words = tint(row.health)
    return (
        glyph(row.health),
        Cell(short_name(row.unit), quiet),
        Cell(row.machine or UNKNOWN, quiet if row.machine else "dim"),
        Cell(row.target.value, "muted" if row.target is TargetState.LAUNCHED else "dim"),
        Cell(row.active or UNKNOWN, words if row.active else "dim"),
        Cell(_SHORT_SUBS.get(row.sub, row.sub) or UNKNOWN, "muted" if row.sub else "dim"),
        since(row, now),
    )


def short_name(unit: str) -> str:
    """Return what people call a unit: a service is known without its suffix."""
    return unit.removesuffix(".service")


def since(row: UnitRow, now: float) -> Cell:
    """Return how long the unit has been as it is."""
    return Cell(age(now - row.since), "muted") if row.since else Cell(UNKNOWN, "dim")


def note(row: UnitRow) -> Cell | None:
    """Return the line under a unit that needs a reason."""
    if not row.reason:
        return None
    # What is lacking says more than that something is.
    short = row.reason.partition("; ")[2] or row.reason
    return Cell(f"why: {short}", "bad" if row.health is Health.BAD else "warn")


def title_counts(rows: int, shown: int) -> Cell:
    """Return the count in a pane's title: ``9``, or ``3 of 9`` behind a filter."""
    if not rows:
        return BLANK
    return Cell(str(rows) if rows == shown else f"{shown} of {rows}", "muted")
