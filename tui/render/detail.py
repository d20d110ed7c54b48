"""A unit or a machine at length: each function is a tab, and returns its lines."""

from collections.abc import Iterable, Sequence
from datetime import tzinfo

from c101.core.model.host import Container, TimerRuns, UnitResources, UnitStatus
from c101.core.model.pressure import Pressure
from c101.core.model.unit import Unit, UnitState
from c101.tui.render.cells import Cell, Meaning
from c101.tui.render.glyphs import GLYPHS, tint
from c101.tui.render.humanise import (
    UNKNOWN,
    age,
    count,
    elapses,
    milliseconds,
    percent,
    size,
    spark,
)
from c101.tui.render.sanitise import sanitise
from c101.tui.render.time_of_day import time_of_day
from c101.tui.render.wrap import wrap
from c101.tui.store.console_store import Happening
from c101.tui.store.machines import MachineRow, memory_share
from c101.tui.store.units import UnitRow

Line = tuple[Cell, ...]

#: Cells of the words left of a fact.
LABEL_CELLS = 12

#: Seconds from the clock of the KV's host that are nothing to speak of.
CLOCK_OFFSET_MAX = 1.0

#: Lines that one reason takes at the most.
WRAPPED_LINES_MAX = 8


def tabs(names: Sequence[str], chosen: str) -> Line:
    """Return the tabs, the chosen one set apart without colour too."""
    cells = (
        Cell(f"▸{name} ", "accent") if name == chosen else Cell(f" {name} ", "muted")
        for name in names
    )
    return (Cell(" [", "muted"), *cells, Cell("]", "muted"))


def fact(label: str, *cells: Cell) -> Line:
    """Return a line with a label on its left."""
    return (Cell(f" {label:<{LABEL_CELLS}}", "muted"), *cells)


def heading(row: UnitRow, now: float) -> Line:
    """Return how a unit is, in a line: ``● active (running) on m1 for 41s``."""
    glyph, meaning = GLYPHS[row.health]
    words = f"{row.active} ({row.sub})" if row.active else row.health.value
    where = f" on {row.machine}" if row.machine else ""
    lasting = f" for {age(now - row.since)}" if row.since else ""
    return (Cell(f" {glyph} ", meaning), Cell(words, tint(row.health)), Cell(f"{where}{lasting}"))


def status(
    row: UnitRow,
    unit: Unit | None,
    state: UnitState | None,
    report: UnitStatus | None,
    *,
    now: float,
    zone: tzinfo | None,
) -> list[Line]:
    """Return what is known of a unit."""
    lines: list[Line] = [(), heading(row, now), ()]
    if row.reason:
        lines += [fact("reason", Cell(row.reason, tint(row.health)))]
    if unit is not None and unit.placement is not None:
        since = time_of_day(int(unit.placement.since), zone)
        lines.append(fact("placed", Cell(f"{row.machine}, {sanitise(unit.placement.reason)}")))
        lines.append(fact("", Cell(f"since {since}", "muted")))
    lines.append(fact("target", Cell(row.target.value)))
    if state is not None:
        lines += _reported(state)
    if report is not None:
        lines += [*_elapses(report.runs, now), *_told(report)]
    if unit is not None:
        lines.append(fact("file", Cell(f"{size(len(unit.text.encode()))}, {unit.hash[:12]}")))
    return lines


def _reported(state: UnitState) -> Iterable[Line]:
    if state.main_pid:
        yield fact("main PID", Cell(str(state.main_pid)))
    meaning: Meaning = "" if state.result == "success" else "bad"
    exited = f", status {state.exit_status}" if state.exit_status is not None else ""
    yield fact("result", Cell(f"{sanitise(state.result)}{exited}", meaning))
    yield fact("restarts", Cell(count(state.restarts), "warn" if state.restarts else ""))
    yield fact("load", Cell(sanitise(state.load)))


