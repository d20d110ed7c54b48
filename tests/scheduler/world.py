"""A KV with engines and machines on it, for the tests of the engine."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import MachinePresence
from c101.core.model.unit import TargetState
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.mirror import Mirror
from c101.core.registry.registry import Registry
from c101.core.rpc.dial import dialer_for
from c101.core.scheduler.engine import run_engine

KEYS = Keyspace()
WAIT_SECONDS = 20.0


class EngineTask:
    """An engine running in this process."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(
            run_engine(
                dialers=[dialer_for(url)],
                keyspace=KEYS,
                name=name,
                clock=SystemClock(),
                stop=self._stop,
            ),
            name=name,
        )

    async def stop(self) -> None:
        self._stop.set()
        await self._task


class World:
    """Verbs for tests, and a mirror to see what came of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = Client([dialer_for(url)], clock=SystemClock())
        self.registry = Registry(self.client, KEYS, SystemClock())
        self.mirror = Mirror(self.client, KEYS, SystemClock())
        self._stack = AsyncExitStack()
        self._engines: list[EngineTask] = []

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.client)
        watching = asyncio.create_task(self.mirror.run(), name="mirror of the test")

        async def stop_watching() -> None:
            watching.cancel()
            await asyncio.wait([watching])

        self._stack.push_async_callback(stop_watching)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(engine.stop() for engine in self._engines))
        await self._stack.aclose()

    def engine(self, name: str = "e1") -> EngineTask:
        """Start an engine; it is stopped at the end."""
        engine = EngineTask(self.url, name)
        self._engines.append(engine)
        return engine

    async def stop(self, engine: EngineTask) -> None:
        self._engines.remove(engine)
        await engine.stop()

    async def join(self, machine_id: str, *, ttl_seconds: float = 60, **metadata: str) -> int:
        """Have a machine come; return its lease, which is not renewed."""
        lease = await self.client.lease(ttl_seconds)
        presence = MachinePresence(
            id=machine_id,
            name=machine_id,
            boot_id="b1",
            agent_version="1",
            runtime="process",
            addresses=("127.0.0.1",),
            metadata=metadata,
            since=1.0,
        )
        key = KEYS.machine_presence(machine_id)
        await self.client.put(key, records.encode(presence), lease=lease.id)
        return lease.id

    async def start(self, name: str, *options: str) -> None:
        """Submit a unit and want it launched."""
        text = "[Service]\nExecStart=/bin/true\n[X-Fleet]\n" + "".join(f"{o}\n" for o in options)
        await self.registry.submit(name, text)
        await self.registry.set_target(name, TargetState.LAUNCHED)

    async def until(self, holds: Callable[[ClusterState], object]) -> ClusterState:
        """Wait until *holds* is true of the cluster, and return that."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not (self.mirror.synced and holds(self.mirror.state)):
                before = self.mirror.state.revision if self.mirror.synced else -1
                await self.mirror.next_change(before)
        return self.mirror.state

    async def placed(self, name: str, *machine_ids: str | None) -> ClusterState:
        """Wait until a unit is on one of some machines (``None``: on none)."""
        return await self.until(lambda state: place_of(state, name) in machine_ids)


def place_of(state: ClusterState, name: str) -> str | None:
    """Return the machine that a unit is placed on."""
    unit = state.units.get(name)
    return unit.placement.machine_id if unit is not None and unit.placement is not None else None
