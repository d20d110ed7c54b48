"""What agents report, under their lease."""

import pytest

from c101.core.errors import ConflictError
from c101.core.etcd.client import Client
from c101.core.etcd.errors import LeaseNotFoundError
from c101.core.model.machine import MachineState
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from c101.core.registry.reporter import Reporter
from tests.registry.cluster_keys import presence, state


async def test_a_machine_is_there_exactly_while_its_lease_is(
    client: Client, keyspace: Keyspace, registry: Registry
) -> None:
    reporter = Reporter(client, keyspace, "m1")
    async with client.held_lease(5) as lease:
        await reporter.announce(presence("m1"), lease.id)
        await reporter.publish([state("web.service", "m1")], lease=lease.id)
        there = await registry.snapshot()
        assert there.machines["m1"].state is MachineState.READY
        assert there.states[("web.service", "m1")].active == "active"
        await reporter.announce(presence("m1", cpus=4), lease.id)
    gone = await registry.snapshot()
    assert gone.machines == {}
    assert gone.states == {}


async def test_an_agent_that_was_restarted_takes_over_what_it_said_before(
    client: Client, keyspace: Keyspace, registry: Registry
) -> None:
    reporter = Reporter(client, keyspace, "m1")
    old = await client.lease(30)
    await reporter.announce(presence("m1"), old.id)
    async with client.held_lease(5) as lease:
        await reporter.announce(presence("m1"), lease.id)
        await client.revoke_lease(old.id)
        assert (await registry.snapshot()).machines["m1"].state is MachineState.READY


async def test_a_second_machine_with_the_same_id_is_refused(
    client: Client, keyspace: Keyspace
) -> None:
    reporter = Reporter(client, keyspace, "m1")
    async with client.held_lease(5) as first, client.held_lease(5) as second:
        await reporter.announce(presence("m1", boot_id="one"), first.id)
        with pytest.raises(ConflictError, match="boot id one"):
            await reporter.announce(presence("m1", boot_id="two"), second.id)


async def test_a_damaged_presence_is_replaced(
    client: Client, keyspace: Keyspace, registry: Registry
) -> None:
    await client.put(keyspace.machine_presence("m1"), "nonsense")
    async with client.held_lease(5) as lease:
        await Reporter(client, keyspace, "m1").announce(presence("m1"), lease.id)
        assert (await registry.snapshot()).damaged == {}


async def test_hundreds_of_states_are_published_and_taken_back(
    client: Client, keyspace: Keyspace, registry: Registry
) -> None:
    reporter = Reporter(client, keyspace, "m1")
    names = [f"u{number}.service" for number in range(250)]
    async with client.held_lease(5) as lease:
        await reporter.publish([state(name, "m1") for name in names], lease=lease.id)
        assert len((await registry.snapshot()).states) == 250
        await reporter.publish(
            [state("u0.service", "m1", active="failed")], lease=lease.id, gone=names[1:]
        )
        states = (await registry.snapshot()).states
    assert [(s.unit, s.active) for s in states.values()] == [("u0.service", "failed")]


async def test_withdrawing_takes_the_presence_back_and_leaves_the_states(
    client: Client, keyspace: Keyspace, registry: Registry
) -> None:
    reporter = Reporter(client, keyspace, "m1")
    async with client.held_lease(5) as lease:
        await reporter.announce(presence("m1"), lease.id)
        await reporter.publish([state("web.service", "m1")], lease=lease.id)
        await reporter.withdraw()
        snapshot = await registry.snapshot()
    assert snapshot.machines == {}
    assert len(snapshot.states) == 1


async def test_nothing_is_reported_under_a_lease_that_is_gone(
    client: Client, keyspace: Keyspace
) -> None:
    reporter = Reporter(client, keyspace, "m1")
    with pytest.raises(LeaseNotFoundError):
        await reporter.announce(presence("m1"), 12_345)
    with pytest.raises(LeaseNotFoundError):
        await reporter.publish([state("web.service", "m1")], lease=12_345)
