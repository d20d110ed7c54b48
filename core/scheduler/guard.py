"""Whether what is seen of the cluster may be acted on. Pure.

A KV that was wiped, restored or is another one looks like a cluster in which much is to be stopped
and moved. So does a network that fails. The engine does nothing then, says why, and goes on by
itself only when what was missing is back; otherwise an admin has to say that what is seen is true.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from c101.core.model.cluster import ClusterState
from c101.core.model.machine import MachineState
from c101.core.model.unit import TargetState

#: Fewer machines than this may vanish at once without a question.
VANISHED_MIN = 5
#: Machines that vanish within this time vanished "at once": leases of one cut end one after
#: another, up to a whole TTL apart.
VANISHED_WINDOW_SECONDS = 15.0


@dataclass(frozen=True, slots=True)
class ForeignKV:
    """Another KV answers than the one that was acted on."""

    pinned: int
    found: int

    def __str__(self) -> str:
        return f"the KV is another one: cluster id {self.found:x}, it was {self.pinned:x}"


@dataclass(frozen=True, slots=True)
class WentBack:
    """The KV's revision is lower than one that was seen."""

    pinned: int
    found: int

    def __str__(self) -> str:
        return f"the KV went back in time: revision {self.found}, it was at {self.pinned}"


@dataclass(frozen=True, slots=True)
class Emptied:
    """Nothing is wanted, though nobody unloaded or destroyed what was."""

    units: int

    def __str__(self) -> str:
        units = f"{self.units} unit{'s' if self.units != 1 else ''}"
        return f"{units} vanished from the registry and nothing is left that is wanted"


@dataclass(frozen=True, slots=True)
class ManyGone:
    """More than a third of the machines went away at once."""

    gone: int
    total: int

    def __str__(self) -> str:
        return f"{self.gone} of {self.total} machines vanished at once"


Hold = ForeignKV | WentBack | Emptied | ManyGone


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the engine knows of the past.

    ``cluster_id`` is 0 and ``revision`` 0 before anything was seen. ``wanted`` are the units whose
    target was not inactive, ``present`` the machines that were there. ``vanished`` says when each
    machine that is missing went (monotonic seconds), for as long as that is recent;
    ``missing`` are the machines that a hold waits for.
    """

    cluster_id: int = 0
    revision: int = 0
    wanted: frozenset[str] = frozenset()
    present: frozenset[str] = frozenset()
    vanished: Mapping[str, float] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()


def observe(
    memory: Memory, cluster: ClusterState, cluster_id: int, now: float
) -> tuple[Memory, Hold | None]:
    """Judge what is seen at *now* (monotonic seconds); return what to remember of it, and a hold.

    After a hold of the first three kinds nothing seen is remembered: it is not believed.
    """
    hold = _history(memory, cluster, cluster_id) or _desire(memory, cluster)
    if hold is not None:
        return memory, hold
    memory = _attend(memory, cluster, now)
    memory = replace(
        memory, cluster_id=cluster_id, revision=cluster.revision, wanted=_wanted(cluster)
    )
    if not memory.missing:
        return memory, None
    gone = len(memory.missing)
    return memory, ManyGone(gone, len(memory.present | memory.missing))


def accept(cluster: ClusterState, cluster_id: int) -> Memory:
    """Return what to remember once an admin said that what is seen is true."""
    return Memory(
        cluster_id=cluster_id,
        revision=cluster.revision,
        wanted=_wanted(cluster),
        present=_present(cluster),
    )


def _history(memory: Memory, cluster: ClusterState, cluster_id: int) -> Hold | None:
    if memory.cluster_id and cluster_id != memory.cluster_id:
        return ForeignKV(memory.cluster_id, cluster_id)
    if cluster.revision < memory.revision:
        return WentBack(memory.revision, cluster.revision)
    return None


def _desire(memory: Memory, cluster: ClusterState) -> Hold | None:
    if not memory.wanted or _wanted(cluster):
        return None
    unexplained = [name for name in memory.wanted if not _is_explained(cluster, name)]
    return Emptied(len(unexplained)) if unexplained else None


def _is_explained(cluster: ClusterState, name: str) -> bool:
    """Say whether *name* is no longer wanted because somebody said so."""
    unit = cluster.units.get(name)
    return name in cluster.destroyed or (unit is not None and unit.target_revision > 0)


def _wanted(cluster: ClusterState) -> frozenset[str]:
    return frozenset(
        name for name, unit in cluster.units.items() if unit.target is not TargetState.INACTIVE
    )


def _present(cluster: ClusterState) -> frozenset[str]:
    return frozenset(
        machine.id
        for machine in cluster.machines.values()
        if machine.state is not MachineState.LOST
    )


def _attend(memory: Memory, cluster: ClusterState, now: float) -> Memory:
    """Note who came and who went, and whether those who went are too many."""
    present = _present(cluster)
    vanished = {
        machine_id: when
        for machine_id, when in memory.vanished.items()
        if machine_id not in present and now - when < VANISHED_WINDOW_SECONDS
    }
    for machine_id in memory.present - present:
        machine = cluster.machines.get(machine_id)
        # One that was being drained was expected to go.
        if machine is None or machine.intent is None or not machine.intent.draining:
            vanished[machine_id] = now
    recent = frozenset(vanished)
    missing = memory.missing - present
    if missing and _are_many(missing, present):
        missing |= recent
    else:
        missing = recent if _are_many(recent, present) else frozenset()
    return replace(memory, present=present, vanished=vanished, missing=missing)


def _are_many(gone: frozenset[str], present: frozenset[str]) -> bool:
    return len(gone) >= VANISHED_MIN and 3 * len(gone) > len(gone) + len(present)
