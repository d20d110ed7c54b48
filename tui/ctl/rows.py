"""The rows of listings, from a ``ClusterState``: pure."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine
from c101.core.model.unit import Unit, UnitState
from c101.core.scheduler.explain import reasons
from c101.core.units.name import UnitName


def unit_rows(cluster: ClusterState) -> list[dict[str, Any]]:
    """Return a row a unit, of a global unit a row a machine, of a template none.

    docs/commands.md has the fields.
    """
    troubles = reasons(cluster)
    return [
        row
        for name in sorted(cluster.units)
        if not UnitName.parse(name).is_template  # a file to make units of, which runs nowhere
        for row in _rows_of(cluster, cluster.units[name], troubles.get(name))
    ]


def _rows_of(cluster: ClusterState, unit: Unit, trouble: str | None) -> Iterator[dict[str, Any]]:
    if unit.placement is not None:
        there = unit.placement.machine_id
        yield _row(cluster, unit, there, cluster.states.get((unit.name, there)), trouble)
        return
    # Without a placement a unit has states where it is global (or on its way out).
    states = cluster.states_of(unit.name)
    for state in states:
        yield _row(cluster, unit, state.machine_id, state, trouble)
    if not states:
        yield _row(cluster, unit, None, None, trouble)


def _row(
    cluster: ClusterState,
    unit: Unit,
    machine_id: str | None,
    state: UnitState | None,
    trouble: str | None,
) -> dict[str, Any]:
    machine = cluster.machines.get(machine_id) if machine_id is not None else None
    return {
        "unit": unit.name,
        "machine": machine.name if machine is not None else None,
        "machine_id": machine_id,
        "target": unit.target.value,
        "load": state.load if state is not None else None,
        "active": state.active if state is not None else "inactive",
        "sub": state.sub if state is not None else "dead",
        "since": rfc3339(state.since) if state is not None and state.since else None,
        "reason": trouble if trouble is not None else _reason(unit, state),
    }


def _reason(unit: Unit, state: UnitState | None) -> str | None:
    if state is not None and state.message:
        return state.message
    if state is not None and state.active == "failed":
        status = f", status={state.exit_status}" if state.exit_status is not None else ""
        return f"{state.result}{status}"
    return unit.placement.reason if unit.placement is not None else None


def machine_rows(cluster: ClusterState) -> list[dict[str, Any]]:
    """Return a row a machine."""
    running: dict[str, int] = {}
    for unit in cluster.units.values():
        if unit.placement is not None:
            running[unit.placement.machine_id] = running.get(unit.placement.machine_id, 0) + 1
    rows = [_machine_row(machine, running) for machine in cluster.machines.values()]
    return sorted(rows, key=lambda row: (row["name"], row["id"]))


def _machine_row(machine: Machine, running: dict[str, int]) -> dict[str, Any]:
    record, presence = machine.record, machine.presence
    addresses = (record.addresses if record is not None else ()) or (
        presence.addresses if presence is not None else ()
    )
    seen = record.last_seen if record is not None and presence is None else 0.0
    return {
        "id": machine.id,
        "name": machine.name,
        "addresses": list(addresses),
        "metadata": dict(sorted(machine.metadata.items())),
        "state": machine.state.value,
        "units": running.get(machine.id, 0),
        "last_seen": rfc3339(seen) if seen else None,
    }


def rfc3339(seconds: float) -> str:
    """Return a time as scripts read it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
