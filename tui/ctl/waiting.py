"""Wait until units are what was asked for, and say why when they are not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from c101.core.errors import NotPlacedError
from c101.core.model.cluster import ClusterState
from c101.core.model.unit import UnitState
from c101.core.registry.mirror import Mirror
from c101.core.scheduler.explain import Outcome, why
from c101.tui.ctl.output import say
from c101.tui.ctl.session import Session

#: Says of a unit what is still missing; "" when it is as wanted.
Missing = Callable[[ClusterState, str], str]


@contextlib.asynccontextmanager
async def mirrored(session: Session) -> AsyncIterator[Mirror]:
    """Follow the registry for the length of the block; it is current when the block begins."""
    mirror = Mirror(session.client, session.keyspace, session.clock)
    following = asyncio.create_task(mirror.run(), name="mirror")
    try:
        async with asyncio.timeout(session.options.timeout_seconds):
            await mirror.next_change(0)
        yield mirror
    except TimeoutError:
        raise mirror.problem or NotPlacedError("the registry could not be read in time") from None
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def wait_for(
    mirror: Mirror, names: Sequence[str], missing: Missing, *, timeout_seconds: float, done: str
) -> None:
    """Wait until *missing* says "" of each unit; each is reported as it gets there.

    Raises NotPlacedError after *timeout_seconds*, with what is missing and why.
    """
    waiting = dict.fromkeys(names)
    try:
        async with asyncio.timeout(timeout_seconds or None):
            while True:
                cluster = mirror.state
                for name in list(waiting):
                    if not missing(cluster, name):
                        del waiting[name]
                        say(f"{name} {done}{_where(cluster, name)}")
                if not waiting:
                    return
                await mirror.next_change(cluster.revision)
    except TimeoutError:
        raise _not_there(mirror.state, list(waiting), missing, timeout_seconds) from None


def _where(cluster: ClusterState, name: str) -> str:
    places = sorted(_machine_name(cluster, state.machine_id) for state in cluster.states_of(name))
    return f" on {', '.join(places)}" if places else ""


def _not_there(
    cluster: ClusterState, names: Sequence[str], missing: Missing, seconds: float
) -> NotPlacedError:
    reasons = [f"{name}: {missing(cluster, name)}" for name in names]
    lines = [
        line
        for name in names
        if name in cluster.units
        for explanation in [why(cluster, name)]
        if explanation.outcome is Outcome.PENDING
        for line in explanation.lines()
    ]
    message = f"not within {seconds:g} s: " + "; ".join(reasons)
    return NotPlacedError("\n".join([message, *lines]), hint="it may still happen: c101ctl status")


def not_active(cluster: ClusterState, name: str) -> str:
    """Say what keeps a unit from having been started, "" when it runs (or a oneshot has run)."""
    unit = cluster.units.get(name)
    if unit is None:
        return "it was destroyed"
    wanted = _expected(cluster, name)
    if not wanted:
        return "it is placed nowhere"
    for machine_id in wanted:
        state = cluster.states.get((name, machine_id))
        where = _machine_name(cluster, machine_id)
        if state is None:
            return f"nothing is reported of it from {where} yet"
        if state.load != "loaded":
            return f"{where} could not load it: {state.message or state.load}"
        if state.restart != unit.restart or not _has_started(state):
            return f"it is {state.active} ({state.sub}) on {where}"
    return ""


def _has_started(state: UnitState) -> bool:
    # A oneshot that is done is inactive again; it started, and ended well.
    done = state.active == "inactive" and state.result == "success" and state.exit_status == 0
    return state.active == "active" or done


def not_stopped(cluster: ClusterState, name: str) -> str:
    """Say where a unit still runs, "" when it does nowhere."""
    for state in cluster.states_of(name):
        if state.active not in {"inactive", "failed"}:
            return f"it is {state.active} on {_machine_name(cluster, state.machine_id)}"
    return ""


def not_loaded(cluster: ClusterState, name: str) -> str:
    """Say what keeps a unit from being loaded where it is wanted."""
    wanted = _expected(cluster, name)
    if not wanted:
        return "it is placed nowhere"
    for machine_id in wanted:
        state = cluster.states.get((name, machine_id))
        if state is None or state.load != "loaded":
            return f"it is not loaded on {_machine_name(cluster, machine_id)} yet"
    return ""


def not_gone(cluster: ClusterState, name: str) -> str:
    """Say where a unit is still known, "" when it is nowhere."""
    for state in cluster.states_of(name):
        return f"it is still on {_machine_name(cluster, state.machine_id)}"
    return ""


def _expected(cluster: ClusterState, name: str) -> list[str]:
    """Return the ids of the machines a unit should be on."""
    unit = cluster.units.get(name)
    if unit is None:
        return []
    if unit.placement is not None:
        return [unit.placement.machine_id]
    explanation = why(cluster, name)
    if explanation.outcome is not Outcome.GLOBAL:
        return []
    return [one.machine_id for one in explanation.verdicts if one.rejection is None]


def _machine_name(cluster: ClusterState, machine_id: str) -> str:
    machine = cluster.machines.get(machine_id)
    return machine.name if machine is not None else machine_id[:8]
