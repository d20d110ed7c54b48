"""The mirror: what a snapshot would say, without asking."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.errors import C101Error
from c101.core.etcd.client import Client
from c101.core.model.unit import TargetState
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.mirror import PENDING_EVENTS_MAX, Mirror
from c101.core.registry.registry import Registry
from tests.etcd.conftest import KINDS, client_of
from tests.etcd.relay import relay_to
from tests.processes import KVProcess
from tests.registry.cluster_keys import SERVICE, placement, presence, state


@asynccontextmanager
async def mirroring(client: Client, keyspace: Keyspace) -> AsyncIterator[Mirror]:
    """Run a mirror that has its first snapshot."""
    mirror = Mirror(client, keyspace, SystemClock())
    running = asyncio.create_task(mirror.run())
    try:
        async with asyncio.timeout(10):
            await mirror.next_change(0)
        yield mirror
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def until(condition: Callable[[], bool]) -> None:
    """Return once *condition* holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def test_before_the_first_snapshot_nothing_is_synced(
    client: Client, keyspace: Keyspace
) -> None:
    mirror = Mirror(client, keyspace, SystemClock())
    assert not mirror.synced
    assert not mirror.connected
    assert mirror.state.revision == 0


async def test_a_mirror_knows_what_was_there_and_hears_of_what_changes(
    client: Client, keyspace: Keyspace, registry: Registry
) -> None:
    await registry.submit("a.service", SERVICE)
    async with mirroring(client, keyspace) as mirror:
        assert (mirror.synced, mirror.connected) == (True, True)
        assert mirror.cluster_id == (await client.status()).cluster_id
        assert list(mirror.state.units) == ["a.service"]
        revision = mirror.state.revision
        waiting = asyncio.create_task(mirror.next_change(revision))
        await registry.set_target("a.service", TargetState.LAUNCHED)
        async with asyncio.timeout(5):
            changed = await waiting
        assert changed.units["a.service"].target is TargetState.LAUNCHED
        assert changed.revision > revision


async def test_a_reader_that_sleeps_through_many_changes_gets_them_as_one(
    client: Client, keyspace: Keyspace
) -> None:
    async with mirroring(client, keyspace) as mirror:
        before = mirror.state
        count = PENDING_EVENTS_MAX + 76
        for number in range(0, count, 50):
            await asyncio.gather(
                *(
                    client.put(keyspace.unit_file(f"u{n}.service"), SERVICE)
                    for n in range(number, number + 50)
                )
            )
        last = await client.put(keyspace.unit_file("last.service"), SERVICE)
        state = before
        async with asyncio.timeout(10):
            while state.revision < last.revision:
                state = await mirror.next_change(state.revision)
        assert len(state.units) == count + 1


async def test_subscribers_are_called_on_every_change_until_they_leave(
    client: Client, keyspace: Keyspace, registry: Registry
) -> None:
    calls: list[int] = []
    async with mirroring(client, keyspace) as mirror:
        leave = mirror.subscribe(lambda: calls.append(mirror.state.revision))
        await registry.submit("a.service", SERVICE)
        await until(lambda: len(calls) == 1)
        leave()
        leave()
        await registry.submit("b.service", SERVICE)
        await mirror.next_change(calls[0])
    assert len(calls) == 1


async def test_a_link_loss_is_shown_and_nothing_is_missed(
    server: KVProcess, keyspace: Keyspace, registry: Registry
) -> None:
    async with (
        relay_to(server.port) as relay,
        client_of(relay) as far,
        mirroring(far, keyspace) as mirror,
    ):
        calls: list[bool] = []
        mirror.subscribe(lambda: calls.append(mirror.connected))
        relay.cut()
        await until(lambda: not mirror.connected)
        heard = mirror.heard_at
        await registry.submit("a.service", SERVICE)
        assert mirror.synced
        assert mirror.state.units == {}
        relay.mend()
        await until(lambda: "a.service" in mirror.state.units)
        assert mirror.connected
        assert mirror.heard_at > heard
        # A subscriber hears of every other reason too, while there is no link.
        assert [connected for connected, _ in groupby(calls)] == [False, True]


