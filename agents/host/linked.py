"""Units that refer to others or name secrets, with what that comes to put into their text. Pure.

What stands in the registry says ``${c101:db1.address}``; what is loaded here says where db1 is. A
unit's hash is then that of its text in the registry, and of what was put into it::

    3f2a…           a text without references, or as it stands in the registry
    3f2a…+81c04d27  the same with these addresses and ports

What a unit is given as secrets is not put in, only where the service manager finds it.

A unit that is to be started waits until all that it refers to is there. One that runs is left alone
when that goes away, and when it is elsewhere, unless it asks for a restart or a reload.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from c101.agents.host.reconcile import restart_of
from c101.agents.runtime.unit_manager import LoadedUnit
from c101.core.errors import C101Error
from c101.core.model.cluster import ClusterState
from c101.core.model.unit import TargetState, Unit
from c101.core.scheduler.feasible import globals_on
from c101.core.units import references
from c101.core.units.name import UnitName
from c101.core.units.references import NotThereError, Reference
from c101.core.units.requirements import Requirements, WhenMoved

_MARK = "+"
_DIGEST_LETTERS = 8
_ALIVE = frozenset({"active", "activating", "reloading", "deactivating"})


@dataclass(frozen=True, slots=True)
class Linked:
    """The cluster as one machine is to act on it.

    ``waiting`` says of units what is not there yet that they refer to; ``moved`` names those that
    run on while their text changes, and how.
    """

    cluster: ClusterState
    waiting: Mapping[str, str] = field(default_factory=dict)
    moved: Mapping[str, WhenMoved] = field(default_factory=dict)


def registered(unit_hash: str) -> str:
    """Return the hash that the text has in the registry."""
    return unit_hash.partition(_MARK)[0]


def secrets_of(cluster: ClusterState, machine_id: str) -> dict[str, tuple[str, ...]]:
    """Return the units that are to be on a machine and name secrets, with their names."""
    found = {}
    for unit in _here(cluster, machine_id, "Secret"):
        if names := Requirements.of_known(unit.name, unit.text).secrets:
            found[unit.name] = names
    return found


def linked(
    cluster: ClusterState,
    machine_id: str,
    held: Iterable[LoadedUnit],
    credentials: Mapping[str, str] = MappingProxyType({}),
    lacking: Mapping[str, str] = MappingProxyType({}),
) -> Linked:
    """Return *cluster* with what the units that may run on a machine refer to filled in.

    *credentials* is, of units that name secrets, what says where these are; *lacking* why they are
    not there.
    """
    have = {unit.name: unit for unit in held}
    units = dict(cluster.units)
    waiting: dict[str, str] = {}
    moved: dict[str, WhenMoved] = {}
    for name, said in credentials.items():
        unit = units[name]
        units[name] = replace(unit, text=f"{unit.text}\n{said}")
    for name, reason in lacking.items():
        waiting[name] = reason
        _wait(units, cluster.units[name], have.get(name))
    for unit in _here(replace(cluster, units=units), machine_id, references.MARK):
        name = unit.name
        if name in lacking:
            continue
        try:
            filled = _filled(cluster, machine_id, unit)
        except C101Error as error:
            waiting[name] = str(error)
            _wait(units, unit, have.get(name))
            continue
        units[name], how = _beside(filled, unit, have.get(name))
        if how is not None:
            moved[name] = how
    if units == cluster.units:
        return Linked(cluster, waiting)
    return Linked(replace(cluster, units=units), waiting, moved)


def _here(cluster: ClusterState, machine_id: str, mark: str) -> list[Unit]:
    """Return the units with *mark* in their text that are to be on a machine."""
    found = [
        unit
        for unit in cluster.units.values()
        if unit.target is not TargetState.INACTIVE and mark in unit.text
    ]
    everywhere = globals_on(cluster, machine_id) if found else set()
    return [
        unit
        for unit in found
        if unit.name in everywhere
        or (unit.placement is not None and unit.placement.machine_id == machine_id)
    ]


def _wait(units: dict[str, Unit], unit: Unit, held: LoadedUnit | None) -> None:
    """Have *unit* not be loaded, nor started, nor anything else than it is."""
    if held is None:
        del units[unit.name]
        return
    stays = TargetState.LOADED if held.active not in _ALIVE else unit.target
    units[unit.name] = replace(unit, hash=held.hash, target=stays)


def _filled(cluster: ClusterState, machine_id: str, unit: Unit) -> Unit:
    """Return *unit* with its references filled in. Raises NotThereError."""
    found: dict[str, str] = {}

    def lookup(reference: Reference) -> str:
        value = found.get(str(reference))
        if value is None:
            value = found[str(reference)] = _value(cluster, machine_id, reference)
        return value

    text = references.fill(unit.text, UnitName.parse(unit.name), lookup)
    values = "\n".join(f"{name}={value}" for name, value in sorted(found.items()))
    digest = hashlib.sha1(values.encode(), usedforsecurity=False).hexdigest()[:_DIGEST_LETTERS]
    return replace(unit, text=text, hash=f"{unit.hash}{_MARK}{digest}")


def _value(cluster: ClusterState, machine_id: str, reference: Reference) -> str:
    other = cluster.units.get(reference.unit)
    if other is None:
        raise NotThereError(f"it waits for {reference.unit}: there is no such unit")
    if reference.what == "port":
        port = Requirements.of_known(other.name, other.text).port
        if port is None:
            raise NotThereError(
                f"it waits for the port of {reference.unit}: Port= in its [X-C101] says it"
            )
        return str(port)
    machines = [
        cluster.machines[state.machine_id]
        for state in cluster.states_of(reference.unit)
        if state.active == "active" and state.machine_id in cluster.machines
    ]
    # Its own machine first, then always the same of several.
    for machine in sorted(machines, key=lambda one: (one.id != machine_id, one.name, one.id)):
        addresses = machine.presence.addresses if machine.presence is not None else ()
        if addresses:
            return addresses[0]
    raise NotThereError(f"it waits for {reference.unit}, which is active nowhere")


def _beside(filled: Unit, unit: Unit, held: LoadedUnit | None) -> tuple[Unit, WhenMoved | None]:
    """Return what is wanted of a unit that is *held*, and how it is to hear of what has moved."""
    if held is None or held.hash == filled.hash or registered(held.hash) != unit.hash:
        return filled, None
    asked = restart_of(held.restart) != unit.restart
    if asked or held.active not in _ALIVE:
        return filled, None
    how = Requirements.of_known(unit.name, unit.text).when_moved
    if how == "nothing":
        return replace(unit, hash=held.hash), None
    return filled, how
