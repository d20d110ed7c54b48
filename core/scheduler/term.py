"""What a leading engine does with one look at the cluster: judge it, decide, write.

The memory of the guard outlives a term, and part of it is kept in the KV for the next leader.
"""

import asyncio
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from operator import is_

import msgspec
from msgspec import structs

from c101.core.clock import Clock
from c101.core.errors import C101Error, ConflictError
from c101.core.etcd.client import Client
from c101.core.etcd.txn import Compare, Put
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import Machine
from c101.core.model.unit import Placement, Unit
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from c101.core.scheduler import attendance, guard
from c101.core.scheduler.guard import Hold, Memory
from c101.core.scheduler.reconcile import (
    RescheduleUnit,
    ScheduleUnit,
    Task,
    UnscheduleUnit,
    reconcile,
)
from c101.core.scheduler.window import Window

#: What an admin puts under the guard's key to say that what is seen is true.
ACCEPT = b"accept"

logger = logging.getLogger(__name__)


class GuardRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """The guard's memory in the KV; ``hold`` says why the engine does nothing, if it does not."""

    cluster_id: int
    revision: int
    machines: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    hold: str = ""
    hint: str = ""


def read_guard(value: bytes | None) -> GuardRecord | None:
    """Read the value of the guard's key; ``None`` for one that says nothing."""
    try:
        return msgspec.json.decode(value, type=GuardRecord) if value else None
    except msgspec.MsgspecError:
        return None


def _version(unit: Unit) -> tuple[int, int]:
    return unit.target_revision, unit.placement_revision


