"""``machines cordon|uncordon|drain``: what operators want of machines, while they work on them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import click

from c101.core.errors import DeadlineExceededError
from c101.core.model.machine import Machine, MachineIntent
from c101.tui.ctl.output import print_json
from c101.tui.ctl.places import machine_called
from c101.tui.ctl.session import Options, Session, run

_machines_argument = click.argument("machines", nargs=-1, required=True, metavar="MACHINE...")


@click.command("cordon")
@_machines_argument
@click.pass_obj
def cordon_command(options: Options, *, machines: tuple[str, ...]) -> None:
    """Place no more units on machines; what runs there runs on."""

    async def verb(session: Session) -> None:
        await _want(session, machines, cordoned=True, draining=False)

    run(options, verb)
    _report(options, machines, "cordoned")


@click.command("uncordon")
@_machines_argument
@click.pass_obj
def uncordon_command(options: Options, *, machines: tuple[str, ...]) -> None:
    """Let machines have units again."""

    async def verb(session: Session) -> None:
        await _want(session, machines, cordoned=False, draining=False)

    run(options, verb)
    _report(options, machines, "uncordoned")


@click.command("drain")
@_machines_argument
@click.option("--timeout", type=click.FloatRange(0), default=60.0, show_default=True)
@click.option("--no-block", is_flag=True, help="Do not wait until they have left.")
@click.pass_obj
def drain_command(
    options: Options, *, machines: tuple[str, ...], timeout: float, no_block: bool
) -> None:
    """Move the units of machines elsewhere, and place no more there.

    Exits with 4 where some found no other place: they are stopped. `machines uncordon` takes it
    back, and lets them return.
    """
    from c101.tui.ctl.waiting import mirrored

    async def verb(session: Session) -> None:
        async with mirrored(session) as mirror:
            before = mirror.state
            ids = {one.id for one in await _want(session, machines, cordoned=False, draining=True)}
            if no_block:
                return
            units = [unit for one in ids for unit in before.placed_on(one)]
            try:
                async with asyncio.timeout(timeout):
                    while (cluster := mirror.state).unmoved(units, ids):
                        await mirror.next_change(cluster.revision)
            except TimeoutError:
                left = ", ".join(mirror.state.unmoved(units, ids))
                raise DeadlineExceededError(
                    f"no other place was found within {timeout:g} s: {left}",
                    hint="c101ctl why UNIT says why; machines uncordon lets them return",
                ) from None

    run(options, verb)
    _report(options, machines, "draining" if no_block else "drained")


async def _want(
    session: Session, names: Sequence[str], *, cordoned: bool, draining: bool
) -> list[Machine]:
    """Say what is wanted of the machines called *names*, which are all known; return them."""
    cluster = await session.registry.snapshot()
    machines = [machine_called(cluster, name) for name in dict.fromkeys(names)]
    for machine in machines:
        known = machine.intent or MachineIntent(id=machine.id)
        await session.registry.set_intent(replace(known, cordoned=cordoned, draining=draining))
    return machines


def _report(options: Options, names: Sequence[str], result: str) -> None:
    if options.json:
        print_json([{"machine": name, "result": result} for name in dict.fromkeys(names)])
