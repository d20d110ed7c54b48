"""The words of a pane's title line."""

from c101.tui.render.cells import Cell
from c101.tui.render.glyphs import FRESHNESS
from c101.tui.render.humanise import age, count
from c101.tui.store.pane_status import Freshness, PaneStatus


def left(number: int, title: str, rows: int, shown: int) -> list[Cell]:
    """Return number, name and count: ``1 UNITS 9``, or ``3 of 9`` behind a filter."""
    words = [Cell(f" {number} ", "muted"), Cell(title, "strong")]
    if rows:
        counted = count(rows) if rows == shown else f"{count(shown)} of {count(rows)}"
        words.append(Cell(f" {counted}", "muted"))
    return words


def filter_words(text: str, *, failed: bool) -> list[Cell]:
    """Return what the filter is, or why it is not understood."""
    return [
        Cell(f"  /{text}" if not failed else f"  {text}", "bad" if failed else "accent")
    ] * bool(text)


def freshness(status: PaneStatus, now: float) -> list[Cell]:
    """Return what is wrong with what is shown, and since when; nothing where all is well."""
    if status.freshness is Freshness.LIVE:
        return [Cell(f"◐ {status.message} ", "warn")] if status.message else []
    glyph, meaning = FRESHNESS[status.freshness]
    words = [status.freshness.value]
    if status.stale and status.since:
        words.append(f"as of {age(now - status.since)} ago")
        if status.message and status.freshness is Freshness.RECONNECTING:
            # The header says that word already; the reason needs the room.
            del words[0]
    said = ", ".join(words) + (f": {status.message}" if status.message else "")
    return [Cell(f"{glyph} {said} ", meaning)]
