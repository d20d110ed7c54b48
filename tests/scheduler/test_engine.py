"""The engine, on real KVs: elections, failover, what wakes it, what it does not believe."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pytest

from c101.core.model.machine import MachineIntent
from c101.core.model.unit import TargetState
from c101.core.scheduler.engine import LEASE_SECONDS
from c101.core.scheduler.term import read_guard
from tests.processes import KVProcess, running_etcd, running_kv
from tests.scheduler.world import KEYS, World, place_of

pytestmark = pytest.mark.integration

Running = Callable[[Path], AbstractContextManager[KVProcess]]


@pytest.fixture(params=[running_etcd, running_kv], ids=["etcd", "c101-core kv"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[KVProcess]:
    running: Running = request.param
    with running(tmp_path) as server:
        yield server


@pytest.fixture
async def world(server: KVProcess) -> AsyncIterator[World]:
    async with World(server.url) as world:
        yield world


async def test_a_unit_is_placed_on_the_least_loaded_machine_with_its_reason(world: World) -> None:
    await world.join("m1")
    await world.join("m2")
    world.engine()
    await world.start("a.service")
    await world.placed("a.service", "m1")
    await world.start("b.service")
    state = await world.placed("b.service", "m2")
    placement = state.units["b.service"].placement
    assert placement is not None
    assert placement.reason == "least loaded of 2 feasible"
    assert abs(placement.since - time.time()) < 30
    assert state.leader == "e1"


async def test_a_unit_that_was_waiting_is_placed_when_a_machine_comes(world: World) -> None:
    world.engine()
    await world.start("a.service", "MachineMetadata=disk=ssd")
    await world.join("m1")
    await world.start("b.service")
    state = await world.placed("b.service", "m1")
    assert place_of(state, "a.service") is None
    await world.join("m2", disk="ssd")
    await world.placed("a.service", "m2")


async def test_unload_and_cordon_and_drain_are_followed(world: World) -> None:
    await world.join("m1")
    await world.join("m2")
    world.engine()
    await world.start("a.service")
    await world.placed("a.service", "m1")
    await world.registry.set_intent(MachineIntent(id="m1", cordoned=True))
    await world.start("b.service")
    await world.placed("b.service", "m2")
    await world.start("c.service")
    state = await world.placed("c.service", "m2")
    assert place_of(state, "a.service") == "m1"
    await world.registry.set_intent(MachineIntent(id="m2", draining=True))
    await world.registry.set_intent(MachineIntent(id="m1"))
    await world.placed("b.service", "m1")
    await world.placed("c.service", "m1")
    await world.registry.set_target("a.service", TargetState.INACTIVE)
    await world.placed("a.service", None)


async def test_units_of_a_machine_whose_lease_ended_are_placed_anew_in_one_step(
    world: World,
) -> None:
    lease = await world.join("m1")
    world.engine()
    await world.start("a.service")
    await world.placed("a.service", "m1")
    await world.join("m2")
    seen: list[str | None] = []
    unsubscribe = world.mirror.subscribe(
        lambda: seen.append(place_of(world.mirror.state, "a.service"))
    )
    await world.client.revoke_lease(lease)
    state = await world.placed("a.service", "m2")
    unsubscribe()
    placement = state.units["a.service"].placement
    assert placement is not None
    assert placement.reason == "left m1: it is lost; the only feasible machine"
    assert None not in seen


async def test_a_machine_is_recorded_and_its_leaving_is_noted(world: World) -> None:
    world.engine()
    lease = await world.join("m1", disk="ssd")
    state = await world.until(lambda state: "m1" in state.machines and state.machines["m1"].record)
    record = state.machines["m1"].record
    assert record is not None
    assert (record.name, record.addresses) == ("m1", ("127.0.0.1",))
    assert dict(record.metadata) == {"disk": "ssd"}
    await world.client.revoke_lease(lease)
    await world.until(
        lambda state: (found := state.machines["m1"].record) and found.last_seen > record.last_seen
    )


async def test_one_of_several_engines_leads_and_another_follows_when_it_stops(
    world: World,
) -> None:
    engines = {name: world.engine(name) for name in ("e1", "e2", "e3")}
    first = (await world.until(lambda state: state.leader)).leader
    await world.stop(engines.pop(first))
    began = time.monotonic()
    second = (await world.until(lambda state: state.leader not in {"", first})).leader
    assert second in engines
    # It was given up: nobody had to wait for the lease to end.
    assert time.monotonic() - began < LEASE_SECONDS
    await world.join("m1")
    await world.start("a.service")
    await world.placed("a.service", "m1")


ENGINE = """
import asyncio, sys
from c101.core.clock import SystemClock
from c101.core.registry.keyspace import Keyspace
from c101.core.rpc.dial import dialer_for
from c101.core.scheduler.engine import run_engine
asyncio.run(run_engine(dialers=[dialer_for(sys.argv[1])], keyspace=Keyspace(), name=sys.argv[2],
                       clock=SystemClock(), stop=asyncio.Event()))
