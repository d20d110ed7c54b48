"""What the units pane shows: one row a unit, and one a machine of a global unit."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine, MachineState
from c101.core.model.unit import TargetState, Unit, UnitState
from c101.core.units.name import UnitName
from c101.tui.store.health import Health
from c101.tui.store.rows import Delta, RowsModel


@dataclass(frozen=True, kw_only=True)
class UnitRow:
    """A unit on a machine, or on none.

    ``reason`` is the line under it that says why it is pending or failed, "" for none. ``active``
    and ``sub`` are systemd's words, "" where no machine reports any.
    """

    unit: str
    machine_id: str = ""
    machine: str = ""
    target: TargetState = TargetState.INACTIVE
    load: str = ""
    active: str = ""
    sub: str = ""
    since: float = 0.0
    health: Health = Health.OFF
    reason: str = ""
    is_global: bool = False
    is_template: bool = False
    restarts: int = 0

    @property
    def key(self) -> str:
        """The unit's name; with the machine's id for a global one."""
        return f"{self.unit} {self.machine_id}" if self.is_global else self.unit

    @cached_property
    def text(self) -> str:
        """What plain words of a filter look at."""
        parts = (self.unit, self.machine, self.target.value, self.active, self.sub, self.reason)
        return " ".join(parts)

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """What ``field:`` words of a filter look at."""
        return {
            "unit": self.unit,
            "machine": self.machine,
            "target": self.target.value,
            "active": self.active,
            "sub": self.sub,
            "is": self.health.value,
        }


#: Why each unit that should be on a machine is on none, or on a lost one: all at once.
Reasons = Callable[[ClusterState], Mapping[str, str]]

#: How a reason ends for a unit that is about to be placed: no trouble yet, so no flag.
NOT_PLACED_YET = "the engine has not placed it yet"

ORDERS: Mapping[str, Callable[[UnitRow], tuple[object, ...]]] = {
    "unit": lambda row: (_natural(row.unit),),
    "health": lambda row: (row.health.order, _natural(row.unit)),
    "machine": lambda row: (not row.machine, row.machine, _natural(row.unit)),
    "target": lambda row: (row.target.value, _natural(row.unit)),
    "active": lambda row: (row.active, row.sub, _natural(row.unit)),
    "since": lambda row: (-row.since,),
}


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort web@2 before web@10."""
    pieces: list[tuple[int, int, str]] = []
    text = ""
    for character in name + "\0":
        if text and character.isdecimal() != text[-1].isdecimal():
            number = int(text) if text.isdecimal() else 0
            pieces.append((0 if text.isdecimal() else 1, number, text))
            text = ""
        text += character
    return (*pieces, (1, 0, text.removesuffix("\0")))


