"""A machine for tests: a unit runtime, the states it told of, and what its journal holds."""

import asyncio
import hashlib
from collections.abc import Callable

from c101.agents.runtime.unit_manager import JournalQuery, LoadedUnit, UnitManager
from c101.core.model.journal import JournalEntry

#: How long a test waits for what should happen at once; only failing tests wait so long.
PATIENCE_SECONDS = 15.0


class Machine:
    """What a test does with a ``UnitManager``."""

    def __init__(self, units: UnitManager) -> None:
        self.units = units
        self.states: dict[str, LoadedUnit] = {}
        self.history: list[tuple[str, str, str]] = []
        self._changed = asyncio.Condition()
        self._watcher = asyncio.create_task(self._watch(), name="machine")

    async def close(self) -> None:
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)

    async def _watch(self) -> None:
        async for unit in self.units.changes():
            async with self._changed:
                self.states[unit.name] = unit
                self.history.append((unit.name, unit.active, unit.sub))
                self._changed.notify_all()

    async def load(self, name: str, service: str, *, unit: str = "") -> None:
        """Load a unit with the given lines of [Service] and [Unit]."""
        text = f"[Unit]\n{unit}\n[Service]\n{service}\n"
        await self.units.load(name, text, unit_hash=hashlib.sha1(text.encode()).hexdigest())

    async def run(self, name: str, service: str, *, unit: str = "") -> None:
        await self.load(name, service, unit=unit)
        await self.units.start(name)

    async def until(self, name: str, wanted: Callable[[LoadedUnit], bool]) -> LoadedUnit:
        async def wait() -> LoadedUnit:
            async with self._changed:
                while name not in self.states or not wanted(self.states[name]):
                    await self._changed.wait()
                return self.states[name]

        try:
            return await asyncio.wait_for(wait(), PATIENCE_SECONDS)
        except TimeoutError:
            lines = [entry.message for entry in await self.entries(name)]
            raise AssertionError(f"{self.states.get(name)}\n{lines}") from None

    async def until_state(self, name: str, active: str, sub: str) -> LoadedUnit:
        return await self.until(name, lambda unit: (unit.active, unit.sub) == (active, sub))

    async def until_rest(self, name: str) -> LoadedUnit:
        """Wait until the unit is dead or failed after a start that was ordered."""
        return await self.until(
            name, lambda unit: unit.sub in {"dead", "failed"} and unit.since > 0
        )

    async def now(self, name: str) -> LoadedUnit:
        """Return the unit as it is at this moment, with its processes."""
        units = await self.units.units(processes=True)
        return next(unit for unit in units if unit.name == name)

    async def entries(self, *names: str) -> list[JournalEntry]:
        found: list[JournalEntry] = []
        async with self.units.journal(JournalQuery(units=names)) as chunks:
            async for chunk in chunks:
                found += chunk.entries
        return found

    async def printed(self, name: str) -> list[str]:
        """Return what the unit itself printed."""
        entries = await self.entries(name)
        return [entry.message.decode() for entry in entries if entry.identifier != "c101"]

    async def said(self, name: str) -> list[str]:
        """Return what was said of the unit."""
        entries = await self.entries(name)
        return [entry.message.decode() for entry in entries if entry.identifier == "c101"]

    async def until_printed(self, name: str, text: str) -> None:
        """Wait until the unit has printed a line that holds *text*."""

        async def follow() -> None:
            query = JournalQuery(units=(name,), follow=True)
            async with self.units.journal(query) as chunks:
                async for chunk in chunks:
                    for entry in chunk.entries:
                        if text.encode() in entry.message:
                            return

        await asyncio.wait_for(follow(), PATIENCE_SECONDS)
