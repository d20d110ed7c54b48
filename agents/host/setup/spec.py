"""What the verbs of ``c101-agent setup`` are told, and what they answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSpec:
    """The KV and the engine of a host.

    ``listen`` are URLs that the KV serves besides its sockets. ``admin`` is a user who becomes an
    admin of the cluster, as root is: empty for none. With ``etcd`` the KV is a member of an etcd,
    which ``EtcdSpec`` made here, with a front. Without ``engine`` that one is not started yet.
    """

    listen: tuple[str, ...] = ()
    admin: str = ""
    etcd: bool = False
    engine: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSpec:
    """A member of an etcd: its name, the address it is reached at, and those of all by name.

    Certificates and keys are PEM: who signs all of them, the member's own, and that of the front,
    which is the etcd's user root. ``token`` tells this etcd from every other.
    """

    name: str
    address: str
    members: Mapping[str, str]
    token: str
    ca: str
    ca_key: str
    certificate: str
    key: str
    client_certificate: str
    client_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdSite:
    """What a host is asked that may become a member: could it, at this address, among these?

    ``bytes`` is what the KV takes on disk.
    """

    address: str
    members: Mapping[str, str]
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The KV is to be stopped; it starts by itself after ``seconds``, should nobody come back."""

    seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdStatus:
    """The etcd as one of its members sees it; without a ``leader`` it decides nothing."""

    cluster_id: int
    revision: int
    leader: bool
    members: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSpec:
    """The agent of a host.

    ``kv`` are its endpoints; ``known_hosts`` lines with the keys of the hosts they name. On
    ``kv_port`` of loopback it serves the KV to its machine's programs: 0 is none, not given is as
    it was.
    """

    kv: str
    name: str
    address: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    known_hosts: tuple[str, ...] = ()
    lease_ttl_seconds: int = 6
    admin: str = ""
    kv_port: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KvMove:
    """The KV's data went to another KV, at ``kv`` (as in ``AgentSpec``).

    An agent that was pinned to the cluster ``before`` belongs to ``after`` from now on;
    ``revision`` is the last that the one before had.
    """

    kv: str
    known_hosts: tuple[str, ...]
    before: int
    after: int
    revision: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """A host whose keys were ``before`` has ``after`` as well, or ``alone``: public keys."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    alone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """The agent of a machine, and the public keys that it may log in with; none shut it out."""

    machine_id: str
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a verb: what it changed, in words, and what it was asked for.

    That is a key or several, what is in the way of becoming a member, the revision of a snapshot,
    or the etcd.
    """

    changed: tuple[str, ...] = ()
    key: str = ""
    keys: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    revision: int = 0
    etcd: EtcdStatus | None = None
