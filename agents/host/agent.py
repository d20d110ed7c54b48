"""The agent's body: what wakes it, and what it then does.

Three things run side by side: the mirror of the registry, the heart with what is published under
its lease, and a loop that compares and acts. The loop acts only on a registry that is reached,
current and the machine's own: in every other case units are left exactly as they are.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from c101.agents.host import kv_pin
from c101.agents.host.heart import Heart
from c101.agents.host.kv_pin import KVPin
from c101.agents.host.linked import linked, registered, secrets_of
from c101.agents.host.publish import Publisher
from c101.agents.host.reconcile import (
    KeepUnit,
    LoadUnit,
    ReloadUnit,
    RestartUnit,
    StartUnit,
    StopUnit,
    Task,
    UnloadUnit,
    reconcile,
    restart_of,
)
from c101.agents.host.runtime import SYSTEMD
from c101.agents.host.secrets import Secrets
from c101.agents.host.twin import other_holder
from c101.agents.runtime.unit_manager import LoadedUnit, UnitManager
from c101.core.clock import Clock
from c101.core.errors import C101Error, LinkError
from c101.core.etcd.client import Client
from c101.core.model.cluster import ClusterState
from c101.core.model.machine import MachinePresence
from c101.core.model.unit import UnitState
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.mirror import Mirror

logger = logging.getLogger(__name__)

#: ACTIVE words of a unit that has no process and is not about to have one.
_AT_REST = frozenset({"inactive", "failed"})

#: A pass nobody asked for: it finds whatever an event should have told and did not.
PERIODIC_PASS_SECONDS = 5.0
#: The pin follows the KV's revision in steps, so that a busy KV does not mean a busy disk.
PIN_STEP_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSettings:
    """What one agent is told at its start."""

    presence: MachinePresence
    pin_path: Path
    secrets_dir: Path
    lease_ttl_seconds: int


@dataclass(frozen=True, slots=True)
class _Unloadable:
    """A text that did not load, by its hash, and why; ``for_good``: because of what is in it."""

    hash: str
    said: str
    for_good: bool


class Agent:
    """One machine's agent, without its sockets (see ``api``) and its parts (see ``main``)."""

    def __init__(
        self,
        settings: AgentSettings,
        *,
        client: Client,
        keyspace: Keyspace,
        units: UnitManager,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self._machine_id = settings.presence.id
        self._keyspace = keyspace
        self._units = units
        self._clock = clock
        self._mirror = Mirror(client, keyspace, clock)
        self._publisher = Publisher(client)
        self._heart = Heart(client, self._publisher, clock, ttl_seconds=settings.lease_ttl_seconds)
        self._wake = asyncio.Event()
        self._accepted = asyncio.Event()  # the KV was seen, and is this machine's own
        self._pin: KVPin | None = None
        self._pin_written = 0.0
        self._refused = ""  # why the KV is not acted on, as last logged
        self._twin = ""  # who else holds this machine's id, as last logged
        self._unloadable: dict[str, _Unloadable] = {}  # by unit
        self._pin_problem = ""  # why the pin cannot be written, as last logged
        self._named: Mapping[str, Sequence[str]] = {}  # unit: the secrets that it names
        self._secrets = Secrets(client, keyspace, clock, settings.secrets_dir)
        self._waiting: dict[str, str] = {}  # unit: what it waits for, as last told
        self._kept: dict[str, str] = {}  # unit: why it is kept although it is not wanted
        self._link: tuple[bool, float] = (False, clock.time())

    def kv_link(self) -> tuple[bool, float]:
        """Return whether the KV is reached, and since when (seconds since 1970) that is so."""
        connected = self._mirror.connected and self._mirror.synced
        if connected != self._link[0]:
            self._link = (connected, self._clock.time())
        return self._link

    async def run(self) -> None:
        """Run until cancelled. Units go on when this ends."""
        self._pin = kv_pin.load(self._settings.pin_path)
        for unit in await self._units.units():
            self._publish_unit(unit)
        presence = self._settings.presence
        self._publisher.put(
            self._keyspace.machine_presence(self._machine_id), records.encode(presence)
        )
        self._mirror.subscribe(self._wake.set)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._mirror.run(), name="mirror")
            group.create_task(self._beat(), name="heart")
            group.create_task(self._follow_units(), name="units")
            group.create_task(self._periodically(), name="periodic pass")
            group.create_task(self._reconcile_when_woken(), name="reconcile")

    async def _beat(self) -> None:
        await self._accepted.wait()
        await self._heart.run()

    async def _periodically(self) -> None:
        while True:
            self._wake.set()
            await self._clock.sleep(PERIODIC_PASS_SECONDS)

    async def _follow_units(self) -> None:
        async for unit in self._units.changes():
            self._publish_unit(unit)
            self._wake.set()

    def _publish_unit(self, unit: LoadedUnit) -> None:
        key = self._keyspace.unit_state(unit.name, self._machine_id)
        if unit.load == "not-found":
            self._publisher.remove(key)
            return
        self._publisher.put(key, records.encode(_reported(unit, self._machine_id)))

    async def _reconcile_when_woken(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if not (self._mirror.synced and self._mirror.connected):
                continue
            cluster = self._mirror.state
            if not self._accepts(cluster.revision) or self._has_twin(cluster):
                continue
            self._accepted.set()
            await self._reconcile(cluster)

    def _accepts(self, revision: int) -> bool:
        cluster_id = self._mirror.cluster_id
        refusal = kv_pin.verify(self._pin, cluster_id=cluster_id, revision=revision)
        if refusal:
            if refusal != self._refused:
                logger.error(
                    "the KV is not acted on; remove the pin to accept it",
                    extra={"reason": refusal, "pin": str(self._settings.pin_path)},
                )
            self._refused = refusal
            return False
        self._refused = ""
        fresh = KVPin(cluster_id=cluster_id, revision=revision)
        now = self._clock.monotonic()
        if self._pin is None or now - self._pin_written >= PIN_STEP_SECONDS:
            self._store_pin(fresh)
            self._pin_written = now
        self._pin = fresh
        return True

    def _store_pin(self, pin: KVPin) -> None:
        problem = ""
        try:
            kv_pin.store(self._settings.pin_path, pin)
        except OSError as error:
            # What is there is older, and holds: a full disk is no reason to leave the cluster.
            problem = error.strerror or str(error)
        if problem and problem != self._pin_problem:
            path = str(self._settings.pin_path)
            logger.error("the pin is not written", extra={"reason": problem, "pin": path})
        self._pin_problem = problem

    def _has_twin(self, cluster: ClusterState) -> bool:
        twin = other_holder(cluster, self._settings.presence)
        if twin and twin != self._twin:
            logger.error("nothing is done under an id that is not ours alone", extra={"held": twin})
        self._twin = twin
        return bool(twin)

    async def _reconcile(self, cluster: ClusterState) -> None:
        held = {unit.name: unit for unit in await self._units.units()}
        named = secrets_of(cluster, self._machine_id)
        lacking = await self._lacking(named)
        self._secrets.forget({*named, *held})
        seen = linked(
            cluster, self._machine_id, held.values(), self._secrets.credentials(named), lacking
        )
        self._named = named
        self._say_waiting(cluster, seen.waiting, held)
        tasks = reconcile(seen.cluster, self._machine_id, held.values(), seen.moved)
        self._say_kept([task for task in tasks if isinstance(task, KeepUnit)])
        skip = self._refused_before(tasks, held)
        for task in tasks:
            if task.unit in skip or isinstance(task, KeepUnit):
                continue
            try:
                await self._apply(task)
            except (C101Error, OSError) as error:
                skip.add(task.unit)
                self._on_failure(task, error, held.get(task.unit))

    async def _lacking(self, named: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Return why units that name secrets do not have them."""
        if self._settings.presence.runtime != SYSTEMD:
            return dict.fromkeys(named, "secrets are credentials of systemd, which is not here")
        return await self._secrets.lacking(named)

    async def _renew_secrets(self, unit: str) -> None:
        """Have a unit start with what its secrets are now; if that is not known, with the last."""
        if reason := await self._secrets.fetch(unit, self._named.get(unit, ())):
            logger.warning("secrets are as they were", extra={"unit": unit, "reason": reason})

    def _say_waiting(
        self, cluster: ClusterState, waiting: Mapping[str, str], held: Mapping[str, LoadedUnit]
    ) -> None:
        """Report of units that wait for others what they wait for."""
        told = {
            name: reason
            for name, reason in waiting.items()
            if (unit := held.get(name)) is None or unit.active in _AT_REST
        }
        for name in self._waiting.keys() - told.keys():
            if name not in held:
                self._publisher.remove(self._keyspace.unit_state(name, self._machine_id))
        for name, reason in told.items():
            if self._waiting.get(name) == reason:
                continue
            logger.info("unit waits", extra={"unit": name, "reason": reason})
            known = cluster.units[name]
            state = UnitState(
                unit=name,
                machine_id=self._machine_id,
                load="loaded",
                active="inactive",
                sub="waiting",
                hash=known.hash,
                since=self._clock.time(),
                restart=known.restart,
                message=reason,
            )
            key = self._keyspace.unit_state(name, self._machine_id)
            self._publisher.put(key, records.encode(state))
        self._waiting = told

    def _refused_before(self, tasks: list[Task], held: Mapping[str, LoadedUnit]) -> set[str]:
        """Return the units whose text the runtime has refused already, and forget the others."""
        failing = {
            task.unit: known
            for task in tasks
            if isinstance(task, LoadUnit)
            and (known := self._unloadable.get(task.unit)) is not None
            and known.hash == task.unit_hash
        }
        for name in self._unloadable.keys() - failing.keys():
            del self._unloadable[name]
            if name not in held:
                self._publisher.remove(self._keyspace.unit_state(name, self._machine_id))
        return {name for name, known in failing.items() if known.for_good}

    def _say_kept(self, tasks: list[KeepUnit]) -> None:
        kept = {task.unit: task.reason for task in tasks}
        for unit, reason in kept.items():
            if self._kept.get(unit) != reason:
                logger.warning("unit kept running", extra={"unit": unit, "reason": reason})
        self._kept = kept

    def _on_failure(self, task: Task, error: C101Error | OSError, held: LoadedUnit | None) -> None:
        said = f"{error.strerror or error}" if isinstance(error, OSError) else str(error)
        logger.error(
            "task failed",
            extra={"unit": task.unit, "task": type(task).__name__, "error": said},
        )
        if not isinstance(task, LoadUnit) or isinstance(error, LinkError):
            return  # what is asked for has no fault: the next pass asks again
        # A text that is refused is not given again; a full disk is tried again with each pass.
        for_good = isinstance(error, C101Error)
        failing = _Unloadable(task.unit_hash, said, for_good=for_good)
        if self._unloadable.get(task.unit) == failing:
            return  # told already: to tell it anew would wake the next pass
        self._unloadable[task.unit] = failing
        if held is not None:  # what runs is the text before: its state stands, with the complaint
            state = replace(_reported(held, self._machine_id), message=said)
        else:
            state = UnitState(
                unit=task.unit,
                machine_id=self._machine_id,
                load="bad-setting" if for_good else "error",
                active="inactive",
                sub="dead",
                hash=registered(task.unit_hash),
                since=self._clock.time(),
                result="resources",
                message=said,
            )
        key = self._keyspace.unit_state(task.unit, self._machine_id)
        self._publisher.put(key, records.encode(state))

    async def _apply(self, task: Task) -> None:
        logger.info(
            "task",
            extra={"task": type(task).__name__, "unit": task.unit, "reason": task.reason},
        )
        match task:
            case LoadUnit():
                await self._units.load(task.unit, task.text, unit_hash=task.unit_hash)
            case StartUnit():
                await self._renew_secrets(task.unit)
                await self._units.start(task.unit, restart=task.launch)
            case RestartUnit():
                await self._renew_secrets(task.unit)
                await self._units.restart(task.unit, restart=task.launch)
            case ReloadUnit():
                await self._units.reload(task.unit)
            case StopUnit():
                await self._units.stop(task.unit)
            case UnloadUnit():
                await self._units.unload(task.unit)
            case _:
                pass  # KeepUnit: nothing to do, and said already


def _reported(unit: LoadedUnit, machine_id: str) -> UnitState:
    return UnitState(
        unit=unit.name,
        machine_id=machine_id,
        load=unit.load,
        active=unit.active,
        sub=unit.sub,
        hash=registered(unit.hash),
        since=unit.since,
        result=unit.result,
        exit_status=unit.exit_status,
        main_pid=unit.main_pid,
        restarts=unit.restarts,
        restart=restart_of(unit.restart),
        message=unit.status_text,
    )
