"""Wait until units are what was asked for, and say why when they are not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from c101.core.errors import C101Error, LinkError, NotPlacedError
from c101.core.model.cluster import ClusterState
from c101.core.model.unit import Unit, UnitState
from c101.core.registry.mirror import Mirror
from c101.tui.ctl.session import Session


@dataclass(frozen=True, slots=True)
class Lack:
    """What keeps a unit from being as wanted. ``final``: waiting does not change it."""

    text: str
    final: bool = False


#: Says of a unit what is still missing; ``None`` when it is as wanted.
Missing = Callable[[ClusterState, str], Lack | None]


class Outdated:
    """The runs that a new file makes outdated: as long as one of them goes on, it is not done.

    A machine has the new file before it restarts the unit, so the file alone tells nothing.
    """

    def __init__(self, missing: Missing) -> None:
        self._missing = missing
        self._runs: set[tuple[str, str, int | None, float]] = set()

    def note(self, cluster: ClusterState, names: Sequence[str]) -> None:
        """Remember what runs of *names* before their files are replaced."""
        self._runs |= {
            _run_of(state)
            for name in names
            for state in cluster.states_of(name)
            if state.active not in {"inactive", "failed"}
        }

    def missing(self, cluster: ClusterState, name: str) -> Lack | None:
        """Say what is missing of a unit, with outdated runs regarded."""
        lack = self._missing(cluster, name)
        if lack is None and any(_run_of(state) in self._runs for state in cluster.states_of(name)):
            return Lack("its run with the file before goes on")
        return lack


def _run_of(state: UnitState) -> tuple[str, str, int | None, float]:
    return state.unit, state.machine_id, state.main_pid, state.since


class UnitFailedError(C101Error):
    """A unit was started and failed, or could not be loaded."""

    code = "unit_failed"


@contextlib.asynccontextmanager
async def mirrored(session: Session) -> AsyncIterator[Mirror]:
    """Follow the registry for the length of the block; it is current when the block begins.

    Raises LinkError: it could not be read in time.
    """
    mirror = Mirror(session.client, session.keyspace, session.clock)
    following = asyncio.create_task(mirror.run(), name="mirror")
    try:
        try:
            async with asyncio.timeout(session.options.timeout_seconds):
                await mirror.next_change(0)
        except TimeoutError:
            raise mirror.problem or LinkError("the registry could not be read in time") from None
        yield mirror
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following


async def wait_for(
    session: Session, names: Sequence[str], missing: Missing, *, seconds: float, done: str
) -> None:
    """Wait until *missing* misses nothing of any unit; each is told of as it gets there.

    Raises:
        NotPlacedError: after *seconds* (0: never), with what is missing and why.
        UnitFailedError: as soon as it is certain that one will not get there.
    """
    async with mirrored(session) as mirror:
        waiting = dict.fromkeys(names)
        try:
            async with asyncio.timeout(seconds or None):
                while True:
                    cluster = mirror.state
                    _strike_off(session, cluster, waiting, missing, done)
                    if not waiting:
                        return
                    await mirror.next_change(cluster.revision)
        except TimeoutError:
            raise _not_there(mirror.state, list(waiting), missing, seconds) from None


def _strike_off(
    session: Session,
    cluster: ClusterState,
    waiting: dict[str, None],
    missing: Missing,
    done: str,
) -> None:
    """Take those that are as wanted out of *waiting*. Raises UnitFailedError."""
    failed = []
    for name in list(waiting):
        lack = missing(cluster, name)
        if lack is None:
            del waiting[name]
            session.tell(f"{name} {done}{_where(cluster, name)}")
        elif lack.final:
            failed.append(name)
    if failed:
        text = "; ".join(f"{name}: {_text(missing(cluster, name))}" for name in failed)
        raise UnitFailedError(text, hint=f"c101ctl status {failed[0]} shows its latest lines")


def _where(cluster: ClusterState, name: str) -> str:
    places = sorted(_machine_name(cluster, state.machine_id) for state in cluster.states_of(name))
    return f" on {', '.join(places)}" if places else ""


def _not_there(
    cluster: ClusterState, names: Sequence[str], missing: Missing, seconds: float
) -> NotPlacedError:
    from c101.core.scheduler.explain import Outcome, why

    reasons = [f"{name}: {_text(missing(cluster, name))}" for name in names]
    lines = [
        line
        for name in names
        if name in cluster.units
        for explanation in [why(cluster, name)]
        if explanation.outcome is Outcome.PENDING
        for line in explanation.lines()
    ]
    message = f"not within {seconds:g} s: " + "; ".join(reasons)
    hint = f"it may still happen: c101ctl why {names[0]}" if names else None
    return NotPlacedError("\n".join([message, *lines]), hint=hint)


def _text(lack: Lack | None) -> str:
    return lack.text if lack is not None else "it was late"


def not_active(cluster: ClusterState, name: str) -> Lack | None:
    """Say what keeps a unit from having been started: it runs, or is a oneshot that has run."""
    unit = cluster.units.get(name)
    if unit is None:
        return Lack("it was destroyed", final=True)
    wanted = _expected(cluster, name)
    if not wanted:
        return Lack("it is placed nowhere")
    lacks = [_not_started(cluster, unit, machine_id) for machine_id in wanted]
    return next((lack for lack in lacks if lack is not None), None)


def _not_started(cluster: ClusterState, unit: Unit, machine_id: str) -> Lack | None:
    state = cluster.states.get((unit.name, machine_id))
    where = _machine_name(cluster, machine_id)
    lack = _not_held(unit, state, where)
    if lack is not None or state is None:
        return lack
    if state.restart != unit.restart:
        return Lack(f"{where} has not started it anew yet")
    if state.active == "failed":
        return Lack(f"it failed on {where}: {failure(state)}", final=True)
    # A oneshot that is done is inactive again; it started, and ended well.
    ended = state.active == "inactive" and state.result == "success" and state.exit_status == 0
    if state.active == "active" or ended:
        return None
    said = f": {state.message}" if state.message else ""
    return Lack(f"it is {state.active} ({state.sub}) on {where}{said}")


def _not_held(unit: Unit, state: UnitState | None, where: str) -> Lack | None:
    """Say what keeps a machine from having a unit's file loaded."""
    if state is None:
        return Lack(f"nothing is reported of it from {where} yet")
    if state.hash != unit.hash:
        return Lack(f"{where} holds it with another file still")
    if state.load != "loaded":
        return Lack(f"{where} could not load it: {state.message or state.load}", final=True)
    return None


