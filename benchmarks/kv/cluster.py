"""A cluster to be scheduled: machines that are there, units that are wanted, an engine."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.kv.servers import STOP_SECONDS_MAX
from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.model.machine import MachinePresence
from c101.core.model.unit import TargetState
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from c101.core.rpc.dial import TcpDialer

MACHINES = 20
#: Longer than any measurement: nobody renews it.
LEASE_SECONDS = 3_600
SCHEDULING_SECONDS_MAX = 300.0
#: Units written at once.
_WRITERS = 64
_POLL_SECONDS = 0.2
_UNIT = "[Service]\nExecStart=/bin/true\n"
#: Of each unit that is placed: its file, its target, its placement.
_KEYS_PLACED = 3


class Cluster:
    """*units* units to be placed, below *prefix* on the server at *port*."""

    def __init__(self, port: int, prefix: str, units: int) -> None:
        self._port = port
        self._keyspace = Keyspace(prefix)
        self._units = units

    def write(self) -> None:
        """Have machines come and want every unit launched."""
        asyncio.run(self._write())

    @contextmanager
    def engine(self) -> Iterator[None]:
        """Run an engine on it."""
        url = f"http://127.0.0.1:{self._port}"
        command = [sys.executable, "-m", "c101.core.daemon", "engine", "--kv", url]
        engine = subprocess.Popen(
            [*command, "--prefix", self._keyspace.prefix],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield
        finally:
            engine.terminate()
            engine.wait(STOP_SECONDS_MAX)

    def until_placed(self) -> float:
        """Wait until every unit is placed; return the seconds it took."""
        return asyncio.run(self._until_placed())

    def _client(self) -> Client:
        return Client([TcpDialer("127.0.0.1", self._port)], clock=SystemClock())

    async def _write(self) -> None:
        names = iter(f"unit{number:05d}.service" for number in range(self._units))
        async with self._client() as client:
            await self._machines(client)
            registry = Registry(client, self._keyspace, SystemClock())

            async def write_some() -> None:
                for name in names:
                    await registry.submit(name, _UNIT)
                    await registry.set_target(name, TargetState.LAUNCHED)

            async with asyncio.TaskGroup() as tasks:
                for _ in range(_WRITERS):
                    tasks.create_task(write_some())

    async def _machines(self, client: Client) -> None:
        lease = await client.lease(LEASE_SECONDS)
        for number in range(MACHINES):
            presence = MachinePresence(
                id=f"m{number}",
                name=f"m{number}",
                boot_id="one",
                agent_version="1",
                runtime="process",
            )
            key = self._keyspace.machine_presence(presence.id)
            await client.put(key, records.encode(presence), lease=lease.id)

    async def _until_placed(self) -> float:
        began = time.monotonic()
        wanted = self._units * _KEYS_PLACED
        async with self._client() as client:
            while True:
                found = await client.get_prefix(self._keyspace.units, count_only=True)
                taken = time.monotonic() - began
                if found.count >= wanted:
                    return taken
                if taken > SCHEDULING_SECONDS_MAX:
                    left = wanted - found.count
                    raise TimeoutError(f"{left} of {self._units} units are not placed")
                await asyncio.sleep(_POLL_SECONDS)
