"""Where a unit is: the machines whose agents are to be asked about it."""

from c101.core.errors import NotFoundError
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine, MachineState


def machines_of(cluster: ClusterState, unit: str, *, only: str = "") -> list[Machine]:
    """Return the machines that hold *unit*, reachable or not, by name; *only* names one of them.

    Raises NotFoundError: no such unit, or it is on no machine (of that name).
    """
    ids = {state.machine_id for state in cluster.states_of(unit)}
    known = cluster.units.get(unit)
    if known is None and not ids:
        raise NotFoundError(f"{unit}: no such unit", hint="c101ctl list-units lists them")
    if known is not None and known.placement is not None:
        ids.add(known.placement.machine_id)
    found = [cluster.machines[one] for one in ids if one in cluster.machines]
    found = [one for one in found if not only or only in {one.name, one.id, one.id[:8]}]
    if not found:
        where = f"on {only}" if only else "on any machine"
        raise NotFoundError(f"{unit} is not {where}", hint=f"c101ctl why {unit} says why")
    return sorted(found, key=lambda machine: machine.name)


def machine_called(cluster: ClusterState, name: str) -> Machine:
    """Return the machine called *name*, or whose id begins so. Raises NotFoundError."""
    found = [
        machine
        for machine in cluster.machines.values()
        if machine.name == name or (len(name) >= 4 and machine.id.startswith(name))
    ]
    if len(found) != 1:
        what = "no machine is" if not found else f"{len(found)} machines are"
        raise NotFoundError(f"{what} called {name}", hint="c101ctl list-machines lists them")
    return found[0]


def is_lost(machine: Machine) -> bool:
    """Say whether asking the machine makes no sense now."""
    return machine.state is MachineState.LOST
