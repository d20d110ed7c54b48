"""Verbs that change what is wanted: ``submit load start stop restart unload destroy``.

Each looks at everything it was given before it changes anything: one wrong name among ten changes
nothing.
"""

import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from c101.core.errors import ConflictError, NotFoundError
from c101.core.model.unit import TargetState, Unit
from c101.core.registry.records import RecordError
from c101.core.registry.registry import Registry, refuse_template
from c101.core.units.name import UnitName
from c101.tui.ctl.names import Wanted, read_unit, unit_name, wanted
from c101.tui.ctl.output import print_json
from c101.tui.ctl.session import Options, Session, run
from c101.tui.ctl.waiting import (
    Missing,
    Outdated,
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
#: Does what a verb asks for one unit.
_Ask = Callable[[Registry, str], Awaitable[None]]


def _waiting_options(verb: _F) -> _F:
    for option in (
        click.option("--no-block", is_flag=True, help="Return when it is asked for."),
        click.option(
            "--timeout",
            type=click.FloatRange(0),
            default=WAIT_SECONDS,
            show_default=True,
            metavar="SECONDS",
            help="Wait no longer than this; 0 is for ever.",
        ),
        click.argument("units", nargs=-1, required=True, metavar="UNIT..."),
    ):
        verb = option(verb)
    return verb


replace_option = click.option("--replace", is_flag=True, help="Even where another file is known.")


@click.command("submit")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@replace_option
@click.pass_obj
def submit_command(options: Options, *, files: tuple[str, ...], replace: bool) -> None:
    """Make the unit FILEs known to the cluster; nothing is started."""
    found = [read_unit(Path(file)) for file in files]

    async def verb(session: Session) -> list[Unit]:
        await _look(session.registry, found, replace=replace)
        units = []
        for one in found:
            assert one.text is not None  # it was read from its file
            units.append(await session.registry.submit(one.name, one.text, replace=replace))
            session.tell(f"{one.name} submitted")
        return units

    units = run(options, verb)
    if options.json:
        print_json([{"unit": unit.name, "target": unit.target.value} for unit in units])


async def _look(registry: Registry, units: Sequence[Wanted], *, replace: bool) -> list[str]:
    """See whether each of *units* can be had, without changing anything.

    Returns the names of those whose file would be replaced by another one.

    Raises NotFoundError: one is not known, nor its template. ConflictError: another file is known
    under a name, and it is not to be replaced. InvalidNameError: one is a template.
    """
    changing = []
    for one in units:
        try:
            known = await registry.unit(one.name)
        except NotFoundError:
            if one.text is None:
                await _look_for_template(registry, one.name)
            continue
        if one.text in {None, known.text}:
            continue
        if not replace:
            raise ConflictError(
                f"{one.name} is known with another file",
                hint=f"--replace changes it; c101ctl cat {one.name} shows what is there",
            )
        changing.append(one.name)
    return changing


async def _look_for_template(registry: Registry, name: str) -> None:
    template = UnitName.parse(name).template
    if template is None:
        raise _no_unit(name)
    try:
        await registry.unit(template)
    except NotFoundError:
        raise NotFoundError(
            f"{name}: no such unit, and no template {template}",
            hint=f"c101ctl submit {template} makes the template known",
        ) from None


def _no_unit(name: str) -> NotFoundError:
    here = Path(name)
    hint = f"it is a file here: c101ctl start ./{name}" if here.is_file() else None
    return NotFoundError(f"{name}: no such unit", hint=hint or "c101ctl list-unit-files lists them")


def _refuse_templates(names: Sequence[str]) -> None:
    for name in names:
        refuse_template(UnitName.parse(name))


def _each(
    options: Options,
    names: Sequence[str],
    ask: _Ask,
    missing: Missing,
    *,
    done: str,
    wait: float | None,
    look: Callable[[Registry], Awaitable[None]],
) -> None:
    """*look* at all of them, do *ask* for each, then wait for all of them together."""

    async def verb(session: Session) -> None:
        await look(session.registry)
        for name in names:
            await ask(session.registry, name)
            if wait is None:
                session.tell(f"{name} will be {done}")
        if wait is not None:
            await wait_for(session, names, missing, seconds=wait, done=done)

    run(options, verb)
    if options.json:
        result = done if wait is not None else "asked"
        print_json([{"unit": name, "result": result} for name in names])


def _bring_up(
    options: Options,
    units: Sequence[str],
    ask: _Ask,
    missing: Missing,
    *,
    done: str,
    wait: float | None,
    replace: bool,
) -> None:
    """Do *ask* for units that may have to be submitted first: files, instances of templates."""
    found = [wanted(unit) for unit in units]
    names = [one.name for one in found]
    _refuse_templates(names)
    outdated = Outdated(missing)

    async def look(registry: Registry) -> None:
        changing = await _look(registry, found, replace=replace)
        if changing:
            outdated.note(await registry.snapshot(), changing)
        for one in found:
            if one.text is not None:
                await registry.submit(one.name, one.text, replace=replace)
            else:
                await registry.instantiate(one.name)

    _each(options, names, ask, outdated.missing, done=done, wait=wait, look=look)


def _change(
    options: Options,
    units: Sequence[str],
    ask: _Ask,
    missing: Missing,
    *,
    done: str,
    wait: float | None,
    refuse_inactive: bool = False,
) -> None:
    """Do *ask* for units that are known."""
    names = [unit_name(unit) for unit in units]
    _refuse_templates(names)

    async def look(registry: Registry) -> None:
        for name in names:
            try:
                unit = await registry.unit(name)
            except NotFoundError:
                raise _no_unit(name) from None
            if refuse_inactive and unit.target is TargetState.INACTIVE:
                raise ConflictError(
                    f"{name} is inactive already", hint=f"c101ctl start {name} has it running"
                )

    _each(options, names, ask, missing, done=done, wait=wait, look=look)


@click.command("load")
@_waiting_options
@replace_option
@click.pass_obj
def load_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float, replace: bool
) -> None:
    """Have UNITs placed and loaded, not started."""

    async def ask(registry: Registry, name: str) -> None:
        await registry.set_target(name, TargetState.LOADED)

    wait = None if no_block else timeout
    _bring_up(options, units, ask, not_loaded, done="loaded", wait=wait, replace=replace)


