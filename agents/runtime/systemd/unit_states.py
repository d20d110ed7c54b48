"""The units' states: never polled, read again where a signal says that they changed."""

import asyncio
import logging
from collections.abc import Callable

from c101.agents.runtime.systemd.bus import ManagerBus, ManagerError
from c101.agents.runtime.systemd.held_unit import HeldUnit
from c101.agents.runtime.systemd.states import kept_of
from c101.core.clock import Clock
from c101.core.errors import C101Error, LinkError

logger = logging.getLogger(__name__)

#: A unit whose properties change is read at once, and then so often at most.
REREAD_SECONDS = 0.05


class UnitStates:
    """Reads the units that it was given. ``changed`` hears of each that was read."""

    def __init__(self, bus: ManagerBus, clock: Clock, changed: Callable[[HeldUnit], None]) -> None:
        self._bus = bus
        self._clock = clock
        self._changed = changed
        self._by_path: dict[str, HeldUnit] = {}
        self._stale: set[HeldUnit] = set()
        self._work = asyncio.Event()

    async def follow(self, held: HeldUnit) -> None:
        """Read *held*, and hear of it from here on. Raises LinkError."""
        held.path = await self._bus.watch(held.name)
        self._by_path[held.path] = held
        await self.read(held)

    async def let_go(self, held: HeldUnit) -> None:
        """Hear of it no more."""
        await self._bus.unwatch(held.name, held.path)
        self._by_path.pop(held.path, None)
        self._stale.discard(held)
        held.path, held.properties = "", {}

    def forget_all(self) -> None:
        """Begin anew: the connection is another. Every unit is to be followed again."""
        for held in self._by_path.values():
            held.path = ""
        self._by_path.clear()
        self._stale.clear()

    def on_unit(self, path: str) -> None:
        """Hear of a signal of the unit at *path*."""
        held = self._by_path.get(path)
        if held is not None:
            self.mark(held)

    def on_reloaded(self) -> None:
        """Hear that systemd has read all files anew."""
        for held in self._by_path.values():
            self.mark(held)

    def mark(self, held: HeldUnit) -> None:
        """Have *held* read again soon."""
        self._stale.add(held)
        self._work.set()

    async def run(self) -> None:
        """Read what is stale, for ever."""
        while True:
            await self._work.wait()
            self._work.clear()
            try:
                await self.read_stale()
            except C101Error as exc:
                logger.warning("states are not read", extra={"reason": str(exc)})
            # Of a start there are a dozen signals.
            await self._clock.sleep(REREAD_SECONDS)

    async def read_stale(self) -> None:
        """Read what is stale now. Raises LinkError; what is left is read when there is a link."""
        while self._stale:
            held = self._stale.pop()
            if not held.path:
                continue
            try:
                await self.read(held)
            except LinkError:
                self._stale.add(held)
                raise
            except ManagerError as exc:
                # It went between its signal and this; another signal tells if it comes again.
                logger.debug("not read", extra={"unit": held.name, "reason": str(exc)})

    async def read(self, held: HeldUnit) -> None:
        """Ask systemd for the unit's properties. Raises LinkError, ManagerError.

        Nothing is read of one that was let go of, nor kept of one that is while it is read.
        """
        path = held.path
        if not path:
            return
        clock = self._clock
        booted_us = int((clock.time() - clock.monotonic()) * 1_000_000)
        properties = kept_of(await self._bus.properties(path), booted_us)
        if held.path == path:
            held.properties = properties
            self._changed(held)
