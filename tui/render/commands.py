"""The command log in words."""

from collections.abc import Iterable
from datetime import tzinfo

from c101.tui.render.cells import Cell, Meaning
from c101.tui.render.humanise import milliseconds
from c101.tui.render.time_of_day import time_of_day
from c101.tui.store.command_log import CommandEntry, Outcome

_GLYPHS: dict[Outcome, tuple[str, Meaning]] = {
    Outcome.RUNNING: ("◐", "busy"),
    Outcome.DONE: ("●", "good"),
    Outcome.FAILED: ("✖", "bad"),
}


def lines(entries: Iterable[CommandEntry], zone: tzinfo | None) -> list[tuple[Cell, ...]]:
    """Return the commands, the latest first: when, how it ended, the command, the reason."""
    found: list[tuple[Cell, ...]] = []
    for entry in reversed(list(entries)):
        glyph, meaning = _GLYPHS[entry.outcome]
        took = "" if entry.outcome is Outcome.RUNNING else milliseconds(entry.seconds)
        found.append(
            (
                Cell(f" {time_of_day(int(entry.began), zone)}  ", "muted"),
                Cell(f"{glyph} ", meaning),
                Cell(entry.command),
                Cell(f"  {took}", "muted"),
            )
        )
        if entry.result:
            found.append((Cell(f"             {entry.result}", meaning),))
    return found


def notice(entry: CommandEntry) -> tuple[Cell, ...]:
    """Return the latest command for the end of the footer."""
    glyph, meaning = _GLYPHS[entry.outcome]
    took = "" if entry.outcome is Outcome.RUNNING else f" {milliseconds(entry.seconds)}"
    words = entry.command.removeprefix("c101ctl ")
    return (Cell(f"{glyph} ", meaning), Cell(words, "muted"), Cell(took, "muted"))