@click.command("start")
@_waiting_options
@replace_option
@click.pass_obj
def start_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float, replace: bool
) -> None:
    """Have UNITs running; waits until they are, and says why when they are not.

    A unit is a name that the cluster knows, an instance of a template that it knows, or a path to
    a file: anything with a slash.
    """
    wait = None if no_block else timeout
    _bring_up(options, units, start, not_active, done="started", wait=wait, replace=replace)


async def start(registry: Registry, name: str) -> None:
    """Want *name* launched; one that has ended or failed before is started anew."""
    states = (await registry.snapshot()).states_of(name)
    if any(state.active in {"inactive", "failed"} for state in states):
        # First, so that the wish to run and the new run come to the agent as one.
        await registry.request_restart(name, secrets.token_hex(RESTART_ID_BYTES))
    await registry.set_target(name, TargetState.LAUNCHED)


@click.command("stop")
@_waiting_options
@click.pass_obj
def stop_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float
) -> None:
    """Have UNITs stopped; they stay where they are, loaded."""

    async def ask(registry: Registry, name: str) -> None:
        await registry.set_target(name, TargetState.LOADED)

    wait = None if no_block else timeout
    _change(options, units, ask, not_stopped, done="stopped", wait=wait, refuse_inactive=True)


@click.command("restart")
@_waiting_options
@click.pass_obj
def restart_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float
) -> None:
    """Stop and start UNITs once, wherever they run; those that do not run are started."""

    async def ask(registry: Registry, name: str) -> None:
        await registry.request_restart(name, secrets.token_hex(RESTART_ID_BYTES))
        await registry.set_target(name, TargetState.LAUNCHED)

    wait = None if no_block else timeout
    _change(options, units, ask, not_active, done="restarted", wait=wait)


@click.command("unload")
@_waiting_options
@click.pass_obj
def unload_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float
) -> None:
    """Have UNITs stopped and placed nowhere; the cluster still knows them."""

    async def ask(registry: Registry, name: str) -> None:
        await registry.set_target(name, TargetState.INACTIVE)

    _change(options, units, ask, not_gone, done="unloaded", wait=None if no_block else timeout)


@click.command("destroy")
@_waiting_options
@click.pass_obj
def destroy_command(
    options: Options, *, units: tuple[str, ...], no_block: bool, timeout: float
) -> None:
    """Stop UNITs and forget their files; templates as well."""
    names = [unit_name(unit) for unit in units]

    async def look(registry: Registry) -> None:
        for name in names:
            try:
                await registry.unit(name)
            except NotFoundError:
                raise _no_unit(name) from None
            except RecordError:
                continue  # damaged: to destroy it is the way out

    async def ask(registry: Registry, name: str) -> None:
        await registry.destroy(name)

    wait = None if no_block else timeout
    _each(options, names, ask, not_gone, done="destroyed", wait=wait, look=look)
