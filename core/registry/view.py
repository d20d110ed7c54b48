"""From keys to a ``ClusterState``: pure, and in proportion to what changed.

``apply`` takes the view before and some events and returns the view after. A map of the state is
copied when the first event of a call touches it, and shared with the view before when none does:
one call costs a dict copy a touched map (55 us at 10,000 entries) and some microseconds an event.
So give it many events at once; ``mirror`` does. Objects that did not change are the same objects
after, which is how a reader finds what did.

The order of events on different keys does not matter: a view is a function of the keys and values
that stand, so applying a snapshot to an empty view gives what the watch gives. That is why a unit
that cannot be assembled (its file is missing, a part is damaged) is kept in parts, aside.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from c101.core.errors import InvalidNameError
from c101.core.etcd.events import WatchEvent
from c101.core.model.cluster import ClusterState
from c101.core.model.key_value import KeyValue
from c101.core.model.machine import Machine
from c101.core.model.unit import Placement, TargetState, Unit
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace, ParsedKey
from c101.core.registry.records import RecordError
from c101.core.units.name import UnitName

_K = TypeVar("_K")
_V = TypeVar("_V")


@dataclass(slots=True)
class UnitParts:
    """What is known of a unit, part by part. ``damaged`` names the parts that say nothing.

    A draft changes its own copies; those in a ``View`` are never changed.
    """

    text: str | None = None
    hash: str = ""
    target: TargetState | None = None
    target_revision: int = 0
    placement: Placement | None = None
    placement_revision: int = 0
    restart: str = ""
    damaged: frozenset[str] = frozenset()


_NO_PARTS = UnitParts()


@dataclass(frozen=True, slots=True)
class View:
    """A cluster state, with what is needed to bring it further."""

    cluster: ClusterState = field(default_factory=ClusterState)
    broken: Mapping[str, UnitParts] = field(default_factory=dict)


def view_of(
    keyspace: Keyspace, kvs: Iterable[KeyValue], revision: int, *, view: View | None = None
) -> View:
    """Return the view of a snapshot, the keys that stood at *revision*, added to *view*."""
    events = (WatchEvent(kind="put", kv=kv) for kv in kvs)
    return apply(view or View(), keyspace, events, revision)


def apply(view: View, keyspace: Keyspace, events: Iterable[WatchEvent], revision: int) -> View:
    """Return *view* after *events*, which bring it to *revision*."""
    draft = _Draft(view, keyspace)
    for event in events:
        draft.take(event)
    return draft.finish(revision)


class _Edited(Generic[_K, _V]):
    """A map that is copied when it is first written to."""

    __slots__ = ("_copy", "map")

    def __init__(self, base: Mapping[_K, _V]) -> None:
        self.map = base
        self._copy: dict[_K, _V] | None = None

    def put(self, key: _K, item: _V) -> None:
        self._own()[key] = item

    def drop(self, key: _K) -> None:
        if key in self.map:
            del self._own()[key]

    def _own(self) -> dict[_K, _V]:
        if self._copy is None:
            self.map = self._copy = dict(self.map)
        return self._copy


class _Draft:
    """A view in the making."""

    def __init__(self, view: View, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
        cluster = view.cluster
        self._units = _Edited(cluster.units)
        self._machines = _Edited(cluster.machines)
        self._states = _Edited(cluster.states)
        self._destroyed = _Edited(cluster.destroyed)
        self._damaged = _Edited(cluster.damaged)
        self._broken = _Edited(view.broken)
        self._touched: dict[str, UnitParts] = {}
        self._leader = cluster.leader
        self._handlers: Mapping[str, Callable[[ParsedKey, str, bytes | None, int], None]] = {
            "unit_file": self._unit_part,
            "unit_target": self._unit_part,
            "unit_restart": self._unit_part,
            "unit_placement": self._unit_part,
            "unit_destroyed": self._destroy,
            "machine_record": self._machine_part,
            "machine_presence": self._machine_part,
            "machine_intent": self._machine_part,
            "state": self._state,
            "engine_leader": self._engine_leader,
        }

    def take(self, event: WatchEvent) -> None:
        """Take in one event; a key of no kind known here changes nothing."""
        parsed = self._keyspace.parse(event.kv.key)
        handler = self._handlers.get(parsed.kind) if parsed is not None else None
        if parsed is None or handler is None:
            return
        path = event.kv.key.decode().removeprefix(self._keyspace.prefix)
        value = event.kv.value if event.kind == "put" else None
        self._damaged.drop(path)
        try:
            handler(parsed, path, value, event.kv.mod_revision)
        except RecordError as exc:
            self._damaged.put(path, f"{exc.path}: {exc.reason}")

    def finish(self, revision: int) -> View:
        """Return the view that came of it."""
        # Once for each unit, however many of its keys changed.
        for name, parts in self._touched.items():
            self._put_unit(name, parts)
        cluster = ClusterState(
            revision=revision,
            units=self._units.map,
            machines=self._machines.map,
            states=self._states.map,
            destroyed=self._destroyed.map,
            leader=self._leader,
            damaged=self._damaged.map,
        )
        return View(cluster, self._broken.map)

    def _unit_part(self, parsed: ParsedKey, path: str, value: bytes | None, revision: int) -> None:
        name, part = parsed.name, path.rpartition("/")[2]
        parts = self._touched.get(name)
        if parts is None:
            broken = self._broken.map.get(name)
            parts = replace(broken) if broken is not None else _parts_of(self._units.map.get(name))
            self._touched[name] = parts
        parts.damaged -= {part}
        _clear(parts, part)
        if value is not None:
            try:
                _fill(parts, name, path, value, revision)
            except RecordError:
                parts.damaged |= {part}
                raise

    def _put_unit(self, name: str, parts: UnitParts) -> None:
        file = f"units/{name}/file"
        if parts.text is not None or parts == _NO_PARTS:
            self._damaged.drop(file)
        elif "file" not in parts.damaged:
            self._damaged.put(file, "$: missing")
        unit = _assemble(name, parts)
        if unit is not None:
            self._units.put(name, unit)
        else:
            self._units.drop(name)
        if unit is None and parts != _NO_PARTS:
            self._broken.put(name, parts)
        else:
            self._broken.drop(name)

    def _destroy(self, parsed: ParsedKey, path: str, value: bytes | None, _: int) -> None:
        self._destroyed.drop(parsed.name)
        if value is not None:
            self._destroyed.put(parsed.name, records.time(path, value))

    def _machine_part(self, parsed: ParsedKey, path: str, value: bytes | None, _: int) -> None:
        machine_id, part = parsed.machine_id, path.rpartition("/")[2]
        before = self._machines.map.get(machine_id) or Machine(id=machine_id)
        cleared = _without_part(before, part)
        try:
            after = cleared if value is None else _with_part(cleared, part, path, value)
        except RecordError:
            self._put_machine(cleared)
            raise
        self._put_machine(after)

    def _put_machine(self, machine: Machine) -> None:
        if machine == Machine(id=machine.id):
            self._machines.drop(machine.id)
        else:
            self._machines.put(machine.id, machine)

    def _state(self, parsed: ParsedKey, path: str, value: bytes | None, _: int) -> None:
        key = (parsed.name, parsed.machine_id)
        self._states.drop(key)
        if value is not None:
            self._states.put(key, records.unit_state(path, value, *key))

    def _engine_leader(self, _: ParsedKey, path: str, value: bytes | None, __: int) -> None:
        self._leader = ""
        if value is not None:
            self._leader = records.word(path, value)


def _parts_of(unit: Unit | None) -> UnitParts:
    """Take a whole unit apart."""
    if unit is None:
        return UnitParts()
    return UnitParts(
        text=unit.text,
        hash=unit.hash,
        target=unit.target if unit.target_revision else None,
        target_revision=unit.target_revision,
        placement=unit.placement,
        placement_revision=unit.placement_revision,
        restart=unit.restart,
    )


def _assemble(name: str, parts: UnitParts) -> Unit | None:
    """Make a unit of its parts; ``None`` when the file is missing or a part is damaged.

    A unit without a target was put there by hand: nothing is wanted of it.
    """
    if parts.text is None or parts.damaged:
        return None
    return Unit(
        name=name,
        text=parts.text,
        hash=parts.hash,
        target=parts.target or TargetState.INACTIVE,
        placement=parts.placement,
        restart=parts.restart,
        target_revision=parts.target_revision,
        placement_revision=parts.placement_revision,
    )


def _clear(parts: UnitParts, part: str) -> None:
    """Forget one part."""
    match part:
        case "file":
            parts.text, parts.hash = None, ""
        case "target":
            parts.target, parts.target_revision = None, 0
        case "placement":
            parts.placement, parts.placement_revision = None, 0
        case _:
            parts.restart = ""


def _fill(parts: UnitParts, name: str, path: str, value: bytes, revision: int) -> None:
    """Read one part. Raises RecordError; the part is then as it was."""
    match path.rpartition("/")[2]:
        case "file":
            try:
                UnitName.parse(name)
            except InvalidNameError as exc:
                raise RecordError(path, "$", str(exc)) from exc
            file = records.unit_file(path, value, name)
            parts.text, parts.hash = file.text, file.hash()
        case "target":
            parts.target, parts.target_revision = records.target(path, value), revision
        case "placement":
            parts.placement = records.placement(path, value)
            parts.placement_revision = revision
        case _:
            parts.restart = records.word(path, value)


def _without_part(machine: Machine, part: str) -> Machine:
    match part:
        case "record":
            return replace(machine, record=None)
        case "presence":
            return replace(machine, presence=None)
        case _:
            return replace(machine, intent=None)


def _with_part(machine: Machine, part: str, path: str, value: bytes) -> Machine:
    match part:
        case "record":
            return replace(machine, record=records.machine_record(path, value, machine.id))
        case "presence":
            return replace(machine, presence=records.machine_presence(path, value, machine.id))
        case _:
            return replace(machine, intent=records.machine_intent(path, value, machine.id))