async def test_a_kv_that_is_down_at_first_is_waited_for(
    own_server: KVProcess, keyspace: Keyspace
) -> None:
    await asyncio.to_thread(own_server.kill)
    async with client_of(own_server, timeout_seconds=0.3) as client:
        mirror = Mirror(client, keyspace, SystemClock())
        running = asyncio.create_task(mirror.run())
        await until(lambda: mirror.problem is not None)
        assert "cannot reach" in str(mirror.problem)
        assert not mirror.synced
        await asyncio.to_thread(own_server.start)
        await until(lambda: mirror.synced and mirror.connected and mirror.problem is None)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def test_after_a_compaction_that_was_slept_through_a_new_snapshot_is_taken(
    own_server: KVProcess, keyspace: Keyspace
) -> None:
    async with (
        client_of(own_server) as near,
        relay_to(own_server.port) as relay,
        client_of(relay) as far,
        mirroring(far, keyspace) as mirror,
    ):
        registry = Registry(near, keyspace, SystemClock())
        relay.cut()
        await until(lambda: not mirror.connected)
        await registry.submit("a.service", SERVICE)
        await registry.submit("b.service", SERVICE)
        await registry.destroy("a.service")
        last = await near.put("elsewhere", "")
        await near.compact(last.revision)
        relay.mend()
        await until(lambda: mirror.connected and "b.service" in mirror.state.units)
        assert mirror.state == await registry.snapshot()
        await registry.submit("c.service", SERVICE)
        await until(lambda: "c.service" in mirror.state.units)


async def test_another_kv_is_told_by_its_cluster_id(
    own_server: KVProcess, kind: str, keyspace: Keyspace, tmp_path: Path
) -> None:
    async with client_of(own_server) as client, mirroring(client, keyspace) as mirror:
        registry = Registry(client, keyspace, SystemClock())
        await registry.submit("a.service", SERVICE)
        await until(lambda: "a.service" in mirror.state.units)
        first, revision = mirror.cluster_id, mirror.state.revision
        waiting = asyncio.create_task(mirror.next_change(revision))
        await asyncio.to_thread(own_server.kill)
        emptied = KINDS[kind][1](tmp_path / "emptied", port=own_server.port)
        await asyncio.to_thread(emptied.start)
        try:
            async with asyncio.timeout(10):
                replaced = await waiting
            assert replaced.units == {}
            assert mirror.cluster_id != first
        finally:
            await asyncio.to_thread(emptied.kill)


@pytest.mark.parametrize("seed", range(3))
async def test_after_random_verbs_the_mirror_says_what_a_snapshot_says(
    client: Client, keyspace: Keyspace, registry: Registry, seed: int
) -> None:
    async with mirroring(client, keyspace) as mirror:
        choose = random.Random(seed)
        async with client.held_lease(5) as lease:
            for _ in range(150):
                with contextlib.suppress(C101Error):
                    await random_verb(registry, client, keyspace, choose, lease.id)
        await registry.submit("end.service", SERVICE)
        await until(lambda: "end.service" in mirror.state.units)
        assert mirror.state == await registry.snapshot()


async def random_verb(
    registry: Registry, client: Client, keyspace: Keyspace, choose: random.Random, lease: int
) -> None:
    name = choose.choice(["a.service", "b.service", "c@1.service", "c@.service"])
    machine = choose.choice(["m1", "m2"])
    match choose.randrange(9):
        case 0 | 1:
            text = choose.choice([SERVICE, SERVICE + "Restart=always\n"])
            await registry.submit(name, text, replace=choose.random() < 0.5)
        case 2:
            await registry.set_target(name, choose.choice(list(TargetState)))
        case 3:
            await registry.place(await registry.unit(name), placement(machine))
        case 4:
            await registry.unplace(await registry.unit(name))
        case 5:
            await registry.destroy(name)
        case 6:
            key = keyspace.machine_presence(machine)
            await client.put(key, records.encode(presence(machine)), lease=lease)
        case 7:
            key = keyspace.unit_state(name, machine)
            await client.put(key, records.encode(state(name, machine)), lease=lease)
        case _:
            await client.put(keyspace.unit_placement(name), "damaged")
