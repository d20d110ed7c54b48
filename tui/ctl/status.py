"""``status``: a unit where it runs, in systemctl's manner."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import click

from c101.core.errors import LinkError
from c101.core.model.cluster import ClusterState
from c101.core.model.host import UnitResources, UnitStatus
from c101.core.model.journal import JournalEntry
from c101.core.model.machine import Machine
from c101.tui.ctl.journal import line_of
from c101.tui.ctl.links import agent_of
from c101.tui.ctl.names import unit_name
from c101.tui.ctl.output import print_json, print_lines
from c101.tui.ctl.places import is_lost, machines_of
from c101.tui.ctl.rows import rfc3339
from c101.tui.ctl.session import Options, Session, run
from c101.tui.render.humanise import age, elapses, size

Found = tuple[Machine, UnitStatus | str, list[JournalEntry]]


@click.command("status")
@click.argument("unit")
@click.option("-n", "--lines", type=click.IntRange(0), default=10, show_default=True)
@click.pass_obj
def status_command(options: Options, *, unit: str, lines: int) -> None:
    """Say how UNIT fares on every machine that holds it. Exits with 3 where it is nowhere."""
    name = unit_name(unit)

    async def verb(session: Session) -> tuple[ClusterState, list[Found], float]:
        cluster = await session.registry.snapshot()
        found = [
            await _ask(session, machine, name, lines) for machine in machines_of(cluster, name)
        ]
        return cluster, found, session.clock.time()

    cluster, found, now = run(options, verb)
    if options.json:
        print_json([_document(name, *one) for one in found])
    else:
        for one in found:
            print_lines(list(_lines(cluster, name, *one, now=now)))
    unreached = [status for _, status, _ in found if isinstance(status, str)]
    if len(unreached) == len(found):
        raise LinkError(f"{name}: {'; '.join(unreached)}")


async def _ask(session: Session, machine: Machine, name: str, lines: int) -> Found:
    """Return what the machine says; a machine that cannot be reached says why not."""
    if is_lost(machine):
        return machine, f"{machine.name} is lost: its lease ended", []
    from c101.agents.client.agent_client import JournalMatch

    try:
        async with agent_of(machine, session.address, session.clock) as agent:
            status = await agent.status(name)
            entries: list[JournalEntry] = []
            if lines:
                async with agent.journal(JournalMatch(units=(name,)), lines=lines) as batches:
                    async for batch in batches:
                        entries.extend(batch.entries)
            return machine, status, entries
    except LinkError as error:
        return machine, str(error), []


def _document(
    name: str, machine: Machine, status: UnitStatus | str, entries: list[JournalEntry]
) -> dict[str, Any]:
    found: dict[str, Any] = {"unit": name, "machine": machine.name, "machine_id": machine.id}
    if isinstance(status, str):
        return {**found, "error": status}
    state = status.state
    return {
        **found,
        "description": status.description,
        "load": state.load,
        "active": state.active,
        "sub": state.sub,
        "since": rfc3339(state.since) if state.since else None,
        "result": state.result,
        "exit_status": state.exit_status,
        "main_pid": state.main_pid,
        "restarts": state.restarts,
        "status": status.status_text,
        "ignored": list(status.ignored),
        "processes": [
            {"pid": one.pid, "command": one.command, "memory_bytes": one.memory_bytes}
            for one in status.processes
        ],
        "resources": None if status.resources is None else asdict(status.resources),
        "runs": None
        if status.runs is None
        else {"last": _time(status.runs.last), "next": _time(status.runs.next)},
        "containers": [asdict(one) for one in status.containers],
        "journal": [line_of(entry, machine.name) for entry in entries],
    }


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def _used(used: UnitResources | None) -> Iterator[str]:
    if used is None:
        return
    if used.memory_bytes is not None:
        yield f"    Memory: {size(used.memory_bytes)}"
    if used.cpu_seconds is not None:
        yield f"       CPU: {used.cpu_seconds:.3f}s"
    if used.tasks is not None:
        yield f"     Tasks: {used.tasks}"


def _lines(
    cluster: ClusterState,
    name: str,
    machine: Machine,
    status: UnitStatus | str,
    entries: list[JournalEntry],
    *,
    now: float,
) -> Iterator[str]:
    if isinstance(status, str):
        yield f"? {name} on {machine.name}: {status}"
        return
    state = status.state
    glyph = {"active": "●", "failed": "✖", "inactive": "○"}.get(state.active, "◐")
    yield f"{glyph} {name}" + (f" - {status.description}" if status.description else "")
    since = f" for {age(max(0.0, now - state.since))}" if state.since else ""
    how = f" ({state.sub})" if state.result == "success" else f" ({state.sub}: {state.result})"
    unit = cluster.units.get(name)
    target = unit.target.value if unit is not None else "destroyed"
    yield f"    Loaded: {state.load}; target {target}"
    yield f"    Active: {state.active}{how} on {machine.name}{since}"
    if unit is not None and unit.placement is not None:
        yield f"    Placed: {unit.placement.reason}"
    if state.restarts:
        yield f"  Restarts: {state.restarts}"
    if status.status_text:
        yield f"    Status: {status.status_text}"
    if status.runs is not None:
        following, last = elapses(status.runs, now)
        yield f"   Elapses: {following}; last {last}"
    for one in status.containers:
        health = f" ({one.health})" if one.health else ""
        ports = f", {', '.join(one.ports)}" if one.ports else ""
        yield f" Container: {one.engine} {one.name}, {one.state}{health}, of {one.image}{ports}"
    yield from _used(status.resources)
    for process in status.processes:
        main = " (main)" if process.pid == state.main_pid else ""
        yield f"       {process.pid}{main} {process.command}  {size(process.memory_bytes)}"
    if status.ignored:
        yield f"   Ignored: {', '.join(status.ignored)}"
    if entries:
        yield ""
        yield from (line_of(entry, machine.name) for entry in entries)
