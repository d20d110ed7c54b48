"""Units that are no services: mounts, slices, sockets, paths and targets, on a real systemd."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from c101.agents.runtime.systemd.unit_manager import SystemdUnitManager
from c101.core.errors import ConflictError
from tests.runtime.machine import Machine
from tests.systemd.inside.commands import SLEEPER, show, systemctl
from tests.systemd.inside.commands import run as command

#: Below /run, which is empty on a machine that has just booted.
MOUNTED = Path("/run/mounted")
SOCKET = Path("/run/answers.sock")
SPOOL = Path("/run/spool/one")


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    for path in (SOCKET, SPOOL):
        path.unlink(missing_ok=True)


async def test_a_mount_is_there_while_it_is_active_and_brings_who_needs_it(
    machine: Machine, units: SystemdUnitManager
) -> None:
    text = f"[Mount]\nWhat=tmpfs\nWhere={MOUNTED}\nType=tmpfs\nOptions=size=1M\n"
    await units.load("run-mounted.mount", text, unit_hash="m")
    await machine.load(
        "writes.service",
        f"Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/touch {MOUNTED}/here",
        unit=f"RequiresMountsFor={MOUNTED}",
    )
    await units.start("writes.service")
    await machine.until_state("writes.service", "active", "exited")
    await machine.until_state("run-mounted.mount", "active", "mounted")
    assert os.path.ismount(MOUNTED)
    assert (MOUNTED / "here").exists()
    await units.stop("run-mounted.mount")
    await machine.until_state("run-mounted.mount", "inactive", "dead")
    # It takes along who cannot be without it.
    await machine.until_state("writes.service", "inactive", "dead")
    assert not os.path.ismount(MOUNTED)


async def test_a_mount_that_cannot_be_says_why(machine: Machine, units: SystemdUnitManager) -> None:
    text = f"[Mount]\nWhat=/dev/none\nWhere={MOUNTED}\nType=ext4\n"
    await units.load("run-mounted.mount", text, unit_hash="m")
    await units.start("run-mounted.mount")
    failed = await machine.until_state("run-mounted.mount", "failed", "failed")
    assert failed.result == "exit-code"


async def test_a_slice_holds_the_units_that_name_it_and_its_end_is_theirs(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await units.load("pond.slice", "[Slice]\nTasksMax=20\n", unit_hash="s")
    await units.start("pond.slice")
    await machine.until_state("pond.slice", "active", "active")
    await machine.run("duck.service", f"{SLEEPER}\nSlice=pond.slice")
    duck = await machine.until_state("duck.service", "active", "running")
    assert await show("duck.service", "ControlGroup") == "/pond.slice/duck.service"
    assert await show("pond.slice", "TasksMax") == "20"
    held = await machine.now("pond.slice")
    assert held.main_pid is None
    assert (await machine.now("duck.service")).main_pid == duck.main_pid
    await units.stop("pond.slice")
    await machine.until_state("duck.service", "inactive", "dead")
    await machine.until_state("pond.slice", "inactive", "dead")


@pytest.mark.parametrize("name", ["system.slice", "busy.slice"])
async def test_a_slice_in_which_others_run_is_theirs(units: SystemdUnitManager, name: str) -> None:
    run = ("systemd-run", "--quiet", "--unit=others", "--slice=busy.slice", "/bin/sleep", "1000")
    await command(*run)
    try:
        with pytest.raises(ConflictError, match=f"the machine has {name} already"):
            await units.load(name, "[Slice]\nTasksMax=20\n", unit_hash="s")
    finally:
        await systemctl("stop", "others.service", "busy.slice")


async def test_a_socket_starts_its_service_when_somebody_connects(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.load("answers.service", SLEEPER)
    text = f"[Socket]\nListenStream={SOCKET}\n[Install]\nWantedBy=sockets.target\n"
    await units.load("answers.socket", text, unit_hash="s")
    await units.start("answers.socket")
    await machine.until_state("answers.socket", "active", "listening")
    assert (await machine.now("answers.service")).active == "inactive"
    _, writer = await asyncio.open_unix_connection(SOCKET)
    await machine.until_state("answers.service", "active", "running")
    writer.close()
    await units.stop("answers.socket")
    await machine.until_state("answers.socket", "inactive", "dead")
    # There was an [Install] section. It is enabled for as long as its link in /run is there.
    assert await show("answers.socket", "UnitFileState") == "enabled-runtime"
    await units.unload("answers.socket")
    assert "answers.socket" not in await systemctl("list-unit-files", "--state=enabled-runtime")


async def test_a_path_starts_its_service_when_something_is_there(
    machine: Machine, units: SystemdUnitManager
) -> None:
    SPOOL.parent.mkdir(exist_ok=True)
    await machine.load("spool.service", f"Type=oneshot\nExecStart=/bin/rm {SPOOL}")
    await units.load("spool.path", f"[Path]\nPathExists={SPOOL}\n", unit_hash="p")
    await units.start("spool.path")
    await machine.until_state("spool.path", "active", "waiting")
    SPOOL.write_text("work")
    async with asyncio.timeout(15):
        while SPOOL.exists():
            await asyncio.sleep(0.05)
    await machine.until_state("spool.path", "active", "waiting")


async def test_a_target_brings_what_it_wants_and_takes_it_along(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.load("part.service", SLEEPER, unit="PartOf=whole.target")
    await units.load("whole.target", "[Unit]\nWants=part.service\n", unit_hash="t")
    await units.start("whole.target")
    await machine.until_state("part.service", "active", "running")
    await units.stop("whole.target")
    await machine.until_state("part.service", "inactive", "dead")
