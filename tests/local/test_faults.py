"""What happens to a local cluster, and what it leaves behind."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from c101.agents.client.agent_client import AgentClient
from c101.agents.local import cli
from c101.agents.ssh.dial import SshLink, SshTarget
from c101.core.clock import SystemClock
from c101.core.errors import HostKeyError
from c101.core.etcd.client import Client
from c101.core.model.machine import Machine, MachineState
from c101.core.model.unit import TargetState
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import UnixDialer
from tests.local.conftest import belonging_to

pytestmark = pytest.mark.integration

SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"


def target(document: cli.Document, host: str, port: int, **changes: object) -> SshTarget:
    ssh = document["ssh"]
    fields: dict[str, object] = {
        "host": host,
        "port": port,
        "user": ssh["user"],
        "identity": Path(ssh["identity"]),
        "known_hosts": (Path(ssh["known_hosts"]),),
        "config": (),
    }
    return SshTarget(**(fields | changes))  # type: ignore[arg-type]


def is_running(pid: int) -> bool:
    """Say whether a process runs: one that nobody has waited for yet does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def registry_of(document: cli.Document) -> tuple[Client, Registry]:
    path = document["kv"]["unix"].removeprefix("unix://")
    client = Client([UnixDialer(path)], clock=SystemClock())
    return client, Registry(client, Keyspace(), SystemClock())


async def test_the_agents_and_the_kv_are_reached_over_ssh(directory: Path) -> None:
    document = await cli.up(directory, machines=2)
    for one in document["machines"]:
        link = SshLink(target(document, one["ssh_host"], one["ssh_port"]), SystemClock())
        channel = Channel(link.dialer("c101-agent --stdio admin"))
        try:
            facts = await AgentClient(channel).facts()
            assert facts.machine_id == one["id"]
        finally:
            await channel.close()
            await link.close()
    gateway = document["kv"]["ssh"]
    link = SshLink(target(document, gateway["host"], gateway["port"]), SystemClock())
    try:
        async with Client([link.dialer("c101-core --stdio admin")], clock=SystemClock()) as client:
            await client.put("/over", "ssh")
            found = await client.get("/over")
            assert found is not None
            assert found.value == b"ssh"
    finally:
        await link.close()


async def test_the_records_pin_the_machines_host_keys(directory: Path) -> None:
    document = await cli.up(directory, machines=2)
    client, registry = registry_of(document)
    async with client:
        machines: list[Machine] = await registry.machines()
    one, other = sorted(machines, key=lambda machine: machine.name)
    assert one.record
    assert other.record
    assert one.metadata == {"disk": "ssd"}
    port = one.record.ssh_port
    for record, refused in ((one.record, False), (other.record, True)):
        pinned = target(document, "127.0.0.1", port, known_hosts=(), host_keys=record.host_keys)
        link = SshLink(pinned, SystemClock())
        try:
            if refused:
                with pytest.raises(HostKeyError, match="CHANGED"):
                    await link.connect()
            else:
                await link.connect()
        finally:
            await link.close()


async def wait_active(registry: Registry, name: str, *, avoid: str = "") -> tuple[str, int]:
    """Wait until a unit is active, not on *avoid*; return its machine and main pid."""
    async with asyncio.timeout(20):
        while True:
            for state in (await registry.snapshot()).states_of(name):
                if state.active == "active" and state.main_pid and state.machine_id != avoid:
                    return state.machine_id, state.main_pid
            await asyncio.sleep(0.05)


async def test_a_power_cut_kills_everything_of_the_machine_and_it_comes_back(
    directory: Path,
) -> None:
    document = await cli.up(directory, machines=2)
    client, registry = registry_of(document)
    async with client:
        await registry.submit("s.service", SLEEP)
        await registry.set_target("s.service", TargetState.LAUNCHED)
        machine_id, pid = await wait_active(registry, "s.service")
        (name,) = (one["name"] for one in document["machines"] if one["id"] == machine_id)
        await cli.kill(directory, name)
        assert not is_running(pid)
        elsewhere, _ = await wait_active(registry, "s.service", avoid=machine_id)
        assert elsewhere != machine_id
        await cli.start(directory, name)
        async with asyncio.timeout(15):
            while True:
                found = {one.id: one.state for one in await registry.machines()}
                if found[machine_id] is MachineState.READY:
                    break
                await asyncio.sleep(0.05)


async def test_an_agent_killed_leaves_its_units_running(directory: Path) -> None:
    document = await cli.up(directory, machines=1)
    client, registry = registry_of(document)
    async with client:
        await registry.submit("s.service", SLEEP)
        await registry.set_target("s.service", TargetState.LAUNCHED)
        _, pid = await wait_active(registry, "s.service")
        for _ in range(3):
            await cli.kill(directory, "m1", agent_only=True)
            await asyncio.sleep(0.3)
        assert psutil.pid_exists(pid)
        assert (await wait_active(registry, "s.service"))[1] == pid
        await cli.down(directory)
    assert not is_running(pid)


async def test_nothing_is_left_when_the_supervisor_is_killed(
    directory: Path, state_home: Path
) -> None:
    document = await cli.up(directory, machines=2)
    client, registry = registry_of(document)
    async with client:
        await registry.submit("s.service", SLEEP)
        await registry.set_target("s.service", TargetState.LAUNCHED)
        _, pid = await wait_active(registry, "s.service")
    theirs = [psutil.Process(pid), *belonging_to(directory)]
    os.kill(document["supervisor"]["pid"], signal.SIGKILL)
    _, alive = await asyncio.to_thread(psutil.wait_procs, theirs, timeout=8)
    assert not [process.cmdline() for process in alive]
    # What is written down of it is stale; the next `up` recovers, data and machines kept.
    again = await cli.up(directory)
    assert [one["id"] for one in again["machines"]] == [one["id"] for one in document["machines"]]
    client, registry = registry_of(again)
    async with client:
        await wait_active(registry, "s.service")


async def test_a_cluster_ends_with_the_process_it_was_started_for(directory: Path) -> None:
    process = await asyncio.create_subprocess_exec("sleep", "infinity")
    await cli.up(directory, machines=1, end_with_pid=process.pid)
    process.kill()
    await process.wait()
    async with asyncio.timeout(15):
        while belonging_to(directory):
            await asyncio.sleep(0.1)


async def test_two_ups_at_once_make_one_cluster(directory: Path) -> None:
    one, other = await asyncio.gather(
        cli.up(directory, machines=1), cli.up(directory, machines=1), return_exceptions=True
    )
    documents = [each for each in (one, other) if isinstance(each, dict)]
    assert documents, (one, other)
    assert {each["supervisor"]["pid"] for each in documents} == {
        (await cli.status(directory))["supervisor"]["pid"]
    }