def failure(state: UnitState) -> str:
    """Say in systemd's words how a unit ended that failed."""
    status = f", status={state.exit_status}" if state.exit_status is not None else ""
    return f"{state.result}{status}"


def not_stopped(cluster: ClusterState, name: str) -> Lack | None:
    """Say where a unit still runs."""
    for state in cluster.states_of(name):
        if state.active not in {"inactive", "failed"}:
            return Lack(f"it is {state.active} on {_machine_name(cluster, state.machine_id)}")
    return None


def not_loaded(cluster: ClusterState, name: str) -> Lack | None:
    """Say what keeps a unit from being loaded, and not running, where it is wanted."""
    unit = cluster.units.get(name)
    if unit is None:
        return Lack("it was destroyed", final=True)
    wanted = _expected(cluster, name)
    if not wanted:
        return Lack("it is placed nowhere")
    for machine_id in wanted:
        state = cluster.states.get((name, machine_id))
        lack = _not_held(unit, state, _machine_name(cluster, machine_id))
        if lack is not None:
            return lack
    return not_stopped(cluster, name)


def not_gone(cluster: ClusterState, name: str) -> Lack | None:
    """Say where a unit is still held."""
    for state in cluster.states_of(name):
        return Lack(f"it is still on {_machine_name(cluster, state.machine_id)}")
    return None


def _expected(cluster: ClusterState, name: str) -> list[str]:
    """Return the ids of the machines a unit should be on."""
    unit = cluster.units[name]
    if unit.placement is not None:
        return [unit.placement.machine_id]
    from c101.core.scheduler.explain import Outcome, why

    explanation = why(cluster, name)
    if explanation.outcome is not Outcome.GLOBAL:
        return []
    return [one.machine_id for one in explanation.verdicts if one.rejection is None]


def _machine_name(cluster: ClusterState, machine_id: str) -> str:
    machine = cluster.machines.get(machine_id)
    return machine.name if machine is not None else machine_id[:8]
