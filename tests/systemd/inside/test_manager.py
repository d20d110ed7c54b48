"""What systemd is asked, how often, and what becomes of an agent that loses it."""

import asyncio
import time
from typing import Any

import pytest

from c101.agents.runtime.systemd.unit_manager import SystemdUnitManager
from c101.core.errors import LinkError
from tests.runtime.machine import Machine
from tests.systemd.inside.commands import SLEEPER, show, systemctl


async def test_twenty_units_are_read_by_one_reload(
    machine: Machine, units: SystemdUnitManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    really = units._bus.manager

    async def counted(member: str, signature: str = "", *arguments: Any) -> list[Any]:
        asked.append(member)
        return await really(member, signature, *arguments)

    monkeypatch.setattr(units._bus, "manager", counted)
    names = [f"many{number}.service" for number in range(20)]
    for name in names:
        await machine.load(name, SLEEPER)
    for name in names:
        await units.start(name)
    for name in names:
        await machine.until_state(name, "active", "running")
    assert asked.count("Reload") == 1
    assert asked.count("StartUnit") == 20


async def test_an_idle_runtime_asks_nothing(
    machine: Machine, units: SystemdUnitManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    await machine.run("a.service", SLEEPER)
    await machine.until_state("a.service", "active", "running")
    await asyncio.sleep(0.5)
    asked: list[object] = []
    really = units._bus._call

    async def counted(*arguments: Any) -> list[Any]:
        asked.append(arguments)
        return await really(*arguments)

    monkeypatch.setattr(units._bus, "_call", counted)
    await asyncio.sleep(1)
    await units.units()
    assert asked == []


async def test_a_bus_that_was_restarted_is_connected_to_again(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.run("a.service", SLEEPER)
    running = await machine.until_state("a.service", "active", "running")
    await systemctl("restart", "dbus.service")
    # While it is away, what was known last is told.
    (unit,) = await units.units()
    assert unit.main_pid == running.main_pid
    async with asyncio.timeout(20):
        while not (units._bus._bus and units._bus._bus.connected and units._states._by_path):
            await asyncio.sleep(0.05)
    await systemctl("stop", "a.service")
    await machine.until_state("a.service", "inactive", "dead")
    await units.start("a.service")
    again = await machine.until_state("a.service", "active", "running")
    assert again.main_pid != running.main_pid


async def test_what_failed_halfway_is_done_when_it_is_asked_for_again(
    machine: Machine, units: SystemdUnitManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = units._bus.manager
    failing = ["LinkUnitFiles", "EnableUnitFiles"]

    async def lost(member: str, signature: str = "", *arguments: Any) -> list[Any]:
        if member in failing:
            failing.remove(member)
            raise LinkError("the service manager was lost")
        return await really(member, signature, *arguments)

    monkeypatch.setattr(units._bus, "manager", lost)
    text = f"[Service]\n{SLEEPER}\n[Install]\nWantedBy=multi-user.target\n"
    for _ in range(2):
        with pytest.raises(LinkError):
            await units.load("a.service", text, unit_hash="h")
        assert await units.units() == []
    await units.load("a.service", text, unit_hash="h")
    await units.start("a.service")
    await machine.until_state("a.service", "active", "running")
    assert await show("a.service", "UnitFileState") == "enabled-runtime"


async def test_reloads_by_others_restart_nothing_and_lose_no_state(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.run("a.service", SLEEPER)
    running = await machine.until_state("a.service", "active", "running")
    for _ in range(10):
        await systemctl("daemon-reload")
    await systemctl("daemon-reexec")
    await machine.load("b.service", SLEEPER)
    await units.start("b.service")
    await machine.until_state("b.service", "active", "running")
    assert (await machine.now("a.service")).main_pid == running.main_pid


async def test_why_a_unit_was_not_started_is_said(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.load("fails.service", "Type=oneshot\nExecStart=/bin/false")
    await machine.run("needs.service", SLEEPER, unit="Requires=fails.service\nAfter=fails.service")
    await machine.until("needs.service", lambda unit: "requires" in unit.status_text)
    await machine.run("picky.service", SLEEPER, unit="ConditionPathExists=/nowhere")
    await machine.until("picky.service", lambda unit: "condition" in unit.status_text)


async def test_a_text_that_systemd_alone_finds_wrong_is_said_to_be(machine: Machine) -> None:
    await machine.load("odd.service", "Type=odd\nExecStart=relative/path")
    found = await machine.until("odd.service", lambda unit: unit.load == "bad-setting")
    assert "bad" in found.status_text


async def test_a_unit_that_another_stops_and_starts_is_followed(machine: Machine) -> None:
    await machine.run("a.service", SLEEPER)
    await machine.until_state("a.service", "active", "running")
    await systemctl("stop", "a.service")
    await machine.until_state("a.service", "inactive", "dead")
    await systemctl("start", "a.service")
    running = await machine.until_state("a.service", "active", "running")
    assert str(running.main_pid) == await show("a.service", "MainPID")


async def test_timers_are_units_too(machine: Machine, units: SystemdUnitManager) -> None:
    await machine.load("tick.service", "Type=oneshot\nExecStart=/bin/echo tick")
    timer = "[Timer]\nOnActiveSec=200ms\nAccuracySec=10ms\n"
    await units.load("tick.timer", timer, unit_hash="t")
    await units.start("tick.timer")
    await machine.until_printed("tick.service", "tick")
    elapsed = await machine.until_state("tick.timer", "active", "elapsed")
    assert elapsed.runs is not None
    assert elapsed.runs.last is not None
    assert abs(elapsed.runs.last - time.time()) < 30
    assert elapsed.runs.next is None


async def test_a_timer_says_when_it_elapses_next(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.load("tick.service", "Type=oneshot\nExecStart=/bin/echo tick")
    for name, when, least, most in (
        ("uptime.timer", "OnActiveSec=1h", 3_500, 3_700),
        ("calendar.timer", "OnCalendar=*-*-* *:*:00", 0, 61),
        ("both.timer", "OnCalendar=yearly\nOnActiveSec=10min", 500, 700),
    ):
        await units.load(name, f"[Timer]\nUnit=tick.service\n{when}\n", unit_hash="t")
        await units.start(name)
        waiting = await machine.until_state(name, "active", "waiting")
        assert waiting.runs is not None
        assert waiting.runs.last is None
        assert waiting.runs.next is not None
        assert least <= waiting.runs.next - time.time() <= most, name
    assert (await machine.now("tick.service")).runs is None


async def test_what_a_unit_uses_is_counted(machine: Machine) -> None:
    await machine.run("busy.service", "ExecStart=/bin/sh -c 'while :; do :; done'")
    await machine.until_state("busy.service", "active", "running")
    await asyncio.sleep(1)
    unit = await machine.now("busy.service")
    assert unit.resources is not None
    assert (unit.resources.cpu_seconds or 0) > 0.2
    assert unit.pids == (unit.main_pid,)
    await machine.units.stop("busy.service")
    await machine.until_state("busy.service", "inactive", "dead")
    assert (await machine.now("busy.service")).resources is None


async def test_a_stop_that_is_asked_for_twice_is_told_of_when_it_is_done(
    machine: Machine, units: SystemdUnitManager
) -> None:
    await machine.run("slow.service", f"{SLEEPER}\nExecStop=/bin/sleep 1")
    await machine.until_state("slow.service", "active", "running")
    for _ in range(3):
        await units.stop("slow.service")
    await machine.until("slow.service", lambda unit: unit.active in {"inactive", "failed"})