def _elapses(runs: TimerRuns | None, now: float) -> Iterable[Line]:
    """Say when a timer does, and did."""
    if runs is None:
        return
    following, last = elapses(runs, now)
    yield fact("elapses", Cell(following), Cell(f", last {last}", "muted"))


def _container(one: Container) -> Iterable[Line]:
    meaning: Meaning = "bad" if one.health == "unhealthy" else ""
    health = f", {one.health}" if one.health else ""
    yield fact(
        "container",
        Cell(sanitise(f"{one.name} by {one.engine}: {one.state}")),
        Cell(sanitise(health), meaning),
    )
    if one.image:
        yield fact("", Cell(sanitise(f"of {one.image}"), "muted"))
    if one.ports:
        yield fact("ports", Cell(sanitise(", ".join(one.ports))))


def _told(report: UnitStatus) -> Iterable[Line]:
    if report.description:
        yield fact("what", Cell(sanitise(report.description)))
    if report.status_text:
        yield fact("says", Cell(sanitise(report.status_text)))
    for one in report.containers:
        yield from _container(one)
    used = report.resources or UnitResources()
    memory = used.memory_bytes
    if memory is None:
        memory = sum(process.memory_bytes for process in report.processes)
    if report.processes:
        count_of = len(report.processes)
        words = f"{size(memory)} in {count_of} {'process' if count_of == 1 else 'processes'}"
        yield fact("memory", Cell(words))
    if used.cpu_seconds is not None:
        yield fact("cpu", Cell(f"{used.cpu_seconds:.2f} s since its start"))
    if used.read_bytes is not None and used.written_bytes is not None:
        words = f"{size(used.read_bytes)} read, {size(used.written_bytes)} written"
        yield fact("io", Cell(words))
    if used.pressure:
        yield fact("waits", Cell(waiting(used.pressure)))
    for directive in report.ignored:
        yield fact("not honoured", Cell(sanitise(directive), "warn"))


def file(unit: Unit | None) -> list[Line]:
    """Return a unit file with its sections made to stand out."""
    if unit is None:
        return [(Cell(" it has no file any more", "muted"),)]
    return [_file_line(sanitise(line)) for line in unit.text.splitlines()]


def _file_line(line: str) -> Line:
    text = line.strip()
    if text.startswith(("#", ";")):
        return (Cell(f" {line}", "muted"),)
    if text.startswith("["):
        return (Cell(f" {line}", "accent"),)
    name, equals, value = line.partition("=")
    return (Cell(f" {name}", "muted"), Cell(f"{equals}{value}"))


def why(lines: Sequence[str], width: int) -> list[Line]:
    """Return an explanation in *width* cells, its lines wrapped: a reason is never cut."""
    found: list[Line] = []
    for line in lines:
        text = sanitise(line)
        indent = len(text) - len(text.lstrip())
        pieces = wrap(text.lstrip(), max(8, width - indent - 3), WRAPPED_LINES_MAX)
        head = Cell(" " * (indent + 1))
        found.append((head, Cell(pieces[0])))
        found += [(head, Cell(f"  {piece}")) for piece in pieces[1:]]
    return found


def history(happenings: Sequence[Happening], zone: tzinfo | None) -> list[Line]:
    """Return what was seen of a unit, the latest first."""
    if not happenings:
        return [(Cell(" nothing has changed since this console was opened", "muted"),)]
    return [
        (Cell(f" {time_of_day(int(item.at), zone)}  ", "muted"), Cell(item.text))
        for item in reversed(happenings)
    ]


def processes(report: UnitStatus | None, problem: str) -> list[Line]:
    """Return the processes of a unit, or why they are not known."""
    if report is None:
        return [(Cell(f" {problem or 'asking its machine…'}", "bad" if problem else "muted"),)]
    lines: list[Line] = [(Cell(f" {'PID':>7} {'MEM':>6} {'CPU':>7}  COMMAND", "muted"),)]
    for process in report.processes:
        figures = f" {process.pid:>7} {size(process.memory_bytes):>6} {process.cpu_seconds:>6.1f}s"
        lines.append((Cell(figures, "muted"), Cell(f"  {sanitise(process.command)}")))
    return lines


