"""``journal``: what units have written, merged over machines in the order of time."""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import click

from c101.core.clock import SystemClock
from c101.core.errors import ConfigError, LinkError
from c101.core.model.cluster import ClusterState
from c101.core.model.journal import JournalEntry
from c101.core.model.machine import Machine
from c101.tui.ctl.links import agent_of
from c101.tui.ctl.names import unit_name
from c101.tui.ctl.output import print_json, print_lines, say
from c101.tui.ctl.places import is_lost, machine_called, machines_of
from c101.tui.ctl.rows import rfc3339
from c101.tui.ctl.session import Options, Session, run
from c101.tui.render.sanitise import sanitise

if TYPE_CHECKING:
    from c101.agents.client.agent_client import JournalMatch

PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
#: Lines printed where nobody says how many.
LINES = 10
#: Between tries to reach a machine again while following; the last one repeats.
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0)


_AGO = re.compile(r"([0-9]{1,9}) ?([smhd])(?: ?ago)?")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

#: An entry and the name of its machine.
_Entry = tuple[str, JournalEntry]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Query:
    """What is asked of each machine."""

    match: "JournalMatch"
    lines: int
    since_us: int


@click.command("journal")
@click.argument("units", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is new.")
@click.option("-n", "--lines", type=click.IntRange(0), default=LINES, show_default=True)
@click.option("-p", "--priority", help="This and graver: 0 to 7, or err, warning, info …")
@click.option("-m", "--machine", default="", help="Only of this machine.")
@click.option("-t", "--identifier", default="", help="Only of this syslog identifier.")
@click.option("-g", "--grep", default="", metavar="PATTERN", help="Only messages that match.")
@click.option("-b", "--boot", default="", metavar="ID", help="Of a boot: 0 this, -1 the last.")
@click.option("-S", "--since", default="", metavar="TIME", help="ISO 8601; or 15m, 2h, 3d ago.")
@click.option("--everything", is_flag=True, help="Of the machines, not the cluster's units alone.")
@click.option("--all-fields", is_flag=True, help="With -o json: every field there is.")
@click.pass_obj
def journal_command(
    options: Options,
    *,
    units: tuple[str, ...],
    follow: bool,
    lines: int,
    priority: str | None,
    machine: str,
    identifier: str,
    grep: str,
    boot: str,
    since: str,
    all_fields: bool,
    everything: bool,
) -> None:
    """Print what UNITS (all of them where none is named) have written; -n 0 is everything."""
    from c101.agents.client.agent_client import JournalMatch

    query = _Query(
        match=JournalMatch(
            units=tuple(unit_name(unit) for unit in units),
            priority_max=_priority(priority),
            identifier=identifier,
            grep=grep,
            boot=boot,
            all_fields=all_fields,
            everything=everything,
        ),
        lines=lines,
        since_us=_since(since, now=SystemClock().time()),
    )

    async def verb(session: Session) -> None:
        cluster = await session.registry.snapshot()
        machines = _machines(cluster, query.match.units, machine)
        if follow:
            await _follow(session, machines, query)
        else:
            await _print_all(session, machines, query)

    run(options, verb)


def _priority(text: str | None) -> int | None:
    if text is None:
        return None
    if text in PRIORITIES:
        return PRIORITIES.index(text)
    if text.isdigit() and int(text) < len(PRIORITIES):
        return int(text)
    raise ConfigError(f"not a priority: {text}", hint="0 to 7, or " + ", ".join(PRIORITIES))


def _since(text: str, *, now: float) -> int:
    """Return a time in microseconds since 1970; 0 for none. Raises ConfigError."""
    if not text:
        return 0
    if (ago := _AGO.fullmatch(text)) is not None:
        return int((now - int(ago[1]) * _UNIT_SECONDS[ago[2]]) * 1e6)
    try:
        return int(datetime.fromisoformat(text).astimezone().timestamp() * 1e6)
    except ValueError:
        raise ConfigError(
            f"not a time: {text}", hint="2026-11-30T18:00, 18:00 is not enough; or 15m, 2h ago"
        ) from None


def _machines(cluster: ClusterState, units: Sequence[str], only: str) -> list[Machine]:
    """Return the machines to ask; those that are lost are named and left out."""
    if units:
        found = {one.id: one for unit in units for one in machines_of(cluster, unit, only=only)}
    elif only:
        one = machine_called(cluster, only)
        found = {one.id: one}
    else:
        found = dict(cluster.machines)
    for one in found.values():
        if is_lost(one):
            say(f"{one.name} is lost: its journal is not shown")
    return [one for one in found.values() if not is_lost(one)]


async def _print_all(session: Session, machines: Sequence[Machine], query: _Query) -> None:
    """Print what all have, in order of time; those that cannot be reached are named.

    Raises LinkError: none of them can.
    """
    answers = await asyncio.gather(
        *(_read(session, one, query) for one in machines), return_exceptions=True
    )
    failures: list[LinkError] = []
    entries: list[_Entry] = []
    for machine, answer in zip(machines, answers, strict=True):
        if isinstance(answer, LinkError):
            failures.append(answer)
            say(f"{machine.name}: {answer}")
        elif isinstance(answer, BaseException):
            raise answer
        else:
            entries.extend(answer)
    if failures and len(failures) == len(machines):
        raise failures[0]
    entries.sort(key=lambda one: one[1].realtime_us)
    for name, entry in entries[-query.lines :] if query.lines else entries:
        _print(session.options, name, entry)


async def _read(session: Session, machine: Machine, query: _Query) -> list[_Entry]:
    entries: list[_Entry] = []
    async with (
        agent_of(machine, session.address, session.clock) as agent,
        agent.journal(query.match, lines=query.lines, since_us=query.since_us) as batches,
    ):
        async for batch in batches:
            if batch.gap:
                say(f"{machine.name}: some lines could not be read")
            entries.extend((machine.name, entry) for entry in batch.entries)
    return entries


async def _follow(session: Session, machines: Sequence[Machine], query: _Query) -> None:
    """Print the latest lines of all in order, then each as it comes."""
    async with asyncio.TaskGroup() as group:
        for machine in machines:
            group.create_task(_follow_one(session, machine, query), name=machine.name)


async def _follow_one(session: Session, machine: Machine, query: _Query) -> None:
    cursor, failures = "", 0
    while True:
        try:
            async with (
                agent_of(machine, session.address, session.clock) as agent,
                agent.journal(
                    query.match,
                    lines=0 if cursor else query.lines,
                    since_us=0 if cursor else query.since_us,
                    after_cursor=cursor,
                    follow=True,
                ) as batches,
            ):
                async for batch in batches:
                    failures = 0
                    if batch.gap:
                        say(f"{machine.name}: lines are missing here")
                    for entry in batch.entries:
                        _print(session.options, machine.name, entry)
                        cursor = entry.cursor
        except LinkError as error:
            if not failures:
                say(f"{machine.name}: {error}; trying again")
        await session.clock.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
        failures += 1


def _print(options: Options, machine: str, entry: JournalEntry) -> None:
    if options.json:
        fields = {name: value.decode("utf-8", "replace") for name, value in entry.fields.items()}
        print_json(
            {
                "time": rfc3339(entry.realtime_us / 1e6),
                "machine": machine,
                "unit": entry.unit,
                "priority": entry.priority,
                "pid": entry.pid,
                "identifier": entry.identifier,
                "message": entry.message.decode("utf-8", "replace"),
                "cursor": entry.cursor,
                **({"fields": fields} if fields else {}),
            }
        )
        return
    print_lines([line_of(entry, machine)])


def line_of(entry: JournalEntry, machine: str) -> str:
    """Return an entry as one line that is safe to print, its time in this computer's zone."""
    when = datetime.fromtimestamp(entry.realtime_us / 1e6).astimezone()
    source = entry.identifier or entry.unit
    pid = f"[{entry.pid}]" if entry.pid else ""
    stamp = f"{when:%b %d %H:%M:%S.%f}"[:-3]
    return f"{stamp} {sanitise(machine)} {sanitise(source)}{pid}: {sanitise(entry.message)}"
