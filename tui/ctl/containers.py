"""``list-containers``, ``exec`` and ``run``: containers of all machines, and commands there."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from c101.core.errors import C101Error, InvalidNameError, LinkError, NotFoundError
from c101.core.model.cluster import ClusterState
from c101.core.model.host import Container
from c101.core.model.machine import Machine
from c101.tui.ctl.links import agent_of
from c101.tui.ctl.listing import legend_option
from c101.tui.ctl.names import unit_name
from c101.tui.ctl.output import print_json, print_table, say
from c101.tui.ctl.places import is_lost, machine_called, machines_of
from c101.tui.ctl.session import Options, Session, run
from c101.tui.render.humanise import size

if TYPE_CHECKING:
    from c101.tui.ctl.remote import Outcome

#: Machines asked at once.
MACHINES_AT_ONCE = 32
_UNSHOWN = "-"
#: Of a container's id: enough to tell it from others, as docker shows it.
_ID_CELLS = 12

_machine_option = click.option("-m", "--machine", default="", help="The one on this machine.")
#: Whatever comes after the first word is the command's own, options too.
_OPAQUE = {"ignore_unknown_options": True, "allow_interspersed_args": False}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one machine said."""

    machine: Machine
    containers: Sequence[Container] = ()
    problems: Sequence[str] = ()
    error: C101Error | None = None


@click.command("list-containers")
@legend_option
@click.option("-a", "--all", "everything", is_flag=True, help="Those that do not run, too.")
@_machine_option
@click.pass_obj
def list_containers_command(
    options: Options, *, no_legend: bool, everything: bool, machine: str
) -> None:
    """List containers and whose units they are, as the engines of all machines tell of them."""

    async def verb(session: Session) -> list[_Asked]:
        cluster = await session.registry.snapshot()
        chosen = [machine_called(cluster, machine)] if machine else cluster.machines.values()
        return await _ask_all(session, list(chosen))

    asked = run(options, verb)
    _tell_problems(asked)
    found = [
        (one.machine, container)
        for one in asked
        for container in one.containers
        if everything or container.running
    ]
    if options.json:
        print_json([_document(where, container) for where, container in found])
    else:
        header = (
            "CONTAINER", "ENGINE", "IMAGE", "STATE", "PORTS", "MEMORY", "UNIT", "MACHINE", "ID"
        )  # fmt: skip
        rows = [_row(where, container) for where, container in found]
        print_table(header, rows, legend=not no_legend)
    failed = [one.error for one in asked if one.error is not None]
    if failed and len(failed) == len(asked):
        raise failed[0]


@click.command("exec", context_settings=_OPAQUE)
@_machine_option
@click.option("-T", "--no-terminal", is_flag=True, help="By pipes, even from a terminal.")
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def exec_command(
    options: Options, *, machine: str, no_terminal: bool, name: str, command: tuple[str, ...]
) -> None:
    """Run COMMAND, a shell if there is none, in the container of a unit, or one called NAME.

    Its exit status is that of COMMAND. On the machine itself: c101ctl run.
    """
    from c101.tui.ctl.remote import converse

    async def verb(session: Session) -> int:
        cluster = await session.registry.snapshot()
        where, container = await _container_called(session, cluster, name, machine)
        async with agent_of(where, session.address, session.clock) as agent:
            return await converse(agent, command, container.id, terminal=not no_terminal)

    sys.exit(run(options, verb))