@dataclass(slots=True)
class UnitsModel:
    """Turns each new state of the cluster into rows, touching only what differs."""

    reasons: Reasons
    is_global: Callable[[Unit], bool]
    list: RowsModel[UnitRow] = field(default_factory=lambda: RowsModel[UnitRow](ORDERS))
    cluster: ClusterState = field(default_factory=ClusterState)
    _rows_of: dict[str, tuple[UnitRow, ...]] = field(default_factory=dict)
    _why: Mapping[str, str] = field(default_factory=dict)

    def apply(self, cluster: ClusterState) -> Delta:
        """Take in the cluster as it is now."""
        before, self.cluster = self.cluster, cluster
        dirty = set(_touched(before, cluster))
        moved = _changed_machines(before, cluster)
        if moved:
            units = cluster.units.values()
            dirty.update(unit.name for unit in units if self._concerns(unit, moved))
        if dirty:
            before_why, self._why = self._why, self.reasons(cluster)
            names = before_why.keys() | self._why.keys()
            dirty.update(name for name in names if before_why.get(name) != self._why.get(name))
        changed: list[UnitRow] = []
        removed: list[str] = []
        states = _states_by_unit(cluster, dirty)
        for name in dirty:
            rows = tuple(self._rows(name, states.get(name, ())))
            held = {row.key for row in rows}
            removed += [r.key for r in self._rows_of.get(name, ()) if r.key not in held]
            changed += rows
            if rows:
                self._rows_of[name] = rows
            else:
                self._rows_of.pop(name, None)
        return self.list.apply(changed, removed)

    def rows_of(self, unit: str) -> tuple[UnitRow, ...]:
        """Return the rows of one unit, hidden ones too."""
        return self._rows_of.get(unit, ())

    def all_rows(self) -> Iterator[UnitRow]:
        """Yield every row, hidden ones too."""
        return iter(self.list.rows.values())

    def _concerns(self, unit: Unit, machines: set[str]) -> bool:
        # A unit without a home may find one on any machine that changed.
        return unit.placement is None or unit.placement.machine_id in machines

    def _rows(self, name: str, states: Iterable[UnitState]) -> Iterator[UnitRow]:
        unit = self.cluster.units.get(name)
        # A template is a file to make units of: it runs nowhere, and wants nothing.
        if unit is None or UnitName.parse(name).is_template:
            return
        if self.is_global(unit):
            reported = list(states)
            for state in reported:
                yield self._row(unit, state, state.machine_id, is_global=True)
            if not reported:
                yield self._row(unit, None, "", is_global=True)
            return
        machine_id = unit.placement.machine_id if unit.placement is not None else ""
        by_machine = {state.machine_id: state for state in states}
        # A state from elsewhere is a copy on its way out; shown where the unit has no home.
        shown = by_machine.get(machine_id)
        if shown is None and not machine_id:
            shown = next(iter(by_machine.values()), None)
        home = machine_id or (shown.machine_id if shown is not None else "")
        yield self._row(unit, shown, home)

    def _row(
        self, unit: Unit, state: UnitState | None, machine_id: str, *, is_global: bool = False
    ) -> UnitRow:
        machine = self.cluster.machines.get(machine_id)
        health, reason = self._verdict(unit, state, machine, is_global=is_global)
        return UnitRow(
            unit=unit.name,
            machine_id=machine_id,
            machine=machine.name if machine is not None else machine_id[:8],
            target=unit.target,
            load=state.load if state else "",
            active=state.active if state else "",
            sub=state.sub if state else "",
            since=_since(unit, state),
            health=health,
            reason=reason,
            is_global=is_global,
            is_template=is_template(unit.name),
            restarts=state.restarts if state else 0,
        )

    def _verdict(
        self, unit: Unit, state: UnitState | None, machine: Machine | None, *, is_global: bool
    ) -> tuple[Health, str]:
        if state is not None:
            return judge(unit.target, state), failure(state)
        if unit.target is TargetState.INACTIVE or is_template(unit.name):
            return Health.OFF, ""
        reason = self._why.get(unit.name, "").removeprefix("is placed nowhere: ")
        if unit.placement is not None:
            lost = machine is None or machine.state is MachineState.LOST
            moving = reason.endswith(NOT_PLACED_YET)
            return (Health.UNKNOWN, "" if moving else reason) if lost else (Health.BUSY, "")
        if is_global:
            return (Health.PENDING, reason) if reason else (Health.OFF, "")
        if not reason or reason.endswith(NOT_PLACED_YET):
            return Health.BUSY, ""
        return Health.PENDING, reason


def is_template(name: str) -> bool:
    """Say whether *name* is a template's: ``web@.service``."""
    return "@." in name


def judge(target: TargetState, state: UnitState) -> Health:
    """Say how well a reported state is, given what is wanted."""
    if state.load not in {"loaded", ""}:
        return Health.BAD
    if state.active == "failed":
        return Health.BAD
    if state.sub == "auto-restart":
        return Health.WARN
    if state.active in {"activating", "deactivating", "reloading"}:
        return Health.BUSY
    running = state.active == "active"
    if target is TargetState.LAUNCHED:
        # A oneshot that has ended well is as wanted: inactive, with success.
        ended_well = state.result == "success"
        return Health.GOOD if running else (Health.OFF if ended_well else Health.BAD)
    return Health.BUSY if running else Health.OFF


def failure(state: UnitState) -> str:
    """Return the line under a unit that failed or keeps restarting, "" for others."""
    if state.load not in {"loaded", ""}:
        return f"its file could not be loaded: {state.load}"
    if state.active != "failed" and state.sub != "auto-restart":
        return ""
    what = {
        "exit-code": f"its main process exited with status {state.exit_status}",
        "signal": "its main process was killed by a signal",
        "core-dump": "its main process dumped core",
        "timeout": "it did not start or stop in time",
        "start-limit-hit": "it failed too often in too short a time (r tries again)",
        "oom-kill": "it ran out of memory",
        "success": "its machine does not say",
    }.get(state.result, state.result)
    again = f", restarted {state.restarts} times" if state.restarts else ""
    return what + again


def _since(unit: Unit, state: UnitState | None) -> float:
    if state is not None:
        return state.since
    return unit.placement.since if unit.placement is not None else 0.0


def _touched(before: ClusterState, after: ClusterState) -> Iterator[str]:
    for name, unit in after.units.items():
        if before.units.get(name) is not unit:
            yield name
    yield from (name for name in before.units if name not in after.units)
    for key, state in after.states.items():
        if before.states.get(key) is not state:
            yield key[0]
    yield from (key[0] for key in before.states if key not in after.states)


def _changed_machines(before: ClusterState, after: ClusterState) -> set[str]:
    ids = before.machines.keys() | after.machines.keys()
    return {key for key in ids if before.machines.get(key) is not after.machines.get(key)}


def _states_by_unit(cluster: ClusterState, wanted: set[str]) -> dict[str, list[UnitState]]:
    found: dict[str, list[UnitState]] = {}
    for (name, _), state in sorted(cluster.states.items()):
        if name in wanted:
            found.setdefault(name, []).append(state)
    return found
