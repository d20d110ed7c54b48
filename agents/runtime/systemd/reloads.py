"""Files that were written, or removed, and that systemd has not read."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from c101.agents.runtime.systemd.bus import ManagerBus
from c101.core.clock import Clock
from c101.core.errors import C101Error

logger = logging.getLogger(__name__)

#: Texts that come within this time of one another are read by systemd at one Reload.
QUIET_SECONDS = 0.2


class Reloads:
    """Has systemd read all of them at once: a Reload stops it for a tenth of a second."""

    def __init__(self, bus: ManagerBus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._wanted = False
        self._came = asyncio.Event()

    def want(self) -> None:
        """Note that there is something to read."""
        self._wanted = True
        self._came.set()

    async def settle(self) -> None:
        """Have everything read. Raises C101Error: it was not, and is with the next call."""
        if self._wanted:
            self._wanted = False
            try:
                await self._bus.manager("Reload")
            except C101Error:
                self._wanted = True
                raise

    async def run(self, settle: Callable[[], Awaitable[None]]) -> None:
        """Call *settle* whenever something came, and nothing more for a while, for ever."""
        while True:
            await self._came.wait()
            while self._came.is_set():
                self._came.clear()
                await self._clock.sleep(QUIET_SECONDS)
            try:
                await settle()
            except C101Error as exc:
                logger.warning("systemd did not read its units", extra={"reason": str(exc)})
