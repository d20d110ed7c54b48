"""Which runtime runs this machine's units, made."""

import os
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from c101.agents.runtime.commands.command import Launcher, as_child, as_unit
from c101.agents.runtime.unit_manager import UnitManager
from c101.core.clock import Clock

SYSTEMD = "systemd"
PROCESS = "process"

#: There when systemd is process 1 (systemd: sd_booted).
_BOOTED_BY_SYSTEMD = Path("/run/systemd/system")


def default_runtime() -> str:
    """Return the runtime for an agent that was not told: systemd's where it may be used."""
    return SYSTEMD if os.geteuid() == 0 and _BOOTED_BY_SYSTEMD.is_dir() else PROCESS


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """What a runtime is told. ``environment`` is what every unit finds in its own.

    ``lifeline``: the socket whose end ends all units, of a cluster on one computer.
    """

    name: str
    data_dir: Path
    machine_id: str
    boot_id: str
    lifeline: str | None
    environment: Mapping[str, str]


def launcher_of(name: str) -> Launcher:
    """Return how commands are run on a machine whose runtime is called *name*."""
    return as_unit if name == SYSTEMD else as_child


def runtime_of(settings: RuntimeSettings, clock: Clock) -> AbstractAsyncContextManager[UnitManager]:
    """Return a runtime, which is opened by entering it; what it needs is loaded only now."""
    if settings.name == SYSTEMD:
        from c101.agents.runtime.systemd.unit_manager import SystemdUnitManager  # noqa: PLC0415

        return SystemdUnitManager(
            settings.data_dir,
            machine_id=settings.machine_id,
            boot_id=settings.boot_id,
            clock=clock,
            environment=settings.environment,
        )
    from c101.agents.runtime.process.unit_manager import ProcessUnitManager  # noqa: PLC0415

    return ProcessUnitManager(
        settings.data_dir,
        machine_id=settings.machine_id,
        clock=clock,
        lifeline=settings.lifeline,
        environment=settings.environment,
    )
