"""Verbs that change what is wanted: ``submit load start stop restart unload destroy``."""

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from c101.core.errors import ConflictError, NotFoundError
from c101.core.model.unit import TargetState
from c101.core.registry.registry import Registry
from c101.core.units.name import UnitName
from c101.tui.ctl.names import is_path, read_unit, read_unit_or_template, unit_name
from c101.tui.ctl.output import print_json, say
from c101.tui.ctl.session import Options, Session, run
from c101.tui.ctl.waiting import (
    Missing,
    mirrored,
    not_active,
    not_gone,
    not_loaded,
    not_stopped,
    wait_for,
)

#: How long a verb waits for what it asked for.
WAIT_SECONDS = 60.0
#: How many random bytes tell one restart from another.
RESTART_ID_BYTES = 8

_F = TypeVar("_F", bound=Callable[..., Any])


def _waiting_options(verb: _F) -> _F:
    for option in (
        click.option("--no-block", is_flag=True, help="Return when it is asked for."),
        click.option("--timeout", type=float, default=WAIT_SECONDS, show_default=True),
        click.argument("units", nargs=-1, required=True),
    ):
        verb = option(verb)
    return verb


replace_option = click.option("--replace", is_flag=True, help="Even where another text is known.")


@click.command("submit")
@click.argument("files", nargs=-1, required=True)
@replace_option
@click.pass_obj
def submit_command(options: Options, *, files: tuple[str, ...], replace: bool) -> None:
    """Make the unit FILES known to the cluster; nothing is started."""
    found = [read_unit(Path(file)) for file in files]

    async def verb(session: Session) -> None:
        for name, text in found:
            await session.registry.submit(name, text, replace=replace)
            say(f"{name} submitted")

    run(options, verb)
    if options.json:
        print_json([{"unit": name, "target": "inactive"} for name, _ in found])


async def _known(registry: Registry, unit: str, *, replace: bool) -> str:
    """Return the name of *unit*, submitted if it is a file here or an instance of a template."""
    if is_path(unit):
        name, text = read_unit_or_template(Path(unit))
        await registry.submit(name, text, replace=replace)
        return name
    name = unit_name(unit)
    if UnitName.parse(name).is_instance:
        await registry.instantiate(name)
    return name


def _each(
    options: Options,
    units: Sequence[str],
    ask: Callable[[Registry, str], Any],
    missing: Missing,
    *,
    done: str,
    wait: float | None,
) -> None:
    """Do *ask* for each unit, then wait for all of them together."""

    async def verb(session: Session) -> list[str]:
        registry = session.registry
        names = [await ask(registry, unit) for unit in units]
        if wait is None:
            for name in names:
                say(f"{name} will be {done}")
            return names
        async with mirrored(session) as mirror:
            await wait_for(mirror, names, missing, timeout_seconds=wait, done=done)
        return names

    names = run(options, verb)
    if options.json:
        print_json([{"unit": name, "result": done} for name in names])


@click.command("load")
@_waiting_options
@replace_option
@click.pass_obj
def load_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float, replace: bool
) -> None:
    """Have UNITS placed and loaded, not started."""

    async def ask(registry: Registry, unit: str) -> str:
        name = await _known(registry, unit, replace=replace)
        await registry.set_target(name, TargetState.LOADED)
        return name

    wait = None if no_block else timeout
    _each(options, units, ask, not_loaded, done="loaded", wait=wait)


@click.command("start")
@_waiting_options
@replace_option
@click.pass_obj
def start_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float, replace: bool
) -> None:
    """Have UNITS running; waits until they are, and says why when they are not.

    A unit is a name the cluster knows, an instance of a template it knows, or a path to a file.
    """

    async def ask(registry: Registry, unit: str) -> str:
        name = await _known(registry, unit, replace=replace)
        await start(registry, name)
        return name

    _each(options, units, ask, not_active, done="started", wait=None if no_block else timeout)


async def start(registry: Registry, name: str) -> None:
    """Want *name* launched; one that is, and has ended or failed since, is started anew."""
    before = await registry.unit(name)
    await registry.set_target(name, TargetState.LAUNCHED)
    if before.target is not TargetState.LAUNCHED:
        return
    states = (await registry.snapshot()).states_of(name)
    if any(state.active in {"inactive", "failed"} for state in states):
        await registry.request_restart(name, secrets.token_hex(RESTART_ID_BYTES))


@click.command("stop")
@_waiting_options
@click.pass_obj
def stop_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float
) -> None:
    """Have UNITS stopped; they stay where they are, loaded."""

    async def ask(registry: Registry, unit: str) -> str:
        name = unit_name(unit)
        if (await registry.unit(name)).target is TargetState.INACTIVE:
            raise ConflictError(
                f"{name} is inactive already", hint=f"c101ctl start {name} has it running"
            )
        await registry.set_target(name, TargetState.LOADED)
        return name

    _each(options, units, ask, not_stopped, done="stopped", wait=None if no_block else timeout)


@click.command("restart")
@_waiting_options
@click.pass_obj
def restart_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float
) -> None:
    """Stop and start UNITS once, wherever they run."""

    async def ask(registry: Registry, unit: str) -> str:
        name = unit_name(unit)
        if (await registry.unit(name)).target is not TargetState.LAUNCHED:
            await registry.set_target(name, TargetState.LAUNCHED)
        else:
            await registry.request_restart(name, secrets.token_hex(RESTART_ID_BYTES))
        return name

    _each(options, units, ask, not_active, done="restarted", wait=None if no_block else timeout)


@click.command("unload")
@_waiting_options
@click.pass_obj
def unload_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float
) -> None:
    """Have UNITS stopped and placed nowhere; the cluster still knows them."""

    async def ask(registry: Registry, unit: str) -> str:
        name = unit_name(unit)
        await registry.set_target(name, TargetState.INACTIVE)
        return name

    _each(options, units, ask, not_gone, done="unloaded", wait=None if no_block else timeout)


@click.command("destroy")
@_waiting_options
@click.pass_obj
def destroy_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float
) -> None:
    """Stop UNITS and forget their files."""

    async def ask(registry: Registry, unit: str) -> str:
        name = unit_name(unit)
        try:
            await registry.destroy(name)
        except NotFoundError as error:
            raise NotFoundError(
                f"{name}: no such unit", hint="c101ctl list-unit-files lists them"
            ) from error
        return name

    _each(options, units, ask, not_gone, done="destroyed", wait=None if no_block else timeout)
