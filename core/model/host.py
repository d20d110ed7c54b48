"""A host as it is met through its link and its agent: facts, usage, processes, the link's state."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from c101.core.model.journal import JournalEntry
from c101.core.model.pressure import Pressure
from c101.core.model.unit import UnitState


class LinkPhase(StrEnum):
    """Where the link to a host stands."""

    CONNECTING = "connecting"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """The link to one host.

    ``since`` is when it entered this phase, seconds since 1970. ``reason`` says why it is down,
    ``hint`` what to do; both may hold a host's own words. ``rtt_seconds`` is the kernel's estimate.
    """

    host: str
    phase: LinkPhase
    since: float
    rtt_seconds: float | None = None
    reason: str = ""
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFacts:
    """What an agent says of its machine; times in seconds since 1970."""

    machine_id: str
    boot_id: str
    hostname: str
    os: str
    kernel: str
    architecture: str
    cpus: int
    memory_bytes: int
    agent_version: str
    runtime: str
    booted_at: float
    metadata: Mapping[str, str] = field(default_factory=dict)
    kv_connected: bool = False
    kv_since: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineUsage:
    """One sample. ``cpu_percent`` is of all processors, 0 to 100, since the sample before.

    ``reboot_required``: something was installed that runs only after one. ``clock_offset`` is by
    how many seconds the clock is ahead of that of the KV's host, ``None`` where that is not known.
    """

    at: float
    cpu_percent: float
    memory_used_bytes: int
    memory_total_bytes: int
    load1: float
    disk_used_bytes: int
    disk_total_bytes: int
    pressure: Pressure = field(default_factory=dict)
    reboot_required: bool = False
    clock_offset: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitProcess:
    """One process of a unit."""

    pid: int
    command: str
    memory_bytes: int
    cpu_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitResources:
    """What a unit uses; ``None`` is what its machine does not count.

    ``cpu_seconds``, ``read_bytes`` and ``written_bytes`` are since its start.
    """

    memory_bytes: int | None = None
    cpu_seconds: float | None = None
    tasks: int | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    pressure: Pressure = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container of one machine.

    ``engine``: docker, podman, lxc, nspawn, or rootdir for a unit with a root file system of its
    own. ``id`` names it to its engine. ``state`` is in the engine's word, ``health`` what its own
    check says: healthy, unhealthy, starting; "" where nobody checks. ``ports`` are as Docker shows
    them, ``0.0.0.0:8080->80/tcp``. ``unit`` is the unit of the cluster that it belongs to, "" for
    none. ``pid`` is its first process as its machine sees it.
    """

    engine: str
    id: str
    name: str
    state: str
    image: str = ""
    health: str = ""
    ports: tuple[str, ...] = ()
    unit: str = ""
    machine_id: str = ""
    pid: int | None = None
    resources: UnitResources | None = None

    @property
    def running(self) -> bool:
        """Whether something runs in it."""
        return self.pid is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerRuns:
    """When a timer elapsed last and does so next, seconds since 1970; ``None`` for never."""

    last: float | None = None
    next: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatus:
    """A unit as its machine's runtime holds it. ``ignored`` are directives not honoured."""

    state: UnitState
    description: str = ""
    status_text: str = ""
    processes: Sequence[UnitProcess] = ()
    ignored: Sequence[str] = ()
    resources: UnitResources | None = None
    runs: TimerRuns | None = None
    containers: Sequence[Container] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalBatch:
    """Entries of one machine, oldest first.

    ``gap``: entries before these are lost, or could not be read. ``caught_up``: all that was
    stored when the read began has been given.
    """

    entries: Sequence[JournalEntry]
    gap: bool = False
    caught_up: bool = False
