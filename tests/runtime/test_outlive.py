"""Units outlive the agent; nothing outlives the lifeline or a power cut."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from c101.agents.runtime.process.launch import KEEPER_MARK, MACHINE_MARK
from c101.agents.runtime.process.power import kill_machine, marked
from c101.agents.runtime.process.unit_manager import ProcessUnitManager
from c101.agents.runtime.unit_manager import UnitManager
from c101.core.clock import SystemClock
from tests.runtime.machine import Machine
from tests.runtime.test_stopping import is_running

KEEPER_BYTES_MAX = 10 * 1024 * 1024
#: Ten thousand numbered lines a second, for as long as it takes.
COUNTER = """
import sys, time
number, began = 0, time.monotonic()
while True:
    due = int((time.monotonic() - began) * 10_000)
    if number < due:
        sys.stdout.write("".join(f"line {n}\\n" for n in range(number, due)))
        sys.stdout.flush()
        number = due
    time.sleep(0.002)
"""


async def keeper_pid(units: UnitManager, name: str) -> int:
    """Return the pid of the keeper of a unit that runs."""
    unit = next(unit for unit in await units.units() if unit.name == name)
    assert unit.main_pid
    return int(Path(f"/proc/{unit.main_pid}/stat").read_text().rpartition(")")[2].split()[1])


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def opened(
    tmp_path: Path, machine_id: str, lifeline: str | None = None
) -> AsyncIterator[Machine]:
    """Give a machine on the directory that the fixtures use."""
    clock = SystemClock()
    async with ProcessUnitManager(
        tmp_path / "m", machine_id=machine_id, clock=clock, lifeline=lifeline
    ) as units:
        machine = Machine(units)
        try:
            yield machine
        finally:
            await machine.close()


@asynccontextmanager
async def agent_to_kill(
    tmp_path: Path, machine_id: str, *unit: str, text: str = ""
) -> AsyncIterator[dict[str, int]]:
    """Run ``agent.py`` and kill it in the end; give the main processes of the units it holds."""
    script = Path(__file__).with_name("agent.py")
    agent = await asyncio.create_subprocess_exec(
        sys.executable, script, tmp_path / "m", machine_id, *unit,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert agent.stdin is not None
    assert agent.stdout is not None
    try:
        agent.stdin.write(text.encode())
        agent.stdin.close()
        yield json.loads(await agent.stdout.readline())
    finally:
        agent.kill()
        await agent.wait()


@pytest.mark.slow
async def test_twenty_kills_of_the_agent_leave_the_same_processes_and_every_line_once(
    tmp_path: Path, machine_id: str
) -> None:
    script = tmp_path / "counter.py"
    script.write_text(COUNTER)
    text = f"[Service]\nType=exec\nExecStart={sys.executable} {script}\n"
    async with agent_to_kill(tmp_path, machine_id, "count.service", text=text) as held:
        assert is_running(held["count.service"])
    for kill in range(20):
        async with agent_to_kill(tmp_path, machine_id) as adopted:
            assert adopted == held
            # Each agent stays for another while, so that none dies at the same point; two seconds
            # in all, however fast the computer is.
            await asyncio.sleep(0.05 * (kill % 5))
    async with opened(tmp_path, machine_id) as machine:
        keeper = await keeper_pid(machine.units, "count.service")
        assert resident_bytes(keeper) <= KEEPER_BYTES_MAX, resident_bytes(keeper)
        await machine.units.stop("count.service")
        await machine.until_state("count.service", "inactive", "dead")
        numbers = [int(line.split()[1]) for line in await machine.printed("count.service")]
    assert len(numbers) > 20_000
    assert numbers == list(range(len(numbers)))


async def test_a_keeper_takes_ten_mebibytes_at_most(machine: Machine) -> None:
    flood = "/bin/sh -c 'yes | head -c 200000; yes \"\" | head -c 200000; echo up; exec sleep 1000'"
    await machine.run("a.service", f"ExecStart={flood}\nExecReload=/bin/true")
    await machine.until_printed("a.service", "up")
    await machine.units.reload("a.service")
    await machine.until_printed("a.service", "Reloaded")
    keeper = await keeper_pid(machine.units, "a.service")
    assert resident_bytes(keeper) <= KEEPER_BYTES_MAX, resident_bytes(keeper)


async def test_a_new_agent_finds_every_state_as_it_was(tmp_path: Path, machine_id: str) -> None:
    async with opened(tmp_path, machine_id) as machine:
        await machine.run("up.service", "ExecStart=/bin/sleep 1000", unit="Description=Up")
        await machine.load("idle.service", "ExecStart=/bin/sleep 1000")
        await machine.run("bad.service", "ExecStart=/bin/false")
        await machine.until_state("up.service", "active", "running")
        await machine.until_state("bad.service", "failed", "failed")
        before = await machine.units.units()
    async with opened(tmp_path, machine_id) as machine:
        assert await machine.units.units() == before
        await machine.units.stop("up.service")
        await machine.until_state("up.service", "inactive", "dead")


@pytest.mark.slow
async def test_a_keeper_with_nothing_to_keep_ends_and_comes_back(
    machine: Machine, machine_id: str
) -> None:
    await machine.run("a.service", "ExecStart=/bin/sh -c 'sleep 0.1; exit 4'")
    failed = await machine.until_state("a.service", "failed", "failed")
    while list(marked({f"{MACHINE_MARK}={machine_id}"})):
        await asyncio.sleep(0.1)
    assert await machine.now("a.service") == failed
    await machine.units.reset_failed("a.service")
    await machine.until_state("a.service", "inactive", "dead")
    await machine.units.start("a.service")
    await machine.until_state("a.service", "active", "running")


async def test_a_unit_is_restarted_while_no_agent_is_there(tmp_path: Path, machine_id: str) -> None:
    async with opened(tmp_path, machine_id) as machine:
        service = "ExecStart=/bin/sleep 1000\nRestart=always\nRestartSec=50ms"
        await machine.run("a.service", service)
        first = await machine.until_state("a.service", "active", "running")
    assert first.main_pid
    os.kill(first.main_pid, signal.SIGKILL)
    await asyncio.sleep(0.5)
    async with opened(tmp_path, machine_id) as machine:
        second = await machine.now("a.service")
        assert (second.sub, second.restarts) == ("running", 1)
        assert second.main_pid != first.main_pid


async def test_an_order_given_by_a_dying_agent_is_carried_out(
    tmp_path: Path, machine_id: str
) -> None:
    async with opened(tmp_path, machine_id) as machine:
        await machine.run("a.service", "ExecStart=/bin/sleep 1000")
        await machine.until_state("a.service", "active", "running")
        await machine.units.unload("a.service")
    await asyncio.sleep(0.3)
    async with opened(tmp_path, machine_id) as machine:
        assert await machine.units.units() == []
    assert not list(marked({f"{MACHINE_MARK}={machine_id}"}))


async def test_a_lost_keeper_is_a_failure_of_its_unit(machine: Machine) -> None:
    service = "ExecStart=/bin/sh -c 'sleep 1000 & sleep 1001'"
    await machine.run("a.service", service)
    await machine.until_state("a.service", "active", "running")
    pids = (await machine.now("a.service")).pids
    os.kill(await keeper_pid(machine.units, "a.service"), signal.SIGKILL)
    failed = await machine.until_state("a.service", "failed", "failed")
    assert failed.result == "keeper-lost"
    assert not any(is_running(pid) for pid in pids)


async def test_a_unit_that_restarts_gets_another_keeper(machine: Machine) -> None:
    service = "ExecStart=/bin/sleep 1000\nRestart=on-failure"
    await machine.run("a.service", service)
    first = await machine.until_state("a.service", "active", "running")
    os.kill(await keeper_pid(machine.units, "a.service"), signal.SIGKILL)
    second = await machine.until(
        "a.service", lambda unit: unit.sub == "running" and unit.main_pid != first.main_pid
    )
    assert second.restarts == 1
    assert any("keeper of this unit was lost" in line for line in await machine.said("a.service"))


async def test_after_a_power_cut_units_are_inactive_and_answer_to_no_order(
    tmp_path: Path, machine_id: str
) -> None:
    async with opened(tmp_path, machine_id) as machine:
        await machine.load("a.service", "ExecStart=/bin/sh -c 'env -i /bin/sleep 1000 & wait'")
        await machine.units.start("a.service", restart="7:")
        await machine.until_state("a.service", "active", "running")
        pids = (await machine.now("a.service")).pids
        # The agent is closed first: cut off at the same moment, it would not see a lost keeper.
    assert await asyncio.to_thread(kill_machine, machine_id) >= len(pids) + 1
    assert not any(is_running(pid) for pid in pids)
    async with opened(tmp_path, machine_id) as machine:
        unit = await machine.now("a.service")
        assert (unit.active, unit.sub, unit.result) == ("inactive", "dead", "keeper-lost")
        assert unit.restart == ""
        await machine.units.start("a.service", restart="8:")
        running = await machine.until_state("a.service", "active", "running")
        assert running.restart == "8:"


async def test_a_keeper_told_to_terminate_stops_its_unit_first(machine: Machine) -> None:
    code = "/bin/sh -c 'trap \"echo bye; exit 0\" TERM; echo up; while :; do sleep 0.05; done'"
    await machine.run("a.service", f"ExecStart={code}\nRestart=always")
    await machine.until_printed("a.service", "up")
    keeper = await keeper_pid(machine.units, "a.service")
    os.kill(keeper, signal.SIGTERM)
    await machine.until_state("a.service", "inactive", "dead")
    assert "bye" in await machine.printed("a.service")
    while is_running(keeper):
        await asyncio.sleep(0.01)


async def test_at_the_end_of_the_lifeline_nothing_is_left(tmp_path: Path, machine_id: str) -> None:
    lifeline = str(tmp_path / "lifeline")
    connections: list[asyncio.StreamWriter] = []
    server = await asyncio.start_unix_server(lambda _, w: connections.append(w), lifeline)
    async with opened(tmp_path, machine_id, lifeline=lifeline) as machine:
        await machine.run("a.service", "ExecStart=/bin/sh -c 'trap \"\" TERM; sleep 1000 & wait'")
        await machine.run("b.service", "ExecStart=/bin/sleep 1000")
        for name in ("a.service", "b.service"):
            await machine.until_state(name, "active", "running")
    assert len(connections) == 2
    server.close()
    for connection in connections:
        connection.transport.abort()
    await server.wait_closed()
    while list(marked({f"{MACHINE_MARK}={machine_id}"})):
        await asyncio.sleep(0.01)


async def test_without_a_lifeline_to_hold_no_keeper_lives(tmp_path: Path, machine_id: str) -> None:
    async with opened(tmp_path, machine_id, lifeline=str(tmp_path / "nobody")) as machine:
        await machine.load("a.service", "ExecStart=/bin/sleep 1000")
        with pytest.raises(Exception, match="ends as soon as it is started"):
            await machine.units.start("a.service")
    while list(marked({f"{MACHINE_MARK}={machine_id}"})):
        await asyncio.sleep(0.01)


async def test_every_process_of_a_unit_carries_the_marker(
    machine: Machine, machine_id: str
) -> None:
    service = "ExecStart=/bin/sleep 1000\nUnsetEnvironment=C101_MACHINE C101_UNIT"
    await machine.run("a.service", service)
    await machine.until_state("a.service", "active", "running")
    await asyncio.sleep(0.2)
    found = dict(marked({f"{MACHINE_MARK}={machine_id}", "C101_UNIT=a.service"}))
    assert sorted(found.values()) == [False, True]
    (keeper,) = [pid for pid, is_keeper in found.items() if is_keeper]
    environment = Path(f"/proc/{keeper}/environ").read_bytes().split(b"\0")
    assert f"{KEEPER_MARK}=1".encode() in environment
