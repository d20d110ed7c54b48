"""Where things of ours are on a host."""

from dataclasses import dataclass
from pathlib import Path

#: As whom the host's sshd runs the relays of agents.
RELAY_USER = "c101"
PROGRAMS = ("c101-agent", "c101-core", "c101ctl")


@dataclass(frozen=True, slots=True)
class Places:
    """Paths below *root*, which is ``/`` but for tests."""

    root: Path = Path("/")

    @property
    def programs(self) -> Path:
        """What was shipped, by its id, and a link to what is used of it."""
        return self.root / "usr/local/lib/c101"

    @property
    def bin(self) -> Path:
        """Where a shell finds the programs."""
        return self.root / "usr/local/bin"

    @property
    def etc(self) -> Path:
        """Keys."""
        return self.root / "etc/c101"

    @property
    def agent_key(self) -> Path:
        """What the agent logs in to the KV's host with."""
        return self.etc / "agent_key"

    @property
    def next_key(self) -> Path:
        """A key that is to take its place."""
        return self.etc / "agent_key.new"

    @property
    def known_hosts(self) -> Path:
        """The keys of the KV's host."""
        return self.etc / "known_hosts"

    def told(self, what: str) -> Path:
        """What the services of *what* (``core``, ``agent``) were told, and what they run."""
        return self.etc / f"{what}.json"

    @property
    def units(self) -> Path:
        """The services."""
        return self.root / "etc/systemd/system"

    @property
    def state(self) -> Path:
        """What the agent keeps."""
        return self.root / "var/lib/c101"

    @property
    def kv_state(self) -> Path:
        """The KV's data."""
        return self.root / "var/lib/c101-kv"

    @property
    def etcd(self) -> Path:
        """Certificates and keys of the etcd's member."""
        return self.etc / "etcd"

    @property
    def etcd_state(self) -> Path:
        """The data of the etcd's member."""
        return self.root / "var/lib/c101-etcd"

    @property
    def moving(self) -> Path:
        """The KV as it was when it was stopped to become an etcd, compressed."""
        return self.root / "var/lib/c101-moving.db.gz"

    @property
    def relay_home(self) -> Path:
        """The home of the user as whom relays run."""
        return self.root / "var/lib/c101-relay"

    @property
    def admitted(self) -> Path:
        """Which agents' keys open which socket."""
        return self.relay_home / ".ssh/authorized_keys"

    @property
    def sockets(self) -> Path:
        """Where the services listen."""
        return self.root / "run/c101"
