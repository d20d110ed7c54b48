"""A cluster in memory, behind the interface that the console sees a real one through."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from c101.core.errors import ConflictError, LinkLostError, NotFoundError
from c101.core.model.cluster import ClusterState
from c101.core.model.host import JournalBatch, MachineUsage, UnitProcess, UnitStatus
from c101.core.model.journal import JournalEntry
from c101.core.model.key_value import KeyValue
from c101.core.model.unit import TargetState, UnitState
from c101.tui.feeds.access import ClusterUpdate, KeysUpdate

T = TypeVar("T")


class Broadcast(Generic[T]):
    """Gives what is published to every stream that is open, until the link is cut."""

    def __init__(self) -> None:
        self._queues: set[asyncio.Queue[T | Exception]] = set()
        self.down: Exception | None = None
        self.opened = 0

    async def stream(self, first: Callable[[], Sequence[T]]) -> AsyncGenerator[T, None]:
        self.opened += 1
        if self.down is not None:
            raise self.down
        queue: asyncio.Queue[T | Exception] = asyncio.Queue()
        self._queues.add(queue)
        try:
            for item in first():
                yield item
            while True:
                got = await queue.get()
                if isinstance(got, Exception):
                    raise got
                yield got
        finally:
            self._queues.discard(queue)

    def publish(self, item: T) -> None:
        for queue in self._queues:
            queue.put_nowait(item)

    def cut(self, error: Exception) -> None:
        self.down = error
        for queue in self._queues:
            queue.put_nowait(error)


class FakeAccess:
    """The whole of ``ClusterAccess`` and ``ClusterVerbs``, with levers for tests."""

    def __init__(
        self,
        state: ClusterState | None = None,
        keys: Sequence[KeyValue] = (),
        *,
        name: str = "demo",
    ) -> None:
        self._name = name
        self.state = state or ClusterState()
        self.held = {kv.key: kv for kv in keys}
        self.entries: dict[str, list[JournalEntry]] = {}
        self.usages: dict[str, MachineUsage] = {}
        self.calls: list[tuple[object, ...]] = []
        self.fail_with: Exception | None = None
        self.clusters: Broadcast[ClusterUpdate] = Broadcast()
        self.key_updates: Broadcast[KeysUpdate] = Broadcast()
        self.usage_of: dict[str, Broadcast[MachineUsage]] = {}
        self.journal_of: dict[str, Broadcast[JournalBatch]] = {}
        self.gate = asyncio.Event()
        self.gate.set()
        self.opened = False
        self.closed = False
        self.application = "three-tier"
        self.address = "http://127.0.0.1:8080"
        self.can_power = True
        self.ends_at_quit = True

    @property
    def name(self) -> str:
        return self._name

    @property
    def verbs(self) -> "FakeAccess":
        return self

    async def open(self, say: Callable[[str], None]) -> None:
        say("starting the cluster…")
        await self.gate.wait()
        if self.fail_with is not None:
            raise self.fail_with
        self.opened = True

    async def close(self) -> None:
        self.closed = True

    def cluster(self) -> AsyncGenerator[ClusterUpdate, None]:
        return self.clusters.stream(lambda: [ClusterUpdate(cluster=self.state)])

    def keys(self) -> AsyncGenerator[KeysUpdate, None]:
        return self.key_updates.stream(
            lambda: [
                KeysUpdate(
                    put=list(self.held.values()), revision=self.state.revision, snapshot=True
                )
            ]
        )

    def usage(self, machine_id: str) -> AsyncGenerator[MachineUsage, None]:
        held = self.usage_of.setdefault(machine_id, Broadcast())
        latest = self.usages.get(machine_id)
        return held.stream(lambda: [latest] if latest is not None else [])

    def journal(self, machine_id: str, after_cursor: str) -> AsyncGenerator[JournalBatch, None]:
        held = self.journal_of.setdefault(machine_id, Broadcast())
        stored = self.entries.get(machine_id, [])
        at = next((i + 1 for i, e in enumerate(stored) if e.cursor == after_cursor), 0)
        return held.stream(lambda: [JournalBatch(entries=stored[at:], caught_up=True)])

    def reaches(self, machine_id: str) -> bool:
        return machine_id in self.state.machines

    def round_trip(self, machine_id: str = "") -> float | None:
        return 0.001 if machine_id else 0.004

    # Levers.

    def set_state(self, state: ClusterState) -> None:
        self.state = state
        self.clusters.publish(ClusterUpdate(cluster=state))

    def set_unit_state(self, state: UnitState) -> None:
        states = {**self.state.states, (state.unit, state.machine_id): state}
        self.set_state(replace(self.state, states=states, revision=self.state.revision + 1))

    def say(self, entry: JournalEntry) -> None:
        self.entries.setdefault(entry.machine_id, []).append(entry)
        self.journal_of[entry.machine_id].publish(JournalBatch(entries=[entry]))

    def cut_kv(self, reason: str = "the connection was lost") -> None:
        self.clusters.cut(LinkLostError(reason))
        self.key_updates.cut(LinkLostError(reason))

    def restore_kv(self) -> None:
        self.clusters.down = self.key_updates.down = None

    # Verbs.

    async def _called(self, *call: object) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        if self.fail_with is not None:
            raise self.fail_with

    async def set_target(self, unit: str, target: TargetState) -> None:
        await self._called("set_target", unit, target)
        held = self.state.units.get(unit)
        if held is None:
            raise NotFoundError(f"no unit {unit}")
        units = {**self.state.units, unit: replace(held, target=target)}
        self.set_state(replace(self.state, units=units, revision=self.state.revision + 1))

    async def restart(self, unit: str) -> None:
        await self._called("restart", unit)

    async def destroy(self, unit: str) -> None:
        await self._called("destroy", unit)
        units = {name: held for name, held in self.state.units.items() if name != unit}
        states = {key: held for key, held in self.state.states.items() if key[0] != unit}
        revision = self.state.revision + 1
        self.set_state(replace(self.state, units=units, states=states, revision=revision))

    async def get_key(self, key: bytes) -> KeyValue | None:
        await self._called("get_key", key)
        return self.held.get(key)

    async def put_key(self, key: bytes, value: bytes, *, expected_revision: int) -> None:
        await self._called("put_key", key, value, expected_revision)
        held = self.held.get(key)
        if (held.mod_revision if held else 0) != expected_revision:
            raise ConflictError("somebody else changed it first")
        revision = self.state.revision + 1
        self.state = replace(self.state, revision=revision)
        fresh = KeyValue(
            key=key,
            value=value,
            create_revision=held.create_revision if held else revision,
            mod_revision=revision,
            version=held.version + 1 if held else 1,
            lease=held.lease if held else 0,
        )
        self.held[key] = fresh
        self.key_updates.publish(KeysUpdate(put=[fresh], revision=revision))

    async def delete_key(self, key: bytes, *, expected_revision: int) -> None:
        await self._called("delete_key", key, expected_revision)
        held = self.held.get(key)
        if held is None or held.mod_revision != expected_revision:
            raise ConflictError("somebody else changed it first")
        del self.held[key]
        self.key_updates.publish(KeysUpdate(deleted=[key], revision=self.state.revision + 1))

    async def lease_seconds(self, lease: int) -> int:
        await self._called("lease_seconds", lease)
        return 30

    async def unit_status(self, machine_id: str, unit: str) -> UnitStatus:
        await self._called("unit_status", machine_id, unit)
        state = self.state.states.get((unit, machine_id))
        if state is None:
            raise NotFoundError(f"no unit {unit}")
        process = UnitProcess(
            pid=4127,
            command="python3 web.py --port 42001",
            memory_bytes=14_889_779,
            cpu_seconds=0.31,
        )
        return UnitStatus(state=state, description="a web server", processes=[process])

    async def power(self, machine_id: str, *, on: bool) -> None:
        await self._called("power", machine_id, on)
