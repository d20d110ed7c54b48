"""A machine, in three parts that have three writers.

The record is written by admins and the engine, the presence by its agent, the intent by operators.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from c101.core.errors import ConfigError


def parse_metadata(text: str) -> dict[str, str]:
    """Read ``key=value,...``. Raises ConfigError."""
    found = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not (key and equals and value):
            raise ConfigError(f"metadata is key=value,...: {pair!r} is not")
        found[key] = value
    return found


class MachineState(StrEnum):
    """What may be expected of a machine."""

    READY = "ready"
    CORDONED = "cordoned"  # runs what it has, is given nothing new
    DRAINING = "draining"  # gives away what it has
    LOST = "lost"  # its lease ended: nothing is known of it now


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRecord:
    """The durable part, which stays when the machine is gone.

    ``host_keys`` are OpenSSH public key lines; times are seconds since 1970.
    """

    id: str
    name: str
    addresses: tuple[str, ...] = ()
    ssh_user: str = ""
    ssh_port: int = 22
    host_keys: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    added: float = 0.0
    last_seen: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachinePresence:
    """The part under the agent's lease: it is there exactly while the machine is."""

    id: str
    name: str
    boot_id: str
    agent_version: str
    runtime: str
    cpus: int = 0
    memory_bytes: int = 0
    addresses: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    since: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineIntent:
    """What operators want of a machine.

    Metadata here overrides the agent's; an empty value removes a key.
    """

    id: str
    cordoned: bool = False
    draining: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The three parts together; any may be missing, not all."""

    id: str
    record: MachineRecord | None = None
    presence: MachinePresence | None = None
    intent: MachineIntent | None = None

    @property
    def name(self) -> str:
        """What people call it; the head of its id where nobody named it."""
        if self.presence is not None:
            return self.presence.name
        return self.record.name if self.record is not None else self.id[:8]

    @property
    def metadata(self) -> Mapping[str, str]:
        """Metadata of the agent (of the record where it is gone) under the operators' overrides."""
        if self.presence is not None:
            found = dict(self.presence.metadata)
        else:
            found = dict(self.record.metadata) if self.record is not None else {}
        if self.intent is not None:
            found.update(self.intent.metadata)
        return {key: value for key, value in found.items() if value}

    @property
    def state(self) -> MachineState:
        """What may be expected of it."""
        if self.presence is None:
            return MachineState.LOST
        if self.intent is not None and self.intent.draining:
            return MachineState.DRAINING
        if self.intent is not None and self.intent.cordoned:
            return MachineState.CORDONED
        return MachineState.READY
