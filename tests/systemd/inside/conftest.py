"""A runtime on the machine's own systemd, that finds an empty journal and leaves no unit behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from c101.agents.runtime.systemd.unit_manager import SystemdUnitManager
from c101.core.clock import SystemClock
from tests.runtime.machine import Machine
from tests.systemd.inside.commands import empty_the_journal

PATIENCE_SECONDS = 20.0


def manager_of(directory: Path) -> SystemdUnitManager:
    """Return a runtime on *directory*, not open."""
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return SystemdUnitManager(directory, machine_id="m", boot_id=boot_id, clock=SystemClock())


@pytest.fixture
async def units(tmp_path: Path) -> AsyncIterator[SystemdUnitManager]:
    """A runtime with no unit, whose journal has nothing that another test's units of the same names
    printed: what a test waits for there would else be there before its unit has begun."""
    await empty_the_journal()
    async with manager_of(tmp_path / "c101") as manager:
        yield manager
        await forget_all(manager)


async def forget_all(manager: SystemdUnitManager) -> None:
    """Have every unit stopped and forgotten."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while held := await manager.units():
            for unit in held:
                await manager.unload(unit.name)
            await asyncio.sleep(0.05)


@pytest.fixture
async def machine(units: SystemdUnitManager) -> AsyncIterator[Machine]:
    """What a test does with it."""
    here = Machine(units)
    yield here
    await here.close()
