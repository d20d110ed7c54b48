"""How a machine looks as a row."""

from datetime import tzinfo

from c101.core.model.host import LinkPhase
from c101.core.model.machine import MachineState
from c101.tui.render.cells import Cell, Meaning
from c101.tui.render.glyphs import LEADER, glyph, tint
from c101.tui.render.humanise import UNKNOWN, age, milliseconds, percent, spark
from c101.tui.render.time_of_day import time_of_day
from c101.tui.store.machines import MachineRow, memory_share

#: Samples in the sparkline of a row.
SPARK_CELLS = 6

#: A sample older than this, in seconds, is not what is.
SAMPLE_FRESH_SECONDS = 15.0

_LINK: dict[LinkPhase, tuple[str, Meaning]] = {
    LinkPhase.CONNECTING: ("…", "busy"),
    LinkPhase.UP: ("up", "muted"),
    LinkPhase.DOWN: ("down", "bad"),
}


def cells(row: MachineRow, now: float) -> tuple[Cell, ...]:
    """Return glyph, name, state, units, cpu, its sparkline, memory, load, ssh and metadata."""
    lost = row.state is MachineState.LOST
    quiet: Meaning = "dim" if lost else ""
    name = f"{row.name} {LEADER}" if row.is_leader else row.name
    return (
        glyph(row.health),
        Cell(name, quiet),
        _state(row, now),
        Cell(str(row.units), quiet),
        *_usage(row, now),
        _link(row),
        Cell(row.metadata, "dim" if lost else "muted"),
    )


def _state(row: MachineRow, now: float) -> Cell:
    if row.state is MachineState.LOST:
        gone = f" {age(now - row.gone_since)}" if row.gone_since else ""
        return Cell(f"lost{gone}", "bad")
    plain = row.state is MachineState.READY
    return Cell(row.state.value, "muted" if plain else tint(row.health))


def _usage(row: MachineRow, now: float) -> tuple[Cell, Cell, Cell, Cell]:
    latest = row.latest
    if latest is None or row.state is MachineState.LOST:
        none = Cell(UNKNOWN, "dim")
        return none, Cell(""), none, none
    stale = now - latest.at > SAMPLE_FRESH_SECONDS
    quiet: Meaning = "dim" if stale else ""
    cpu, memory = latest.cpu_percent / 100, memory_share(latest)
    history = [sample.cpu_percent for sample in row.usage]
    return (
        Cell(percent(cpu), quiet or _heat(cpu)),
        Cell(spark(history, SPARK_CELLS, top=100.0), quiet or "muted"),
        Cell(percent(memory), quiet or _heat(memory)),
        Cell(f"{latest.load1:.1f}", quiet),
    )


def _heat(share: float) -> Meaning:
    if share >= 0.95:
        return "bad"
    return "warn" if share >= 0.85 else ""


def _link(row: MachineRow) -> Cell:
    if row.link is None or row.state is MachineState.LOST:
        return Cell(UNKNOWN, "dim")
    text, meaning = _LINK[row.link.phase]
    if row.link.phase is LinkPhase.UP and row.link.rtt_seconds is not None:
        text = milliseconds(row.link.rtt_seconds)
    return Cell(text, meaning)


def note(row: MachineRow, zone: tzinfo | None) -> Cell | None:
    """Return the line under a machine that is lost, or there and not reached."""
    if row.state is MachineState.LOST:
        seen = time_of_day(int(row.gone_since), zone) if row.gone_since else "never"
        moved = "no unit waits for it" if not row.units else f"{row.units} units wait for it"
        return Cell(f"last seen {seen}, {moved}", "muted")
    link = row.link
    if link is None or link.phase is not LinkPhase.DOWN:
        return None
    words = link.reason or "not reached over SSH"
    return Cell(f"{words} ({link.hint})" if link.hint else words, "bad")
