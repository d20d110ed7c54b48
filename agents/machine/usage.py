"""How this host fares: one sample at a time."""

from pathlib import Path

import psutil

from c101.core.clock import Clock
from c101.core.model.host import MachineUsage
from c101.core.model.pressure import KINDS, Pressure, share_waiting

_PRESSURE = Path("/proc/pressure")
#: There when something was installed that runs only after a reboot (Debian: update-notifier).
_REBOOT_MARK = Path("/run/reboot-required")


class UsageSampler:
    """Takes samples; each reader of a stream has its own, since CPU time is a difference."""

    def __init__(self, clock: Clock, *, path: str = "/") -> None:
        self._clock = clock
        self._path = path
        self._busy, self._all = _cpu_seconds()

    def sample(self) -> MachineUsage:
        """Read the host now."""
        busy, everything = _cpu_seconds()
        spent, passed = busy - self._busy, everything - self._all
        self._busy, self._all = busy, everything
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(self._path)
        return MachineUsage(
            at=self._clock.time(),
            cpu_percent=max(0.0, min(100.0, 100.0 * spent / passed)) if passed > 0 else 0.0,
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            load1=psutil.getloadavg()[0],
            disk_used_bytes=disk.used,
            disk_total_bytes=disk.total,
            pressure=_pressure(),
            reboot_required=_REBOOT_MARK.exists(),
        )


def _pressure() -> Pressure:
    found: dict[str, float] = {}
    for kind in KINDS:
        try:
            share = share_waiting((_PRESSURE / kind).read_text())
        except OSError:
            continue  # a kernel that does not count it, or that was told not to
        if share is not None:
            found[kind] = share
    return found


def _cpu_seconds() -> tuple[float, float]:
    """Return (busy, all) processor seconds since boot."""
    times = psutil.cpu_times()
    # guest time is contained in user time already
    everything = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    return everything - times.idle - getattr(times, "iowait", 0.0), everything
