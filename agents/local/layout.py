"""Where everything of a cluster on this computer lies: under one directory, sockets maybe not."""

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from c101.core.errors import ConfigError

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
        # Not $TMPDIR or $XDG_RUNTIME_DIR: who looks for it later may have another.
        return Path(f"/tmp/c101-{os.getuid()}-{mark}")  # noqa: S108 - see prepare

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

    def prepare(self) -> None:
        """Make the directories. Raises OSError; ConfigError: one in /tmp is somebody else's."""
        for folder in (self.directory, self.ssh, self.log("any").parent, self.sockets):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = self.sockets.lstat()
        private = stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid()
        if not private or status.st_mode & 0o022:
            raise ConfigError(
                f"{self.sockets} is not this user's own directory", hint="give --dir a shorter path"
            )

    def log(self, name: str) -> Path:
        """Return the log file of one process."""
        return self.directory / "log" / f"{name}.log"

    def machine_data(self, machine: str) -> Path:
        """Return what outlives a machine's agent."""
        return self.directory / "machines" / machine

    def machine_sockets(self, machine: str) -> Path:
        """Return where a machine's agent makes its sockets."""
        return self.sockets / machine