class Term:
    """The decisions of one engine, over all its terms of office."""

    def __init__(
        self, client: Client, registry: Registry, keyspace: Keyspace, clock: Clock
    ) -> None:
        self._client = client
        self._registry = registry
        self._keyspace = keyspace
        self._clock = clock
        self._fence: tuple[Compare, ...] = ()
        self._memory = Memory()
        self._hold: Hold | None = None
        self._is_fresh = True  # nothing was seen in this term as yet
        self._looked_at: tuple[object, object] | None = None
        self._machines: Mapping[str, Machine] | None = None
        self._unheard: dict[str, Unit] = {}
        self._written: GuardRecord | None = None
        self._acted = False

    def begin(self, fence: Compare) -> None:
        """Begin a term: every write compares *fence*."""
        self._fence = (fence,)
        self._is_fresh = True
        self._machines = None
        self._written = None
        self._unheard.clear()
        self.look_again()

    def look_again(self) -> None:
        """Have the next look decided on even if nothing seems to have changed."""
        self._looked_at = None

    async def decide(self, cluster: ClusterState, cluster_id: int) -> None:
        """Act on what is seen. Raises what the client raises; what was not done is due again."""
        # States of units, which change most, decide nothing here.
        look = (cluster.units, cluster.machines)
        is_asked_for = self._looked_at is None
        is_same = not is_asked_for and all(map(is_, self._looked_at or (), look))
        if (is_same and self._hold is None) or not self._have_heard(cluster):
            return
        if self._is_fresh or self._hold is not None:
            await self._consult(cluster, cluster_id)
        self._is_fresh = False
        self._memory, hold = guard.observe(
            self._memory, cluster, cluster_id, self._clock.monotonic()
        )
        self._say(hold)
        if hold is None:
            await self._act(cluster)
        await self._write_guard(hold, also_progress=is_asked_for)
        self._looked_at = look

    def _have_heard(self, cluster: ClusterState) -> bool:
        """Say whether *cluster* shows what was last written here.

        Deciding on a view that is older than the own writes could place two units in conflict.
        """
        self._unheard = {
            name: unit
            for name, unit in self._unheard.items()
            if name in cluster.units and _version(cluster.units[name]) == _version(unit)
        }
        return not self._unheard

    async def _consult(self, cluster: ClusterState, cluster_id: int) -> None:
        """Read what the leader before left, or what an admin said."""
        found = await self._client.get(self._keyspace.engine_guard)
        value = found.value if found is not None else None
        if value is not None and value.strip() == ACCEPT:
            logger.warning("what is seen was accepted", extra={"revision": cluster.revision})
            self._memory = guard.accept(cluster, cluster_id)
            self._written = None
            return
        left = read_guard(value)
        if self._is_fresh and left is not None:
            self._memory = replace(
                self._memory,
                cluster_id=self._memory.cluster_id or left.cluster_id,
                revision=max(self._memory.revision, left.revision),
                present=frozenset(left.machines),
                vanished={},
                missing=frozenset(left.missing),
            )
            self._written = left

    def _say(self, hold: Hold | None) -> None:
        """Log a hold once, and its end."""
        if hold is not None and type(hold) is not type(self._hold):
            fields = {"reason": str(hold), "hint": self._hint()}
            logger.error("holding: nothing is decided", extra=fields)
        elif hold is None and self._hold is not None:
            logger.warning("deciding again", extra={"reason": f"it is over: {self._hold}"})
        self._hold = hold

    def _hint(self) -> str:
        return f"if it is true: c101ctl set --raw --force {self._keyspace.engine_guard} accept"

    async def _write_guard(self, hold: Hold | None, *, also_progress: bool) -> None:
        """Leave the memory to the next leader: when a machine came or went, or something is held.

        With *also_progress*, when something was done, too. Never for a higher revision alone: its
        own write would be the next reason.
        """
        memory, written = self._memory, self._written
        record = GuardRecord(
            cluster_id=memory.cluster_id,
            revision=memory.revision,
            machines=tuple(sorted(memory.present)),
            missing=tuple(sorted(memory.missing)),
            hold=str(hold) if hold is not None else "",
            hint=self._hint() if hold is not None else "",
        )
        is_same = written is not None and structs.replace(written, revision=0) == structs.replace(
            record, revision=0
        )
        if is_same and not (self._acted and also_progress):
            return
        result = await self._client.transaction(
            compare=self._fence,
            success=[Put(self._keyspace.engine_guard, msgspec.json.encode(record))],
        )
        if result.succeeded:
            self._written = record
            self._acted = False

    async def _act(self, cluster: ClusterState) -> None:
        await self._apply_all(reconcile(cluster), cluster)
        changes = attendance.changes(self._machines, cluster.machines, self._clock.time())
        self._machines = cluster.machines
        for change in changes:
            await self._write_record(change)

    async def _apply_all(self, tasks: Iterable[Task], cluster: ClusterState) -> None:
        """Write *tasks*, some at once; raise the first failure when none is under way any more."""
        failed: list[BaseException] = []
        window = Window(self._clock)

        async def apply(task: Task, entered_at: float) -> None:
            try:
                await self._apply(task, cluster.units[task.unit])
            finally:
                window.leave(entered_at)

        try:
            async with asyncio.TaskGroup() as group:
                for task in tasks:
                    group.create_task(apply(task, await window.enter()))
                    # Decisions are many: who waits for this processor, the KV perhaps or a client
                    # of it, would else wait for the next tick of the kernel's clock.
                    os.sched_yield()
        except* C101Error as errors:
            failed.extend(errors.exceptions)
        if failed:
            raise failed[0]

    async def _apply(self, task: Task, unit: Unit) -> None:
        match task:
            case UnscheduleUnit():
                done = await self._registry.unplace(unit, fence=self._fence)
                fields = {"unit": task.unit, "previous_id": task.previous_id}
            case RescheduleUnit() | ScheduleUnit():
                placement = Placement(
                    machine_id=task.machine_id, reason=task.reason, since=self._clock.time()
                )
                done = await self._registry.place(unit, placement, fence=self._fence)
                fields = {"unit": task.unit, "machine_id": task.machine_id}
            case _:
                raise AssertionError(task)
        if done:
            self._unheard[task.unit] = unit
            self._acted = True
            logger.info(_SAID[type(task)], extra={**fields, "reason": task.reason})
        else:
            # Somebody changed the unit meanwhile; that change brings the next pass.
            logger.info("task overtaken", extra={**fields, "reason": task.reason})

    async def _write_record(self, change: attendance.RecordChange) -> None:
        try:
            if change.before is None:
                await self._registry.add_machine_record(change.after)
            else:
                await self._registry.put_machine_record(change.after, expected=change.before)
        except ConflictError:
            logger.info("machine record changed meanwhile", extra={"machine_id": change.after.id})


_SAID = {
    UnscheduleUnit: "unit unscheduled",
    RescheduleUnit: "unit rescheduled",
    ScheduleUnit: "unit scheduled",
}
