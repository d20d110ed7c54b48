"""What the verbs of ``c101-agent setup`` are told, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSpec:
    """The KV and the engine of a host.

    ``listen`` are URLs that the KV serves besides its sockets. ``admin`` is a user who becomes an
    admin of the cluster, as root is: empty for none.
    """

    listen: tuple[str, ...] = ()
    admin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """The agent of a host.

    ``kv`` are its endpoints; ``known_hosts`` lines with the keys of the hosts they name.
    """

    kv: str
    name: str
    address: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    known_hosts: tuple[str, ...] = ()
    lease_ttl_seconds: int = 6
    admin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The agent of a machine, and the public keys that it may log in with; none shut it out."""

    machine_id: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a verb: what it changed, in words, and the key that it was asked for."""

    changed: tuple[str, ...] = ()
    key: str = ""
