"""Units outlive the agent, and a killed agent finds again what it had, wherever it was."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from c101.agents.runtime.systemd.held_unit import HeldUnit
from c101.agents.runtime.systemd.unit_files import Note, UnitFiles
from c101.agents.runtime.systemd.unit_manager import SystemdUnitManager
from c101.core.errors import ConflictError
from tests.runtime.machine import Machine
from tests.systemd.inside.commands import SLEEPER, show, systemctl
from tests.systemd.inside.conftest import forget_all, manager_of


async def run_one(directory: Path, name: str = "a.service", wish: str = "1:") -> int:
    """Load and start a unit, and let go of it; return its process."""
    async with manager_of(directory) as manager:
        machine = Machine(manager)
        await machine.load(name, SLEEPER)
        await manager.start(name, restart=wish)
        running = await machine.until_state(name, "active", "running")
        await machine.close()
        return running.main_pid or 0


async def test_a_second_runtime_finds_what_the_first_one_runs(tmp_path: Path) -> None:
    pid = await run_one(tmp_path)
    async with manager_of(tmp_path) as manager:
        (unit,) = await manager.units(processes=True)
        assert (unit.name, unit.active, unit.main_pid) == ("a.service", "active", pid)
        assert unit.restart == "1:"
        assert unit.pids == (pid,)
        await forget_all(manager)


@pytest.mark.parametrize("started", [True, False])
async def test_an_end_between_the_wish_and_its_note(tmp_path: Path, *, started: bool) -> None:
    """What was asked for is answered if systemd started it, and open if it did not."""
    await run_one(tmp_path)
    files = UnitFiles(tmp_path)
    note = files.read()["a.service"]
    invocation = await show("a.service", "InvocationID")
    files.note("a.service", replace(note, asked="2:x", invocation=invocation))
    if started:
        await systemctl("restart", "a.service")
    async with manager_of(tmp_path) as manager:
        (unit,) = await manager.units()
        assert unit.restart == ("2:x" if started else "1:")
        assert unit.active == "active"
        await forget_all(manager)


async def test_an_end_while_several_were_unloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each goes once, whoever of two is the first to see that it is at rest."""
    really = SystemdUnitManager._forget

    async def slowly(manager: SystemdUnitManager, held: HeldUnit) -> None:
        await asyncio.sleep(0.1)
        await really(manager, held)

    monkeypatch.setattr(SystemdUnitManager, "_forget", slowly)
    files = UnitFiles(tmp_path)
    files.make()
    for number in range(3):
        name = f"gone{number}.service"
        files.write(name, f"[Service]\n{SLEEPER}\n".encode(), Note(hash="h"))
        note = files.read()[name]
        files.note(name, replace(note, unloading=True))
    async with manager_of(tmp_path) as manager:
        async with asyncio.timeout(10):
            while await manager.units():
                await asyncio.sleep(0.05)
    assert files.read() == {}


async def test_an_end_between_the_text_and_its_note(tmp_path: Path) -> None:
    """The text is another than the note is of: the cluster is to load the unit again."""
    pid = await run_one(tmp_path)
    (tmp_path / "units" / "a.service").write_text("[Service]\nExecStart=/bin/sleep 2000\n")
    async with manager_of(tmp_path) as manager:
        (unit,) = await manager.units()
        assert (unit.hash, unit.main_pid) == ("", pid)
        await forget_all(manager)


async def test_an_end_before_the_link(tmp_path: Path) -> None:
    files = UnitFiles(tmp_path)
    files.make()
    files.write("a.service", f"[Service]\n{SLEEPER}\n".encode(), Note(hash="h"))
    async with manager_of(tmp_path) as manager:
        await manager.start("a.service")
        machine = Machine(manager)
        await manager.restart("a.service")
        await machine.until_state("a.service", "active", "running")
        await machine.close()
        await forget_all(manager)


async def test_an_end_while_a_unit_is_being_unloaded(tmp_path: Path) -> None:
    await run_one(tmp_path)
    files = UnitFiles(tmp_path)
    files.note("a.service", replace(files.read()["a.service"], unloading=True))
    async with manager_of(tmp_path) as manager:
        async with asyncio.timeout(10):
            while await manager.units():
                await asyncio.sleep(0.02)
    assert await show("a.service", "LoadState") == "not-found"
    assert not Path("/run/systemd/system/a.service").is_symlink()
    assert list((tmp_path / "notes").iterdir()) == []


async def test_a_text_that_was_being_written_is_cleaned_away(tmp_path: Path) -> None:
    files = UnitFiles(tmp_path)
    files.make()
    (tmp_path / "units" / ".a.service").write_text("[Serv")
    (tmp_path / "notes" / "b.service").write_text("{}")
    assert files.read() == {}
    assert list((tmp_path / "units").iterdir()) == list((tmp_path / "notes").iterdir()) == []


async def test_after_another_boot_a_unit_is_known_and_its_wish_is_open(tmp_path: Path) -> None:
    await run_one(tmp_path)
    files = UnitFiles(tmp_path)
    files.note("a.service", replace(files.read()["a.service"], boot_id="another"))
    await systemctl("stop", "a.service")
    Path("/run/systemd/system/a.service").unlink()
    await systemctl("daemon-reload")
    async with manager_of(tmp_path) as manager:
        (unit,) = await manager.units()
        assert (unit.load, unit.active, unit.restart) == ("loaded", "inactive", "")
        await forget_all(manager)


async def test_a_unit_of_the_machine_is_left_alone(units: SystemdUnitManager) -> None:
    with pytest.raises(ConflictError, match=r"has ssh\.service already: /lib|/usr/lib"):
        await units.load("ssh.service", f"[Service]\n{SLEEPER}\n", unit_hash="h")
    assert await units.units() == []
    assert await show("ssh.service", "ActiveState") == "active"


async def test_a_unit_whose_file_was_removed_is_no_unit_of_the_machine(
    machine: Machine, units: SystemdUnitManager
) -> None:
    """systemd knows one that another wants until it is told to read anew."""
    removed, wants = (Path(f"/run/systemd/system/{name}.service") for name in ("a", "wants"))
    removed.write_text(f"[Service]\n{SLEEPER}\n")
    wants.write_text(f"[Unit]\nWants=a.service\n[Service]\n{SLEEPER}\n")
    try:
        await systemctl("start", "wants.service")
        await systemctl("stop", "a.service")
        removed.unlink()
        assert await show("a.service", "LoadState") == "loaded"
        await machine.run("a.service", SLEEPER)
        await machine.until_state("a.service", "active", "running")
    finally:
        await systemctl("stop", "wants.service")
        wants.unlink()


async def test_nothing_is_left_of_a_unit_that_was_unloaded(
    units: SystemdUnitManager, tmp_path: Path
) -> None:
    machine = Machine(units)
    text = f"[Service]\n{SLEEPER}\n[Install]\nWantedBy=multi-user.target\n"
    await units.load("a.service", text, unit_hash="h")
    wants = Path("/run/systemd/system/multi-user.target.wants/a.service")
    assert wants.is_symlink()
    await units.start("a.service")
    await machine.until_state("a.service", "active", "running")
    await forget_all(units)
    await machine.close()
    assert not wants.is_symlink()
    assert not Path("/run/systemd/system/a.service").is_symlink()
    assert list((tmp_path / "c101" / "units").iterdir()) == []
    async with asyncio.timeout(10):
        while await show("a.service", "LoadState") != "not-found":
            await asyncio.sleep(0.05)
