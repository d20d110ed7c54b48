"""The unit runtime for machines with systemd."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from c101.agents.runtime.changes import Changes, Publisher
from c101.agents.runtime.systemd import cgroup
from c101.agents.runtime.systemd.bus import ManagerBus, ManagerError, Signals
from c101.agents.runtime.systemd.environment import with_environment
from c101.agents.runtime.systemd.held_unit import HeldUnit, describe_gone
from c101.agents.runtime.systemd.journal.reader import JournalReader
from c101.agents.runtime.systemd.reloads import Reloads
from c101.agents.runtime.systemd.text_check import check
from c101.agents.runtime.systemd.unit_files import Note, UnitFiles, digest
from c101.agents.runtime.systemd.unit_states import UnitStates
from c101.agents.runtime.unit_manager import JournalQuery, LoadedUnit
from c101.core.clock import Clock
from c101.core.errors import C101Error, ConflictError, InvalidNameError, LinkError, NotFoundError
from c101.core.etcd.backoff import Backoff
from c101.core.model.host import JournalBatch
from c101.core.units.name import UnitName

logger = logging.getLogger(__name__)

#: Links are below /run; one that is there already is replaced.
_RUNTIME = _FORCE = True

#: How jobs end that leave no trace on their unit, and what that means.
_JOB_TEXTS = {
    "assert": "not started: an Assert of it does not hold",
    "collected": "not started: systemd dropped the job",
    "dependency": "not started: a unit that it requires did not start",
    "invalid": "the job does not apply to it",
    "once": "not started: it was started once, and cannot be again",
    "skipped": "not started: the job does not apply to it now",
    "timeout": "the job took too long (JobTimeoutSec=)",
    "unsupported": "units of its kind cannot run here",
}


class SystemdUnitManager:
    """``UnitManager`` by a service manager: the system's, or with *user* the calling user's own.

    Use it as an asynchronous context manager, or call ``open`` before and ``close`` after.
    ``environment`` is added to what every service finds in its own.

    Units are links below ``/run`` to texts in *directory*: they go with a boot, and are linked
    again by the next ``open``, at rest until the cluster wants them to run.
    """

    def __init__(
        self,
        directory: Path,
        *,
        machine_id: str,
        boot_id: str,
        clock: Clock,
        environment: Mapping[str, str] | None = None,
        user: bool = False,
    ) -> None:
        self._files = UnitFiles(directory)
        self._environment = environment or {}
        self._boot_id = boot_id
        self._clock = clock
        self._bus = ManagerBus(user=user)
        self._states = UnitStates(self._bus, clock, self._on_read)
        self._signals = Signals(
            unit=self._states.on_unit, reloaded=self._states.on_reloaded, lost=self._on_lost
        )
        self._reloads = Reloads(self._bus, clock)
        self._settling = asyncio.Lock()
        #: all that were held so far: of one that is gone the last words may still be read
        self._known: set[str] = set()
        self._journal = JournalReader(machine_id, clock, self._known, user=user)
        self._held: dict[str, HeldUnit] = {}
        self._publisher = Publisher()
        self._tasks: set[asyncio.Task[None]] = set()
        self._cgroups: Path | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Find what was loaded before. Raises OSError; LinkError: there is no service manager."""
        notes = await asyncio.to_thread(self._read_files)
        await self._bus.connect(self._signals)
        for name, note in notes.items():
            # What was asked for in another boot has to be asked for again.
            anew = replace(note, restart="", asked="", invocation="", boot_id=self._boot_id)
            known = note if note.boot_id == self._boot_id else anew
            self._held[name] = HeldUnit(name=name, note=known)
            self._known.add(name)
        if names := [name for name, note in notes.items() if not note.unloading]:
            await self._link(names)
        if notes:
            self._reloads.want()
        await self._settle()
        for held in list(self._held.values()):
            await self._find_out(held)
        self._spawn(self._states.run(), "systemd states")
        self._spawn(self._reloads.run(self._settle), "systemd reloads")

    def _read_files(self) -> dict[str, Note]:
        self._files.make()
        self._cgroups = cgroup.hierarchy_here()
        return self._files.read()

    async def _find_out(self, held: HeldUnit) -> None:
        """See what became of what a predecessor was at when it ended."""
        note = held.note
        if note.asked:
            came = held.invocation != note.invocation
            answered = note.asked if came else note.restart
            await self._note(held, replace(note, restart=answered, asked="", invocation=""))
        if note.unloading:
            async with held.lock:
                # One at rest goes by itself, once it was read.
                if self._held.get(held.name) is held:
                    await self._stop_and_forget(held)

    async def close(self) -> None:
        """Let go. Units run on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._bus.close()

    # ---- the contract: agents/runtime/unit_manager.py ----

    async def load(self, name: str, text: str, *, unit_hash: str) -> None:
        """Install or replace a unit's file; see ``UnitManager.load``.

        Raises ConflictError: the machine has a unit of that name that is not of the cluster.
        """
        unit_name = UnitName.parse(name)
        if unit_name.is_template:
            raise InvalidNameError(f"{name} is a template: only its instances can be loaded")
        file = check(unit_name, text)
        is_service = unit_name.suffix == "service"
        whole = with_environment(file, self._environment) if is_service else text
        raw = whole.encode()
        held = self._held.get(name)
        if held is None:
            await self._refuse_foreign(name)
            held = HeldUnit(name=name, note=Note())
        async with held.lock:
            note = replace(
                held.note,
                hash=unit_hash,
                digest=digest(raw),
                boot_id=self._boot_id,
                unloading=False,
            )
            known = self._held.get(name) is held
            if known and held.note == note:
                return
            await asyncio.to_thread(self._files.write, name, raw, note)
            if not known:
                await self._link([name])
            if "Install" in file.sections():
                await self._bus.manager("EnableUnitFiles", "asbb", [name], _RUNTIME, _FORCE)
            # Only now it is held: what failed on the way is done again when it is asked for again.
            held.note = note
            self._held[name] = held
            self._known.add(name)
            self._reloads.want()
            self._publish(held)

    async def unload(self, name: str) -> None:
        """Stop and forget; see ``UnitManager.unload``."""
        with suppress(NotFoundError):
            async with self._locked(name) as held:
                await self._note(held, replace(held.note, unloading=True))
                await self._stop_and_forget(held)

    async def start(self, name: str, *, restart: str = "") -> None:
        """Start; see ``UnitManager.start``."""
        async with self._locked(name) as held:
            await self._ask(held, "StartUnit", restart)

    async def stop(self, name: str) -> None:
        """Stop; see ``UnitManager.stop``."""
        async with self._locked(name) as held:
            self._follow(held, await self._bus.begin("StopUnit", name, "replace"))

    async def restart(self, name: str, *, restart: str = "") -> None:
        """Stop and start; see ``UnitManager.restart``."""
        async with self._locked(name) as held:
            await self._ask(held, "RestartUnit", restart)

    async def reload(self, name: str) -> None:
        """Run ExecReload=; see ``UnitManager.reload``."""
        async with self._locked(name) as held:
            await self._states.read(held)
            if held.at_rest:
                raise C101Error(f"{name} is not active")
            await self._bus.begin("ReloadUnit", name, "replace")

    async def reset_failed(self, name: str) -> None:
        """Forget a failure; see ``UnitManager.reset_failed``."""
        async with self._locked(name) as held:
            await self._bus.manager("ResetFailedUnit", "s", name)
            held.said = ""
            self._states.mark(held)

    async def units(self, *, processes: bool = False) -> list[LoadedUnit]:
        """Return every unit held, by name; see ``UnitManager.units``.

        While systemd is not reached it is what was known last: units run on.
        """
        with suppress(LinkError):
            await self._states.read_stale()
        held = [self._held[name] for name in sorted(self._held)]
        if not processes:
            return [one.describe() for one in held]
        groups = [one.control_group for one in held]
        found = await asyncio.to_thread(
            lambda: [cgroup.read(self._cgroups, group) for group in groups]
        )
        return [one.describe(group) for one, group in zip(held, found, strict=True)]

    def changes(self) -> Changes:
        """Yield what changes from this call on; ``pids`` are left out, ``units`` has them."""
        return self._publisher.subscribe()

    def journal(
        self, query: JournalQuery
    ) -> AbstractAsyncContextManager[AsyncIterator[JournalBatch]]:
        """Read the journal; see ``UnitManager.journal``."""
        for unit in query.units:
            UnitName.parse(unit)
        return self._journal.read(query)

    # ---- units ----

    @asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[HeldUnit]:
        held = self._held.get(name)
        if held is not None:
            async with held.lock:
                if self._held.get(name) is held:
                    await self._settle()
                    yield held
                    return
        raise NotFoundError(f"{name} is not loaded")

    async def _refuse_foreign(self, name: str) -> None:
        file = await self._foreign(name)
        if file and not await asyncio.to_thread(os.path.lexists, file):
            # Of what was removed systemd has read nothing yet: it goes with a Reload.
            self._reloads.want()
            await self._settle()
            file = await self._foreign(name)
        if file:
            raise ConflictError(
                f"the machine has {name} already: {file}",
                hint="the cluster's unit needs another name",
            )

    async def _foreign(self, name: str) -> str:
        """Return the file of a unit of that name that is not ours, or its state; "": none is."""
        (path,) = await self._bus.manager("LoadUnit", "s", name)
        found = await self._bus.properties(path)
        file = str(found.get("FragmentPath", ""))
        ours = await asyncio.to_thread(self._files.leads_here, Path(file), name)
        state = str(found.get("LoadState", ""))
        if name.endswith(".slice") and not file:
            # A slice of any name is there without a file: it is somebody's once it is active.
            state = str(found.get("ActiveState", ""))
            ours = state == "inactive"
        return "" if ours or state == "not-found" else file or state

    async def _ask(self, held: HeldUnit, member: str, wish: str) -> None:
        """Have systemd start the unit for *wish*, and note that it did.

        Between the two there may be an end of this process: the next one sees by the invocation
        whether the unit was started, and neither forgets a wish nor answers it twice.
        """
        if wish and wish != held.note.restart:
            await self._states.read(held)
            asked = replace(held.note, asked=wish, invocation=held.invocation)
            await self._note(held, asked)
        await self._bus.hold(held.name)
        job = await self._bus.begin(member, held.name, "replace")
        self._follow(held, job)
        done = replace(
            held.note, restart=wish, boot_id=self._boot_id, asked="", invocation="", unloading=False
        )
        await self._note(held, done)

    def _follow(self, held: HeldUnit, job: "asyncio.Future[str]") -> None:
        held.said = ""
        held.jobs += 1
        self._spawn(self._until_ended(held, job), f"job of {held.name}")

    async def _until_ended(self, held: HeldUnit, job: "asyncio.Future[str]") -> None:
        try:
            with suppress(LinkError):
                held.said = _JOB_TEXTS.get(await job, "")
        finally:
            held.jobs -= 1
        self._states.mark(held)

    async def _stop_and_forget(self, held: HeldUnit) -> None:
        """Stop the unit if it runs; what is at rest is forgotten, now or when it has stopped."""
        await self._states.read(held)
        if held.at_rest:
            await self._forget(held)
        else:
            self._follow(held, await self._bus.begin("StopUnit", held.name, "replace"))

    async def _forget(self, held: HeldUnit) -> None:
        # Before its file goes: a failed unit without a file would stay for ever.
        with suppress(ManagerError):
            await self._bus.manager("ResetFailedUnit", "s", held.name)
        with suppress(ManagerError):
            await self._bus.manager("DisableUnitFiles", "asb", [held.name], _RUNTIME)
        await asyncio.to_thread(self._files.remove, held.name)
        await self._states.let_go(held)
        del self._held[held.name]
        self._reloads.want()
        self._publisher.put(held.name, partial(describe_gone, held.name))

    async def _note(self, held: HeldUnit, note: Note) -> None:
        if note != held.note:
            await asyncio.to_thread(self._files.note, held.name, note)
            held.note = note
            self._publish(held)

    def _publish(self, held: HeldUnit) -> None:
        # With a wish noted whose job has not begun, how the run before ended would look like its
        # answer. What becomes of the job is read when it ends.
        queued = held.jobs and held.at_rest
        if self._held.get(held.name) is held and not queued:
            self._publisher.put(held.name, held.describe)

    def _on_read(self, held: HeldUnit) -> None:
        self._publish(held)
        if held.note.unloading and held.at_rest:
            self._spawn(self._forget_at_rest(held), f"forget {held.name}")

    async def _forget_at_rest(self, held: HeldUnit) -> None:
        async with held.lock:
            if held.note.unloading and held.at_rest and self._held.get(held.name) is held:
                await self._forget(held)

    async def _link(self, names: list[str]) -> None:
        paths = [str(self._files.path(name)) for name in names]
        await self._bus.manager("LinkUnitFiles", "asbb", paths, _RUNTIME, _FORCE)

    async def _settle(self) -> None:
        """Have systemd know every unit as it is on disk, and hear of each."""
        async with self._settling:
            await self._reloads.settle()
            for held in list(self._held.values()):
                if not held.path:
                    await self._states.follow(held)

    # ---- the connection ----

    def _on_lost(self) -> None:
        logger.warning("the service manager was lost; it is connected to again")
        self._spawn(self._reconnect(), "systemd reconnect")

    async def _reconnect(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._bus.connect(self._signals)
                self._states.forget_all()
                await self._settle()
            except C101Error as exc:
                logger.debug("not connected yet", extra={"reason": str(exc)})
                await self._clock.sleep(backoff.next())
            else:
                return

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            # A link that was lost is found again, and with it what this one was to do.
            level = logging.WARNING if isinstance(failure, C101Error) else logging.ERROR
            logger.log(level, "task failed", extra={"task": task.get_name()}, exc_info=failure)