def machine(row: MachineRow, units: Sequence[UnitRow], *, now: float) -> list[Line]:
    """Return what is known of a machine, and the units on it."""
    glyph, meaning = GLYPHS[row.health]
    gone = f" for {age(now - row.gone_since)}" if row.gone_since else ""
    lines: list[Line] = [
        (Cell(f" {glyph} ", meaning), Cell(row.state.value + gone, tint(row.health))),
        (),
        fact("id", Cell(sanitise(row.id))),
        fact("addresses", Cell(sanitise(row.addresses) or UNKNOWN)),
        fact("metadata", Cell(sanitise(row.metadata) or UNKNOWN)),
        *_agent(row),
        *_figures(row),
        *_link(row),
        (),
        (Cell(f" {len(units)} units", "strong"),),
        *(_unit(unit, now) for unit in units),
    ]
    return lines


def _agent(row: MachineRow) -> Iterable[Line]:
    # What an agent says of itself goes with its lease.
    if row.version:
        yield fact("agent", Cell(f"{sanitise(row.version)}, runtime {sanitise(row.runtime)}"))


def _unit(unit: UnitRow, now: float) -> Line:
    glyph, meaning = GLYPHS[unit.health]
    since = age(now - unit.since) if unit.since else UNKNOWN
    words = f"  {unit.active or UNKNOWN} ({unit.sub or UNKNOWN}) {since}"
    return (Cell(f" {glyph} ", meaning), Cell(unit.unit), Cell(words, "muted"))


def _figures(row: MachineRow) -> Iterable[Line]:
    latest = row.latest
    if latest is None:
        return
    history = [sample.cpu_percent for sample in row.usage]
    bars = spark(history, 30, top=100.0).strip()
    of = f" of {row.cpus} processors" if row.cpus else ""
    cpu = f"{percent(latest.cpu_percent / 100)}{of}  "
    yield fact("cpu", Cell(cpu), Cell(bars, "muted"))
    held = f"{size(latest.memory_used_bytes)} of {size(latest.memory_total_bytes)}"
    yield fact("memory", Cell(f"{percent(memory_share(latest))}, {held}"))
    yield fact("load", Cell(f"{latest.load1:.2f}"))
    disk = f"{size(latest.disk_used_bytes)} of {size(latest.disk_total_bytes)}"
    yield fact("disk", Cell(disk))
    if latest.pressure:
        yield fact("waits", Cell(waiting(latest.pressure)))
    if latest.clock_offset is not None and abs(latest.clock_offset) > CLOCK_OFFSET_MAX:
        way = "ahead of" if latest.clock_offset > 0 else "behind"
        words = f"{age(abs(latest.clock_offset))} {way} the KV's host"
        yield fact("clock", Cell(words, "warn"))
    if latest.reboot_required:
        yield fact("reboot", Cell("required by what was installed", "warn"))


def waiting(pressure: Pressure) -> str:
    """Return how much of the last ten seconds something waited, by what for."""
    return ", ".join(f"{kind} {percent(share / 100)}" for kind, share in pressure.items())


def _link(row: MachineRow) -> Iterable[Line]:
    if row.link is None:
        yield fact("ssh", Cell("this console knows no address of it", "muted"))
        return
    trip = f", {milliseconds(row.link.rtt_seconds)}" if row.link.rtt_seconds is not None else ""
    yield fact("ssh", Cell(row.link.phase.value + trip))
    if row.link.reason:
        yield fact("", Cell(sanitise(row.link.reason), "bad"))
    if row.link.hint:
        yield fact("", Cell(sanitise(row.link.hint), "muted"))
