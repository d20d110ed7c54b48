"""Clusters for tests, in few words."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine, MachineIntent, MachinePresence, MachineRecord
from c101.core.model.unit import Placement, TargetState, Unit
from c101.core.scheduler.reconcile import RescheduleUnit, ScheduleUnit, Task, UnscheduleUnit

NOW = 1_800_000_000.0


def machine(
    name: str,
    *,
    lost: bool = False,
    cordoned: bool = False,
    draining: bool = False,
    **metadata: str,
) -> Machine:
    """Return a machine whose id is its name."""
    presence = MachinePresence(
        id=name,
        name=name,
        boot_id="b1",
        agent_version="1",
        runtime="process",
        addresses=("10.0.0.1",),
        metadata=metadata,
        since=NOW,
    )
    record = MachineRecord(id=name, name=name, metadata=metadata, added=NOW)
    intent = MachineIntent(id=name, cordoned=cordoned, draining=draining)
    return Machine(
        id=name,
        record=record,
        presence=None if lost else presence,
        intent=intent if cordoned or draining else None,
    )


def unit(
    name: str,
    *options: str,
    on: str | None = None,
    since: float = NOW,
    target: TargetState = TargetState.LAUNCHED,
) -> Unit:
    """Return a service; *options* are those of [X-Fleet], *on* is the machine it is placed on."""
    full = name if "." in name else f"{name}.service"
    text = "[Service]\nExecStart=/bin/true\n"
    if options:
        text += "[X-Fleet]\n" + "\n".join(options) + "\n"
    return Unit(
        name=full,
        text=text,
        hash="",
        target=target,
        placement=Placement(machine_id=on, reason="as the test says", since=since) if on else None,
        target_revision=1,
        placement_revision=1 if on else 0,
    )


def cluster(
    machines: Iterable[Machine] = (),
    units: Iterable[Unit] = (),
    *,
    destroyed: Iterable[str] = (),
    damaged: Mapping[str, str] | None = None,
    leader: str = "e1",
    revision: int = 1,
) -> ClusterState:
    """Return the cluster of these."""
    return ClusterState(
        revision=revision,
        machines={one.id: one for one in machines},
        units={one.name: one for one in units},
        destroyed=dict.fromkeys(destroyed, NOW),
        damaged=damaged or {},
        leader=leader,
    )


def applied(before: ClusterState, tasks: Iterable[Task]) -> ClusterState:
    """Return the cluster after the engine did *tasks*."""
    units = dict(before.units)
    for step, task in enumerate(tasks, 1):
        match task:
            case UnscheduleUnit():
                placement = None
            case ScheduleUnit() | RescheduleUnit():
                placement = Placement(
                    machine_id=task.machine_id, reason=task.reason, since=NOW + step
                )
            case _:
                raise AssertionError(task)
        units[task.unit] = replace(units[task.unit], placement=placement)
    return replace(before, units=units, revision=before.revision + 1)


def said(tasks: Iterable[Task]) -> list[str]:
    """Return *tasks* in short: ``+web@m1`` ``-web@m1`` ``web@m1>m2``, without .service."""
    words = []
    for task in tasks:
        name = task.unit.removesuffix(".service")
        match task:
            case UnscheduleUnit():
                words.append(f"-{name}@{task.previous_id}")
            case RescheduleUnit():
                words.append(f"{name}@{task.previous_id}>{task.machine_id}")
            case ScheduleUnit():
                words.append(f"+{name}@{task.machine_id}")
            case _:
                raise AssertionError(task)
    return words