@click.command("run", context_settings=_OPAQUE)
@click.option("-m", "--machine", "names", multiple=True, help="On this machine; may be repeated.")
@click.option("--all", "everywhere", is_flag=True, help="On every machine.")
@click.option("-T", "--no-terminal", is_flag=True, help="By pipes, even from a terminal.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.pass_obj
def run_command(
    options: Options,
    *,
    names: tuple[str, ...],
    everywhere: bool,
    no_terminal: bool,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND once on machines, as root; on one, a shell if there is none.

    On several, each line is printed with its machine's name, and the exit status is the highest.
    Nothing of it stays: what is to run on is a unit.
    """
    if bool(names) == everywhere:
        raise click.UsageError("name machines by -m, or say --all")
    if (everywhere or len(names) > 1) and not command:
        raise click.UsageError("a shell is for one machine")

    async def verb(session: Session) -> int:
        cluster = await session.registry.snapshot()
        if len(names) == 1:
            one = machine_called(cluster, names[0])
            return await _on_one(session, one, command, terminal=not no_terminal)
        chosen = [machine_called(cluster, name) for name in dict.fromkeys(names)]
        return await _on_all(session, chosen or list(cluster.machines.values()), command)

    sys.exit(run(options, verb))


async def _on_one(
    session: Session, machine: Machine, command: Sequence[str], *, terminal: bool
) -> int:
    from c101.tui.ctl.remote import converse, gather_output

    async with agent_of(machine, session.address, session.clock) as agent:
        if session.options.json:
            outcome = await gather_output(agent, command, None)
            print_json([_outcome_document(machine, outcome)])
            return outcome.status
        return await converse(agent, command, "", terminal=terminal)


async def _on_all(session: Session, machines: Sequence[Machine], command: Sequence[str]) -> int:
    from c101.tui.ctl.remote import Outcome, gather_output, lines_of

    gate = asyncio.Semaphore(MACHINES_AT_ONCE)
    failed: list[C101Error] = []

    async def one(machine: Machine) -> "Outcome":
        if is_lost(machine):
            raise LinkError(f"{machine.name} is lost: its lease ended")
        show = None if session.options.json else lines_of(f"{machine.name}: ")
        async with gate, agent_of(machine, session.address, session.clock) as agent:
            return await gather_output(agent, command, show)

    answers = await asyncio.gather(*map(one, machines), return_exceptions=True)
    documents: list[dict[str, Any]] = []
    statuses = [0]
    for machine, answer in zip(machines, answers, strict=True):
        if isinstance(answer, Outcome):
            statuses.append(answer.status)
            documents.append(_outcome_document(machine, answer))
            if answer.status and not session.options.json:
                say(f"{machine.name}: status {answer.status}")
        elif isinstance(answer, C101Error):
            failed.append(answer)
            error = {"code": answer.code, "message": str(answer), "hint": answer.hint}
            documents.append({"machine": machine.name, "machine_id": machine.id, "error": error})
            if not session.options.json:
                say(f"{machine.name}: {answer}")
        else:
            raise answer
    if session.options.json:
        print_json(documents)
    return max(*statuses, *(error.exit_status for error in failed), 0)


async def _container_called(
    session: Session, cluster: ClusterState, name: str, machine: str
) -> tuple[Machine, Container]:
    """Return the container that *name* means: a unit's, else the one called so, and its machine.

    Raises NotFoundError: there is none, or there are several.
    """
    unit = _known_unit(cluster, name)
    if unit:
        places = machines_of(cluster, unit, only=machine)
    elif machine:
        places = [machine_called(cluster, machine)]
    else:
        places = [one for one in cluster.machines.values() if not is_lost(one)]
    asked = await _ask_all(session, places)
    found = [
        (one.machine, container)
        for one in asked
        for container in one.containers
        if (container.unit == unit if unit else _is_called(container, name))
    ]
    # A unit whose container was made anew may have the old one beside it.
    found = [one for one in found if one[1].running] or found
    if len(found) == 1:
        return found[0]
    errors = [one.error for one in asked if one.error is not None]
    if not found and errors:
        raise errors[0]
    _tell_problems(asked)
    if len(found) > 1:
        where = ", ".join(f"{container.name} on {place.name}" for place, container in found)
        raise NotFoundError(f"{name} may be several: {where}", hint="-m names the machine")
    if unit:
        on = places[0].name
        raise NotFoundError(
            f"{unit} has no container", hint=f"c101ctl run -m {on} runs a command on its machine"
        )
    raise NotFoundError(f"no container is called {name}", hint="c101ctl list-containers lists them")


def _known_unit(cluster: ClusterState, name: str) -> str:
    """Return the unit of the cluster that *name* means; "" for none."""
    try:
        full = unit_name(name)
    except InvalidNameError:
        return ""
    return full if full in cluster.units else ""


def _is_called(container: Container, name: str) -> bool:
    return name == container.name or (len(name) >= 4 and container.id.startswith(name))


async def _ask_all(session: Session, machines: Sequence[Machine]) -> list[_Asked]:
    gate = asyncio.Semaphore(MACHINES_AT_ONCE)

    async def one(machine: Machine) -> _Asked:
        if is_lost(machine):
            return _Asked(machine, error=LinkError(f"{machine.name} is lost: its lease ended"))
        try:
            async with gate, agent_of(machine, session.address, session.clock) as agent:
                containers, problems = await agent.containers()
        except C101Error as error:
            return _Asked(machine, error=error)
        return _Asked(machine, containers, problems)

    return list(await asyncio.gather(*map(one, machines)))


def _tell_problems(asked: Sequence[_Asked]) -> None:
    for one in asked:
        for problem in [*one.problems, *([str(one.error)] if one.error is not None else [])]:
            say(f"{one.machine.name}: {problem}")


def _row(machine: Machine, one: Container) -> tuple[str, ...]:
    memory = one.resources.memory_bytes if one.resources is not None else None
    return (
        one.name,
        one.engine,
        one.image or _UNSHOWN,
        f"{one.state} ({one.health})" if one.health else one.state,
        ", ".join(one.ports) or _UNSHOWN,
        _UNSHOWN if memory is None else size(memory),
        one.unit or _UNSHOWN,
        machine.name,
        one.id[:_ID_CELLS] if one.id != one.name else _UNSHOWN,
    )


def _document(machine: Machine, one: Container) -> dict[str, Any]:
    return {**asdict(one), "machine": machine.name, "health": one.health or None}


def _outcome_document(machine: Machine, outcome: "Outcome") -> dict[str, Any]:
    return {
        "machine": machine.name,
        "machine_id": machine.id,
        "status": outcome.status,
        "stdout": outcome.output.decode("utf-8", "replace"),
        "stderr": outcome.error.decode("utf-8", "replace"),
    }
