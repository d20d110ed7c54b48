"""Machines that leave nothing behind: every process is found by the marker in its environment."""

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from c101.agents.runtime.process.launch import MACHINE_MARK
from c101.agents.runtime.process.power import kill_machine, marked
from c101.agents.runtime.process.unit_manager import ProcessUnitManager
from c101.core.clock import SystemClock
from tests.runtime.machine import Machine


@pytest.fixture
def machine_id() -> Iterator[str]:
    """Give a machine id, and see to it that nothing of that machine is left."""
    machine = secrets.token_hex(16)
    yield machine
    kill_machine(machine)
    assert not list(marked({f"{MACHINE_MARK}={machine}"}))


@pytest.fixture
async def units(tmp_path: Path, machine_id: str) -> AsyncIterator[ProcessUnitManager]:
    """Give a runtime with no unit."""
    clock = SystemClock()
    async with ProcessUnitManager(tmp_path / "m", machine_id=machine_id, clock=clock) as manager:
        yield manager


@pytest.fixture
async def machine(units: ProcessUnitManager) -> AsyncIterator[Machine]:
    """Give a machine with that runtime."""
    here = Machine(units)
    yield here
    await here.close()