"""


@pytest.fixture
def engine_process(server: KVProcess) -> Iterator[subprocess.Popen[bytes]]:
    """An engine that can be killed and stalled."""
    process = subprocess.Popen([sys.executable, "-c", ENGINE, server.url, "other"])
    yield process
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.wait()


@pytest.mark.slow
async def test_when_the_leader_is_killed_another_takes_over_within_its_lease(
    world: World, engine_process: subprocess.Popen[bytes]
) -> None:
    await world.join("m1")
    await world.until(lambda state: state.leader == "other")
    world.engine("e1")
    engine_process.kill()
    began = time.monotonic()
    await world.start("a.service")
    await world.placed("a.service", "m1")
    assert time.monotonic() - began < LEASE_SECONDS * 4 / 3 + 2


@pytest.mark.slow
async def test_a_leader_that_was_stalled_changes_nothing_once_another_leads(
    world: World, engine_process: subprocess.Popen[bytes]
) -> None:
    await world.join("m1")
    await world.until(lambda state: state.leader == "other")
    world.engine("e1")
    os.kill(engine_process.pid, signal.SIGSTOP)
    await world.until(lambda state: state.leader == "e1")
    await world.start("a.service")
    before = await world.placed("a.service", "m1")
    os.kill(engine_process.pid, signal.SIGCONT)
    await asyncio.sleep(1)
    assert world.mirror.state.leader == "e1"
    assert world.mirror.state.units == before.units


async def test_the_engine_goes_on_when_the_kv_comes_back(world: World, server: KVProcess) -> None:
    await world.join("m1")
    world.engine()
    await world.start("a.service")
    await world.placed("a.service", "m1")
    await asyncio.to_thread(server.kill)
    await asyncio.sleep(0.3)
    await asyncio.to_thread(server.start)
    await world.start("b.service")
    state = await world.placed("b.service", "m1")
    assert place_of(state, "a.service") == "m1"


async def test_many_machines_that_vanish_at_once_move_nothing_until_an_admin_agrees(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    leases = [await world.join(f"m{i}") for i in range(8)]
    world.engine()
    for i in range(8):
        await world.start(f"u{i}.service")
        await world.placed(f"u{i}.service", f"m{i}")
    await asyncio.gather(*(world.client.revoke_lease(lease) for lease in leases[:6]))
    async with asyncio.timeout(10):
        while (held := await hold_of(world)) == "":
            await asyncio.sleep(0.02)
    assert "of 8 machines vanished at once" in held
    still = [i for i in range(6) if place_of(world.mirror.state, f"u{i}.service") == f"m{i}"]
    # Leases end one after another: what went before it was many may have been moved.
    assert len(still) >= 2
    await world.start("late.service")
    await asyncio.sleep(0.3)
    assert place_of(world.mirror.state, "late.service") is None
    await world.client.put(KEYS.engine_guard, "accept")
    for i in range(6):
        await world.placed(f"u{i}.service", "m6", "m7")
    await world.placed("late.service", "m6", "m7")
    holds = [r for r in caplog.records if r.message == "holding: nothing is decided"]
    assert len(holds) == 1


async def test_targets_that_vanish_stop_nothing(world: World) -> None:
    await world.join("m1")
    world.engine()
    await world.start("a.service")
    await world.placed("a.service", "m1")
    await world.client.delete(KEYS.unit_target("a.service"))
    async with asyncio.timeout(10):
        while "1 unit vanished" not in await hold_of(world):
            await asyncio.sleep(0.02)
    assert place_of(world.mirror.state, "a.service") == "m1"
    await world.registry.set_target("a.service", TargetState.LAUNCHED)
    async with asyncio.timeout(10):
        while await hold_of(world):
            await asyncio.sleep(0.02)
    assert place_of(world.mirror.state, "a.service") == "m1"


async def test_a_kv_that_was_wiped_is_not_believed_until_an_admin_agrees(
    world: World, server: KVProcess
) -> None:
    await world.join("m1")
    world.engine()
    await world.start("a.service")
    await world.placed("a.service", "m1")
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.data.rename, server.data.with_name("old"))
    await asyncio.to_thread(server.start)
    await world.join("m2")
    await world.start("b.service")
    async with asyncio.timeout(30):
        while not await hold_of(world):
            await asyncio.sleep(0.05)
    held = await hold_of(world)
    assert "the KV is another one" in held or "went back in time" in held
    assert place_of(world.mirror.state, "b.service") is None
    await world.client.put(KEYS.engine_guard, "accept")
    await world.placed("b.service", "m2")


async def hold_of(world: World) -> str:
    found = await world.client.get(KEYS.engine_guard)
    record = read_guard(found.value if found is not None else None)
    return record.hold if record is not None else ""


async def test_a_start_is_placed_in_milliseconds(world: World) -> None:
    """Not a benchmark: the bound is ten times what it takes here."""
    for name in ("m1", "m2", "m3"):
        await world.join(name)
    world.engine()
    await world.start("first.service")
    await world.until(lambda state: place_of(state, "first.service"))
    took = []
    for i in range(10):
        name = f"u{i}.service"
        await world.registry.submit(name, "[Service]\nExecStart=/bin/true\n")
        began = time.perf_counter()
        await world.registry.set_target(name, TargetState.LAUNCHED)
        await world.placed(name, "m1", "m2", "m3")
        took.append(time.perf_counter() - began)
    print("target to placement, ms:", [round(one * 1000, 1) for one in took])
    assert sorted(took)[5] < 0.25
