"""Where everything of a cluster on this computer lies: under one directory, sockets maybe not."""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

#: A unix socket's path, its closing NUL included (Linux: sockaddr_un).
SOCKET_PATH_BYTES_MAX = 108
#: The longest name below the sockets' directory: a machine of three digits and its role.
_LONGEST_SOCKET = "m999/agent-operator.sock"


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one cluster."""

    directory: Path

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Return the layout of a directory as a user names it."""
        return cls(directory.absolute())

    @property
    def name(self) -> str:
        """What the cluster is called: the directory's own name."""
        return self.directory.name

    @property
    def settings(self) -> Path:
        """What was chosen once and is kept: machines, their ids and ports."""
        return self.directory / "settings.json"

    @property
    def kv_data(self) -> Path:
        """The KV's data."""
        return self.directory / "kv"

    @property
    def ssh(self) -> Path:
        """Keys, known_hosts and authorized_keys."""
        return self.directory / "ssh"

    @property
    def identity(self) -> Path:
        """The user's private key."""
        return self.ssh / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The host keys of every gateway of the cluster."""
        return self.ssh / "known_hosts"

    @property
    def sockets(self) -> Path:
        """Every unix socket: below the directory, or elsewhere where that is too long."""
        below = self.directory / "run"
        if len(os.fsencode(below / _LONGEST_SOCKET)) < SOCKET_PATH_BYTES_MAX:
            return below
        mark = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"c101-{os.getuid()}-{mark}"

    @property
    def control(self) -> Path:
        """The supervisor's socket."""
        return self.sockets / "supervisor.sock"

    @property
    def lifeline(self) -> Path:
        """The socket whose end is the cluster's end."""
        return self.sockets / "lifeline.sock"

    @property
    def kv_socket(self) -> Path:
        """The KV's admin socket."""
        return self.sockets / "kv-admin.sock"

    def log(self, name: str) -> Path:
        """Return the log file of one process."""
        return self.directory / "log" / f"{name}.log"

    def machine_data(self, machine: str) -> Path:
        """Return what outlives a machine's agent."""
        return self.directory / "machines" / machine

    def machine_sockets(self, machine: str) -> Path:
        """Return where a machine's agent makes its sockets."""
        return self.sockets / machine
