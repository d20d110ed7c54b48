"""How a machine looks as a row."""

from c101.core.model.machine import MachineState
from c101.tui.render.cells import Cell, Meaning
from c101.tui.render.glyphs import LEADER, glyph, tint
from c101.tui.render.humanise import UNKNOWN, age, milliseconds, percent, spark
from c101.tui.store.machines import LinkState, MachineRow

#: Samples in the sparkline of a row.
SPARK_CELLS = 8

#: A sample older than this, in seconds, is not what is.
SAMPLE_FRESH_SECONDS = 15.0

_LINK: dict[LinkState, tuple[str, Meaning]] = {
    LinkState.NONE: (UNKNOWN, "dim"),
    LinkState.CONNECTING: ("…", "busy"),
    LinkState.UP: ("up", "muted"),
    LinkState.DOWN: ("down", "bad"),
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
        Cell(_last_seen(row, now) if lost else row.metadata, "dim" if lost else "muted"),
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
    history = [sample.cpu for sample in row.usage]
    return (
        Cell(percent(latest.cpu), quiet or _heat(latest.cpu)),
        Cell(spark(history, SPARK_CELLS, top=1.0), quiet or "muted"),
        Cell(percent(latest.memory), quiet or _heat(latest.memory)),
        Cell(f"{latest.load:.1f}", quiet),
    )


def _heat(share: float) -> Meaning:
    if share >= 0.95:
        return "bad"
    return "warn" if share >= 0.85 else ""


def _link(row: MachineRow) -> Cell:
    text, meaning = _LINK[row.link.state]
    if row.link.state is LinkState.UP and row.link.round_trip is not None:
        text = milliseconds(row.link.round_trip)
    return Cell(text, meaning)


def _last_seen(row: MachineRow, now: float) -> str:
    seen = f"last seen {age(now - row.gone_since)} ago" if row.gone_since else "not seen"
    return f"{seen}  {row.metadata}".rstrip()


def note(row: MachineRow) -> Cell | None:
    """Return the line under a machine that is there but not reached."""
    if row.link.state is LinkState.DOWN and row.state is not MachineState.LOST:
        return Cell(row.link.message or "not reached over SSH", "bad")
    return None
