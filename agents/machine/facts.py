"""Who this host is: what does not change while it is up."""

import platform
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The host as its kernel and distribution describe it; ``booted_at`` in seconds since 1970."""

    boot_id: str
    hostname: str
    os: str
    kernel: str
    architecture: str
    cpus: int
    memory_bytes: int
    booted_at: float


def read() -> Facts:
    """Read the facts; what cannot be read is an empty string."""
    return Facts(
        boot_id=_read_line(_BOOT_ID),
        hostname=socket.gethostname(),
        os=_pretty_name(),
        kernel=platform.release(),
        architecture=platform.machine(),
        cpus=psutil.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        booted_at=psutil.boot_time(),
    )


def _read_line(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _pretty_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""
