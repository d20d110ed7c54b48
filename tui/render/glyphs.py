"""One glyph and one colour for each health: never a colour without its glyph."""

from collections.abc import Mapping

from c101.tui.render.cells import Cell, Meaning
from c101.tui.store.health import Health
from c101.tui.store.pane_status import Freshness

LEADER = "⇡"

GLYPHS: Mapping[Health, tuple[str, Meaning]] = {
    Health.GOOD: ("●", "good"),
    Health.BUSY: ("◐", "busy"),
    Health.WARN: ("◐", "warn"),
    Health.OFF: ("○", "dim"),
    Health.BAD: ("✖", "bad"),
    Health.UNKNOWN: ("?", "warn"),
    Health.PENDING: ("⚑", "warn"),
    Health.PAUSED: ("⏸", "warn"),
}

FRESHNESS: Mapping[Freshness, tuple[str, Meaning]] = {
    Freshness.STARTING: ("◐", "busy"),
    Freshness.LIVE: ("●", "good"),
    Freshness.RECONNECTING: ("◐", "warn"),
    Freshness.FAILED: ("✖", "bad"),
}


def glyph(health: Health) -> Cell:
    """Return the glyph of *health* in its colour."""
    text, meaning = GLYPHS[health]
    return Cell(text, meaning)


def tint(health: Health) -> Meaning:
    """Return the colour for words that say *health*: plain for what is well."""
    if health is Health.GOOD:
        return ""
    return GLYPHS[health][1]
