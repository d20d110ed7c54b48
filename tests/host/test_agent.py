"""One agent as a process, on a real etcd, with real units."""

import asyncio
import contextlib
import os
import pwd
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from c101.agents.client.agent_client import AgentClient
from c101.agents.runtime.process.power import kill_machine
from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.model.machine import MachinePresence, MachineState
from c101.core.model.unit import Placement, TargetState, UnitState
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import UnixDialer, dialer_for
from c101.core.rpc.status import RpcError
from tests.processes import running_etcd

pytestmark = pytest.mark.integration

MACHINE = "agenttest0123456789"
SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"
CLOCK = SystemClock()

_T = TypeVar("_T")


class Site:
    """An etcd, an agent's directories, and a registry to look through."""

    def __init__(self, url: str, directory: Path, client: Client) -> None:
        self.url = url
        self.directory = directory
        self.registry = Registry(client, Keyspace(), CLOCK)
        self.client = client

    @asynccontextmanager
    async def agent(self, machine: str = MACHINE) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run the agent; it is killed on leaving, as by a power cut without the units."""
        arguments = {
            "--kv": self.url,
            "--name": "one",
            "--machine-id": machine,
            "--metadata": "disk=ssd",
            "--lease-ttl": "2",
            "--socket-dir": str(self.directory / "s"),
            "--data-dir": str(self.directory / "d"),
        }
        flat = [word for pair in arguments.items() for word in pair]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "c101.agents.host.main", *flat, stderr=asyncio.subprocess.PIPE
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def launch(self, name: str, text: str = SLEEP) -> None:
        """Submit a unit, want it launched, and put it on the machine, as the engine would."""
        await self.registry.submit(name, text)
        unit = await self.registry.set_target(name, TargetState.LAUNCHED)
        placement = Placement(machine_id=MACHINE, reason="the test said so", since=CLOCK.time())
        assert await self.registry.place(unit, placement)

    async def state(self, name: str) -> UnitState | None:
        """Return what is reported of the unit."""
        return (await self.registry.snapshot()).states.get((name, MACHINE))

    async def active(self, name: str) -> UnitState:
        """Wait until the unit is reported active."""

        async def found() -> UnitState | None:
            state = await self.state(name)
            return state if state is not None and state.active == "active" else None

        return await until(found)


async def until(condition: Callable[[], Awaitable[_T | None]], seconds: float = 10) -> _T:
    async with asyncio.timeout(seconds):
        while (found := await condition()) is None:
            await asyncio.sleep(0.05)
    return found


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    with running_etcd(tmp_path / "etcd") as server:
        async with Client([dialer_for(server.url)], clock=CLOCK) as client:
            try:
                yield Site(server.url, tmp_path, client)
            finally:
                kill_machine(MACHINE)


async def test_it_says_who_it_is_and_runs_what_is_placed_on_it(site: Site) -> None:
    await site.launch("a.service")
    async with site.agent():
        state = await site.active("a.service")
        assert state.main_pid is not None
        os.kill(state.main_pid, 0)
        cluster = await site.registry.snapshot()
        machine = cluster.machines[MACHINE]
        assert machine.state is MachineState.READY
        assert machine.name == "one"
        assert machine.metadata == {"disk": "ssd"}


async def test_a_killed_agent_leaves_its_units_and_the_next_one_adopts_them(site: Site) -> None:
    await site.launch("a.service")
    async with site.agent():
        before = await site.active("a.service")
    assert before.main_pid is not None
    os.kill(before.main_pid, 0)
    async with site.agent():
        await asyncio.sleep(2)
        after = await site.active("a.service")
    assert (after.main_pid, after.restarts) == (before.main_pid, 0)


async def test_a_unit_that_vanished_runs_on_and_a_destroyed_one_stops(site: Site) -> None:
    await site.launch("kept.service")
    await site.launch("gone.service")
    async with site.agent():
        kept = await site.active("kept.service")
        await site.active("gone.service")
        await site.client.delete_prefix(Keyspace().unit("kept.service"))
        await site.registry.destroy("gone.service")

        async def stopped() -> bool | None:
            return True if await site.state("gone.service") is None else None

        await until(stopped)
        assert kept.main_pid is not None
        os.kill(kept.main_pid, 0)


async def test_an_agent_stalled_for_less_than_its_lease_is_not_lost(site: Site) -> None:
    async with site.agent() as process:
        await until(lambda: _ready(site))
        for _ in range(3):
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(1.5)
            process.send_signal(signal.SIGCONT)
            assert await _ready(site)
            await asyncio.sleep(0.3)
        assert await _ready(site)


async def _ready(site: Site) -> bool | None:
    machine = (await site.registry.snapshot()).machines.get(MACHINE)
    return True if machine is not None and machine.state is MachineState.READY else None


async def test_another_kv_is_not_obeyed(site: Site, tmp_path: Path) -> None:
    await site.launch("a.service")
    async with site.agent():
        before = await site.active("a.service")
    with running_etcd(tmp_path / "other") as server:
        async with Client([dialer_for(server.url)], clock=CLOCK) as client:
            other = Site(server.url, site.directory, client)
            await other.registry.submit("b.service", SLEEP)
            await other.registry.destroy("b.service")
            await client.put(Keyspace().unit_destroyed("a.service"), "1.0")
            async with other.agent():
                await asyncio.sleep(3)
                assert (await other.registry.snapshot()).machines == {}
            assert before.main_pid is not None
            os.kill(before.main_pid, 0)


async def test_a_machine_of_another_boot_under_the_same_id_is_waited_for(site: Site) -> None:
    await site.launch("a.service")
    presence = MachinePresence(
        id=MACHINE, name="first", boot_id="another boot", agent_version="1", runtime="process"
    )
    key = Keyspace().machine_presence(MACHINE)
    async with site.client.held_lease(60) as first:
        await site.client.put(key, records.encode(presence), lease=first.id)
        async with site.agent() as second:
            assert second.stderr is not None
            said = await second.stderr.readuntil(b"of its own")
            assert b"held by first, of another boot (another boot)" in said
            held = (await site.registry.snapshot()).machines[MACHINE].presence
            assert held == presence
            assert await site.state("a.service") is None
            await site.client.delete(key)
            await site.active("a.service")


async def test_a_file_the_runtime_refuses_is_reported_with_the_reason(site: Site) -> None:
    await site.launch("bad.service", "[Service]\nType=notworthy\nExecStart=/bin/true\n")
    async with site.agent():

        async def refused() -> UnitState | None:
            return await site.state("bad.service")

        state = await until(refused)
        assert state.load == "bad-setting"
        assert "notworthy" in state.message


async def test_its_socket_answers_for_machine_units_and_journal(site: Site) -> None:
    text = '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/echo "said once"\n'
    await site.launch("talk.service", text)
    async with site.agent():
        await site.active("talk.service")
        channel = Channel(UnixDialer(str(site.directory / "s" / "agent-admin.sock")))
        try:
            agent = AgentClient(channel)
            facts = await agent.facts()
            assert facts.machine_id == MACHINE
            assert facts.kv_connected
            units = await agent.units()
            assert [unit.unit for unit in units] == ["talk.service"]
        finally:
            await channel.close()


@pytest.mark.parametrize(
    ("role", "said"),
    [
        ("viewer", b"refused user=%s role=viewer method=ResetFailedUnit unit=a.service"),
        ("operator", b"done user=%s role=operator method=ResetFailedUnit unit=a.service"),
    ],
)
async def test_who_changed_what_is_logged_and_who_was_refused(
    site: Site, role: str, said: bytes
) -> None:
    await site.launch("a.service")
    async with site.agent() as agent:
        await site.active("a.service")
        channel = Channel(UnixDialer(str(site.directory / "s" / f"agent-{role}.sock")))
        try:
            with contextlib.suppress(RpcError):
                await AgentClient(channel).reset_failed("a.service")
        finally:
            await channel.close()
        assert agent.stderr is not None
        user = pwd.getpwuid(os.getuid()).pw_name.encode()
        async with asyncio.timeout(10):
            await agent.stderr.readuntil(said % user)
