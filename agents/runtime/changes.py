"""Whoever wants to know of changes gets each unit's latest state, once."""

import asyncio
import weakref
from collections.abc import Callable

from c101.agents.runtime.unit_manager import LoadedUnit


class Changes:
    """An asynchronous iterator over what changed since it was made.

    What waits is bounded by the number of units: a state that was not fetched is replaced by the
    next one.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, Callable[[], LoadedUnit]] = {}
        self._event = asyncio.Event()

    def __aiter__(self) -> "Changes":
        return self

    async def __anext__(self) -> LoadedUnit:
        while not self._waiting:
            self._event.clear()
            await self._event.wait()
        name = next(iter(self._waiting))
        return self._waiting.pop(name)()

    def put(self, name: str, describe: Callable[[], LoadedUnit]) -> None:
        """Note that unit *name* changed; *describe* is asked when it is fetched."""
        self._waiting[name] = describe
        self._event.set()


class Publisher:
    """Hands changes to every iterator that somebody still holds."""

    def __init__(self) -> None:
        self._subscribers: weakref.WeakSet[Changes] = weakref.WeakSet()

    def subscribe(self) -> Changes:
        """Return an iterator over what changes from here on."""
        changes = Changes()
        self._subscribers.add(changes)
        return changes

    def put(self, name: str, describe: Callable[[], LoadedUnit]) -> None:
        """Note that unit *name* changed."""
        for changes in self._subscribers:
            changes.put(name, describe)
