"""What the machines pane shows: what the KV says of a machine, joined with what its agent tells."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from c101.core.model.cluster import ClusterState
from c101.core.model.host import LinkState, MachineUsage
from c101.core.model.machine import Machine, MachineState
from c101.tui.store.health import Health
from c101.tui.store.rows import Delta, RowsModel

#: Samples of usage kept a machine: what the widest sparkline shows.
USAGE_SAMPLES_MAX = 60


@dataclass(frozen=True, kw_only=True)
class MachineRow:
    """A machine. ``gone_since`` is wall clock seconds, 0 for unknown.

    ``link`` is ``None`` while the console knows no way to it.
    """

    id: str
    name: str
    state: MachineState = MachineState.READY
    health: Health = Health.GOOD
    units: int = 0
    is_leader: bool = False
    metadata: str = ""
    addresses: str = ""
    usage: tuple[MachineUsage, ...] = ()
    link: LinkState | None = None
    gone_since: float = 0.0
    runtime: str = ""
    version: str = ""
    cpus: int = 0

    @property
    def key(self) -> str:
        """The machine's id."""
        return self.id

    @property
    def latest(self) -> MachineUsage | None:
        """The newest sample."""
        return self.usage[-1] if self.usage else None

    @cached_property
    def text(self) -> str:
        """What plain words of a filter look at."""
        return f"{self.name} {self.state.value} {self.metadata} {self.addresses} {self.id}"

    @cached_property
    def fields(self) -> Mapping[str, str]:
        """What ``field:`` words of a filter look at."""
        return {"machine": self.name, "state": self.state.value, "is": self.health.value}


def _cpu(row: MachineRow) -> float:
    return -(row.latest.cpu_percent if row.latest else -1.0)


def _memory(row: MachineRow) -> float:
    return -(memory_share(row.latest) if row.latest else -1.0)


def memory_share(usage: MachineUsage) -> float:
    """Return the memory in use as a share of one."""
    total = usage.memory_total_bytes
    return usage.memory_used_bytes / total if total else 0.0


ORDERS: Mapping[str, Callable[[MachineRow], tuple[object, ...]]] = {
    "name": lambda row: (row.name,),
    "state": lambda row: (row.health.order, row.name),
    "units": lambda row: (-row.units, row.name),
    "cpu": lambda row: (_cpu(row), row.name),
    "memory": lambda row: (_memory(row), row.name),
}


@dataclass(slots=True)
class MachinesModel:
    """Joins the cluster's machines with usage and links. A lost machine's row stays."""

    list: RowsModel[MachineRow] = field(default_factory=lambda: RowsModel[MachineRow](ORDERS))
    _links: dict[str, LinkState] = field(default_factory=dict)

    def apply(self, cluster: ClusterState, now: float) -> Delta:
        """Take in the cluster as it is at *now* (wall clock, seconds)."""
        counts: dict[str, int] = {}
        for unit in cluster.units.values():
            if unit.placement is not None:
                home = unit.placement.machine_id
                counts[home] = counts.get(home, 0) + 1
        for name, machine_id in cluster.states:
            unit_found = cluster.units.get(name)
            if unit_found is None or unit_found.placement is None:
                counts[machine_id] = counts.get(machine_id, 0) + 1
        rows = [
            self._row(machine, counts.get(machine.id, 0), cluster.leader, now)
            for machine in cluster.machines.values()
        ]
        gone = [key for key in self.list.rows if key not in cluster.machines]
        return self.list.apply(rows, gone)

    def apply_usage(self, machine_id: str, sample: MachineUsage) -> Delta:
        """Take in one sample of one machine."""
        row = self.list.rows.get(machine_id)
        if row is None:
            return Delta()
        usage = (*row.usage, sample)[-USAGE_SAMPLES_MAX:]
        return self.list.apply([replace(row, usage=usage)])

    def apply_link(self, machine_id: str, link: LinkState) -> Delta:
        """Take in how our link to one machine is."""
        self._links[machine_id] = link
        row = self.list.rows.get(machine_id)
        return self.list.apply([replace(row, link=link)]) if row is not None else Delta()

    def _row(self, machine: Machine, units: int, leader: str, now: float) -> MachineRow:
        before = self.list.rows.get(machine.id)
        state = machine.state
        gone_since = 0.0
        if state is MachineState.LOST:
            gone_since = _gone_since(machine, before, now)
        presence = machine.presence
        addresses = presence.addresses if presence else ()
        if not addresses and machine.record is not None:
            addresses = machine.record.addresses
        metadata = machine.metadata
        return MachineRow(
            id=machine.id,
            name=machine.name,
            state=state,
            health=_HEALTH[state],
            units=units,
            is_leader=bool(leader) and leader in {machine.name, machine.id},
            metadata=" ".join(f"{key}={value}" for key, value in sorted(metadata.items())),
            addresses=" ".join(addresses),
            usage=before.usage if before is not None else (),
            link=self._links.get(machine.id),
            gone_since=gone_since,
            runtime=presence.runtime if presence else "",
            version=presence.agent_version if presence else "",
            cpus=presence.cpus if presence else 0,
        )


_HEALTH = {
    MachineState.READY: Health.GOOD,
    MachineState.CORDONED: Health.PAUSED,
    MachineState.DRAINING: Health.BUSY,
    MachineState.LOST: Health.BAD,
}


def _gone_since(machine: Machine, before: MachineRow | None, now: float) -> float:
    if before is not None and before.gone_since:
        return before.gone_since
    if before is not None and before.state is not MachineState.LOST:
        return now  # it left before our eyes
    return machine.record.last_seen if machine.record is not None else 0.0
