"""What is known of the unit: the record a keeper writes to its state file and sends to agents."""

from __future__ import annotations

import posix

from c101.agents.runtime.process.keeper import record
from c101.agents.runtime.process.keeper.spec import STATE_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

#: systemd's ACTIVE word of each state; the state itself is the SUB word.
ACTIVE = {
    "dead": "inactive",
    "start-pre": "activating",
    "start": "activating",
    "start-post": "activating",
    "running": "active",
    "exited": "active",
    "reload": "reloading",
    "stop": "deactivating",
    "stop-watchdog": "deactivating",
    "stop-sigterm": "deactivating",
    "stop-sigkill": "deactivating",
    "stop-post": "deactivating",
    "final-sigterm": "deactivating",
    "final-sigkill": "deactivating",
    "failed": "failed",
    "auto-restart": "activating",
}

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_STATE_BYTES_MAX = 64 * 1024


class Status:
    """The unit's state. ``since`` is when ACTIVE took its present value, seconds since 1970."""

    state = "dead"
    since = 0.0
    result = "success"
    main_pid = 0
    exit_code = 0  # how the main process ended: 1 exited, 2 killed, 3 dumped (CLD_*); 0 not yet
    exit_status = 0
    restarts = 0
    restart = ""  # id given with the last start
    status_text = ""
    hash = ""  # of the file that the present run was started with
    keeper_pid = 0
    boot = ""  # id of the boot that all this was in
    unloading = False  # to be forgotten once it has stopped
    limit_begin = 0.0  # monotonic
    limit_count = 0

    @property
    def active(self) -> str:
        """The ACTIVE word."""
        return ACTIVE[self.state]

    @property
    def at_rest(self) -> bool:
        """Whether nothing of the unit runs or is going to."""
        return self.state in {"dead", "failed"}

    def encode(self) -> str:
        """Return the record, one line."""
        return record.encode({name: str(value) for name, value in vars(self).items()})

    @classmethod
    def decode(cls, line: str) -> Self:
        """Read what :meth:`encode` wrote; what is missing or malformed keeps its default."""
        status = cls()
        for name, text in record.decode(line).items():
            default = getattr(cls, name, None)
            try:
                if isinstance(default, bool):
                    setattr(status, name, text == "True")
                elif isinstance(default, (int, float, str)):
                    setattr(status, name, type(default)(text))
            except ValueError:
                continue
        if status.state not in ACTIVE:
            status.state = "dead"
        return status


def load(directory: int) -> Status:
    """Read the state file in the unit's *directory* (a descriptor); defaults when there is none."""
    try:
        fd = posix.open(
            STATE_FILE, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC, dir_fd=directory
        )
    except OSError:
        return Status()
    try:
        return Status.decode(posix.read(fd, _STATE_BYTES_MAX).decode(errors="replace").rstrip("\n"))
    finally:
        posix.close(fd)


def save(directory: int, status: Status) -> None:
    """Replace the state file at once. Raises OSError; the old one is whole then."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
    fd = posix.open(STATE_FILE + ".new", flags, 0o600, dir_fd=directory)
    try:
        posix.write(fd, (status.encode() + "\n").encode(errors="replace"))
    finally:
        posix.close(fd)
    posix.rename(STATE_FILE + ".new", STATE_FILE, src_dir_fd=directory, dst_dir_fd=directory)


def boot_id() -> str:
    """Return the id of the present boot; empty where the kernel has none."""
    try:
        fd = posix.open(_BOOT_ID, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return posix.read(fd, _STATE_BYTES_MAX).decode().strip().replace("-", "")
    finally:
        posix.close(fd)
