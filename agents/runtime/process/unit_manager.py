"""The unit runtime for machines without systemd."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Self

from c101.agents.runtime.changes import Changes, Publisher
from c101.agents.runtime.process.held_unit import HeldUnit, describe_gone
from c101.agents.runtime.process.host_facts import host_facts
from c101.agents.runtime.process.journal.follow import Followers
from c101.agents.runtime.process.journal.merged import MergedJournal, open_journal, prune
from c101.agents.runtime.process.keeper import processes as process_table
from c101.agents.runtime.process.keeper.output import WARNING
from c101.agents.runtime.process.keeper.spec import Spec, SpecError
from c101.agents.runtime.process.keeper.status import Status
from c101.agents.runtime.process.keeper_link import KeeperLink, LinkEvents, OrderRefusedError
from c101.agents.runtime.process.launch import connect_keeper, launch_keeper, warm_up
from c101.agents.runtime.process.power import kill_unit
from c101.agents.runtime.process.service_file import compile_service, default_environment
from c101.agents.runtime.process.unit_directory import UnitDirectory
from c101.agents.runtime.unit_manager import JournalQuery, LoadedUnit
from c101.core.clock import Clock
from c101.core.errors import C101Error, InvalidNameError, LinkLostError, NotFoundError
from c101.core.model.host import JournalBatch
from c101.core.units.name import UnitName

logger = logging.getLogger(__name__)

#: A keeper that ends as an order reaches it is replaced, and the order given again, this often.
ORDER_ATTEMPTS_MAX = 3
#: Keepers of one unit lost before they said a word; then it is left alone until the next order.
LOSSES_MAX = 3
#: Keepers connected at once while adopting.
CONNECTIONS_MAX = 32


class ProcessUnitManager:
    """``UnitManager`` by keepers. Everything lies below one directory of mode 0700.

    Use it as an asynchronous context manager, or call ``open`` before and ``close`` after.
    ``environment`` is added to what every unit finds in its own. ``lifeline`` is the path of a unix
    stream socket: at its end every keeper kills its unit and ends.

    After a keeper was lost while no agent was there, or after a reboot, its unit is inactive with
    the result ``keeper-lost`` and no ``restart`` id: whether it runs again is for who asked for
    it to say, since it may have been placed elsewhere meanwhile. A keeper that is lost before our
    eyes counts as a failure of its unit, and Restart= decides.
    """

    def __init__(
        self,
        directory: Path,
        *,
        machine_id: str,
        clock: Clock,
        lifeline: str | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._units_root = directory / "units"
        self._journal_root = directory / "journal"
        self._machine_id = machine_id
        self._clock = clock
        self._lifeline = lifeline or ""
        self._environment = default_environment() | dict(environment or {})
        self._host = host_facts(machine_id)
        self._held: dict[str, HeldUnit] = {}
        self._publisher = Publisher()
        self._followers = Followers(self._arm)
        self._journal_id = ""
        self._recoveries: set[asyncio.Task[None]] = set()
        self._closing = False

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Find what was loaded before, and connect to the keepers that live. Raises OSError."""
        await asyncio.to_thread(self._make_directories)
        names = sorted(os.listdir(self._units_root))  # noqa: PTH208 - names are all that is needed
        slots = asyncio.Semaphore(CONNECTIONS_MAX)

        async def adopt(name: str) -> None:
            async with slots:
                await self._adopt(name)

        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(adopt(name), name=f"adopt {name}")

    async def close(self) -> None:
        """Let go of every keeper. Units run on."""
        self._closing = True
        for task in list(self._recoveries):
            task.cancel()
        await asyncio.gather(*self._recoveries, return_exceptions=True)
        for held in self._held.values():
            if held.link is not None:
                held.link.close()

    # The contract: agents/runtime/unit_manager.py.

    async def load(self, name: str, text: str, *, unit_hash: str) -> None:
        """Install or replace a unit's file; see ``UnitManager.load``."""
        unit_name = UnitName.parse(name)
        if unit_name.is_template:
            raise InvalidNameError(f"{name} is a template: only its instances can be loaded")
        spec = compile_service(
            text,
            unit_name,
            self._host,
            unit_hash=unit_hash,
            environment=self._environment,
            passed=os.environ,
        )
        held = self._held.get(name) or self._new(name, spec)
        async with held.lock:
            # An unload may be under way that has not been heard of yet.
            await self._order_if_there(held, "keep")
            if self._held.get(name) is held and held.spec.dump() == spec.dump():
                return
            await asyncio.to_thread(held.directory.install, text, spec.dump())
            held.spec = spec
            self._held[name] = held
            self._publish(held)
            for note in spec.notes:
                await self._order(held, "note", f"{WARNING} {note}")

    async def unload(self, name: str) -> None:
        """Stop and forget; see ``UnitManager.unload``."""
        held = self._held.get(name)
        if held is None:
            return
        async with held.lock:
            if held.link is not None and await self._order_if_there(held, "unload"):
                return
            if held.status.at_rest or held.link is None:
                await self._forget(held)

    async def start(self, name: str, *, restart: str = "") -> None:
        """Start; see ``UnitManager.start``."""
        async with self._locked(name) as held:
            await self._order(held, "start", restart)

    async def stop(self, name: str) -> None:
        """Stop; see ``UnitManager.stop``."""
        async with self._locked(name) as held:
            await self._order_if_there(held, "stop")

    async def restart(self, name: str, *, restart: str = "") -> None:
        """Stop and start; see ``UnitManager.restart``."""
        async with self._locked(name) as held:
            await self._order(held, "restart", restart)

    async def reload(self, name: str) -> None:
        """Run ExecReload=; see ``UnitManager.reload``."""
        async with self._locked(name) as held:
            try:
                taken = await self._order_if_there(held, "reload")
            except OrderRefusedError as exc:
                raise C101Error(str(exc)) from exc
            if not taken:
                raise C101Error(f"{name} is not active")

    async def reset_failed(self, name: str) -> None:
        """Forget a failure; see ``UnitManager.reset_failed``."""
        async with self._locked(name) as held:
            if held.link is not None or held.status.state == "failed" or held.status.limit_count:
                await self._order(held, "reset")

    async def units(self, *, processes: bool = False) -> list[LoadedUnit]:
        """Return every unit held, by name; see ``UnitManager.units``."""
        if not processes:
            return [held.describe() for _, held in sorted(self._held.items())]

        def describe() -> list[LoadedUnit]:
            table = process_table.table()
            return [held.describe(table) for _, held in sorted(self._held.items())]

        return await asyncio.to_thread(describe)

    def changes(self) -> Changes:
        """Yield what changes from this call on; ``pids`` are left out, ``units`` has them."""
        return self._publisher.subscribe()

    def journal(
        self, query: JournalQuery
    ) -> AbstractAsyncContextManager[AsyncIterator[JournalBatch]]:
        """Read the journal; see ``UnitManager.journal``."""
        for unit in query.units:
            UnitName.parse(unit)
        make = partial(MergedJournal, self._journal_root, self._journal_id, self._machine_id, query)
        return self._followers.read(make, follow=query.follow)

    # Units.

    def _make_directories(self) -> None:
        warm_up()
        self._units_root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._units_root.parent.chmod(0o700)
        self._journal_id = open_journal(self._journal_root)

    @asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[HeldUnit]:
        held = self._held.get(name)
        if held is not None:
            async with held.lock:
                if self._held.get(name) is held:
                    yield held
                    return
        raise NotFoundError(f"{name} is not loaded")

    def _new(self, name: str, spec: Spec) -> HeldUnit:
        directory = UnitDirectory(self._units_root, name)
        return HeldUnit(name=name, directory=directory, spec=spec, status=Status())

    async def _adopt(self, name: str) -> None:
        directory = UnitDirectory(self._units_root, name)
        try:
            spec = directory.read_spec()
        except SpecError:
            logger.warning("damaged unit dropped: it has to be loaded again", extra={"unit": name})
            spec = None
        alive = directory.has_keeper()
        if spec is None and not alive:
            directory.remove()
            return
        held = self._new(name, spec or Spec())
        held.status = directory.read_status()
        self._held[name] = held
        if alive and await self._connect(held):
            return
        held.lost_at = self._clock.time()
        if held.status.boot != self._host.boot_id:
            held.status = Status()
            await asyncio.to_thread(directory.write_status, held.status)
        elif not held.status.at_rest:
            await asyncio.to_thread(kill_unit, self._machine_id, name)
        if held.status.unloading:
            await self._forget(held)

    async def _forget(self, held: HeldUnit) -> None:
        await asyncio.to_thread(held.directory.remove)
        self._drop(held)

    def _drop(self, held: HeldUnit) -> None:
        """Forget a unit whose directory is gone."""
        if self._held.get(held.name) is held:
            del self._held[held.name]
            held.status = Status()
            self._publisher.put(held.name, partial(describe_gone, held.name))
            prune(self._journal_root, keep=self._held)

    def _publish(self, held: HeldUnit) -> None:
        if self._held.get(held.name) is held:
            self._publisher.put(held.name, held.describe)

    # Keepers.

    async def _order(self, held: HeldUnit, verb: str, argument: str = "") -> None:
        """Have the order taken, by a keeper that is started when there is none."""
        held.losses = 0
        for _ in range(ORDER_ATTEMPTS_MAX):
            if held.link is None:
                await self._summon(held, restart=False)
            if await self._order_if_there(held, verb, argument):
                return
        raise LinkLostError(
            f"the keeper of {held.name} ends as soon as it is started",
            hint=f"see {held.directory.path}/keeper.err",
        )

    async def _order_if_there(self, held: HeldUnit, verb: str, argument: str = "") -> bool:
        """Give the order to the keeper that is there; False when there is none, or no more."""
        link = held.link
        if link is None:
            return False
        try:
            await link.order(verb, argument)
        except LinkLostError:
            if held.link is link:
                held.link = None
            return False
        return True

    async def _summon(self, held: HeldUnit, *, restart: bool) -> None:
        """Start a keeper if none lives, and connect to it."""
        try:
            await asyncio.to_thread(
                launch_keeper,
                held.directory,
                self._journal_root,
                machine_id=self._machine_id,
                lifeline=self._lifeline,
                restart=restart,
            )
        except OSError as exc:
            raise C101Error(f"the keeper of {held.name} could not be started: {exc}") from exc
        await self._connect(held)

    async def _connect(self, held: HeldUnit) -> bool:
        def lost() -> None:
            self._lost(held, link)

        def state(status: Status) -> None:
            held.status = status
            held.losses = 0
            self._publish(held)

        events = LinkEvents(
            state=state, journal=self._followers.wake, gone=lambda: self._drop(held), lost=lost
        )
        link = KeeperLink(held.name, events)
        try:
            connection = connect_keeper(held.directory)
            await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=connection)
        except OSError:
            return False
        held.link = link
        # Whoever follows the journal has to ask this keeper, too.
        self._followers.wake()
        return True

    def _arm(self, after_seq: int) -> None:
        for held in self._held.values():
            if held.link is not None:
                held.link.arm(after_seq)

    def _lost(self, held: HeldUnit, link: KeeperLink) -> None:
        """A connection has ended: the keeper is idle and went, or it was lost."""
        if held.link is link:
            held.link = None
        if self._closing or self._held.get(held.name) is not held:
            return
        task = asyncio.get_running_loop().create_task(
            self._recover(held), name=f"recover {held.name}"
        )
        self._recoveries.add(task)
        task.add_done_callback(self._recoveries.discard)

    async def _recover(self, held: HeldUnit) -> None:
        """Find out what became of the unit, and see to it that it goes on."""
        async with held.lock:
            if held.link is not None or self._held.get(held.name) is not held:
                return
            if held.directory.has_keeper() and await self._connect(held):
                return
            if not held.directory.path.exists():
                self._drop(held)
                return
            held.status = held.directory.read_status()
            held.lost_at = self._clock.time()
            if held.status.at_rest and not held.status.unloading:
                self._publish(held)
                return
            logger.warning("keeper lost", extra={"unit": held.name})
            await asyncio.to_thread(kill_unit, self._machine_id, held.name)
            if held.status.unloading:
                await self._forget(held)
                return
            self._publish(held)
            held.losses += 1
            if held.losses <= LOSSES_MAX:
                await self._summon(held, restart=True)
