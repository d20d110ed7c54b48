"""The header line: is all well?"""

from datetime import tzinfo

from c101.tui.render.cells import Cell, Meaning
from c101.tui.render.glyphs import FRESHNESS, LEADER
from c101.tui.render.humanise import age, count, milliseconds
from c101.tui.render.time_of_day import time_of_day
from c101.tui.store.pane_status import Freshness
from c101.tui.store.summary import Summary

#: Cells of a door in the header; a click on one leads to what it counts.
Door = tuple[Cell, ...]


def left(summary: Summary) -> list[tuple[str, Door]]:
    """Return the doors from the left: a name, and the cells it consists of."""
    where = summary.cluster
    title: Door = (Cell("c101 ", "strong"), Cell(where, "strong"))
    if summary.application:
        title = (Cell("c101 ", "strong"), Cell(f"{summary.application} ▸ ", "muted"), title[1])
    doors: list[tuple[str, Door]] = [("", title)]
    if summary.progress:
        doors.append(("", (Cell("◐ ", "busy"), Cell(summary.progress, "busy"))))
        return doors
    doors.append(("machines", _machines(summary)))
    doors.append(("units", _units(summary)))
    if summary.failed:
        doors.append(("failed", (Cell("✖ ", "bad"), Cell(f"{summary.failed} failed", "bad"))))
    if summary.pending:
        words = Cell(f"{summary.pending} pending", "warn")
        doors.append(("pending", (Cell("⚑ ", "warn"), words)))
    if summary.revision:
        doors.append(("keys", (Cell("rev ", "muted"), Cell(count(summary.revision)))))
    if summary.leader:
        doors.append(("leader", (Cell(f"{LEADER} ", "muted"), Cell(summary.leader))))
    return doors


def _machines(summary: Summary) -> Door:
    meaning: Meaning = "good" if summary.machines_ready == summary.machines_total else "bad"
    return _share(summary.machines_ready, summary.machines_total, "machines", meaning)


def _units(summary: Summary) -> Door:
    meaning: Meaning = "good" if summary.units_good == summary.units_total else "busy"
    if summary.failed or summary.pending:
        meaning = "warn"
    return _share(summary.units_good, summary.units_total, "units", meaning)


_GLYPHS: dict[Meaning, str] = {"good": "●", "busy": "◐", "warn": "◐", "bad": "✖"}


def _share(good: int, total: int, word: str, meaning: Meaning) -> Door:
    if not total:
        return (Cell("○ ", "dim"), Cell(f"0 {word}", "muted"))
    words: Meaning = "" if meaning == "good" else meaning
    glyph = _GLYPHS[meaning]
    return (Cell(f"{glyph} ", meaning), Cell(f"{good}/{total} ", words), Cell(word, "muted"))


def right(summary: Summary, now: float, zone: tzinfo | None) -> tuple[Cell, ...]:
    """Return the clock, and how live all this is."""
    return (Cell(time_of_day(int(now), zone) + "  ", "muted"), *_liveness(summary, now))


def _liveness(summary: Summary, now: float) -> tuple[Cell, ...]:
    link = summary.link
    glyph, meaning = FRESHNESS[link.freshness]
    if link.freshness is Freshness.LIVE:
        trip = f" {milliseconds(summary.round_trip)}" if summary.round_trip is not None else ""
        return (Cell("live", "good"), Cell(trip, "muted"))
    if link.stale:
        old = f" {age(now - link.since)}" if link.since else ""
        return (Cell(f"{glyph} {link.freshness.value}{old}", meaning),)
    return (Cell(f"{glyph} connecting", meaning),)
