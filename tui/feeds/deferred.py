"""A cluster made, and its code loaded, only when it is opened: after the first paint."""

from collections.abc import AsyncGenerator, Awaitable, Callable

from c101.core.errors import LinkError
from c101.core.model.host import JournalBatch, MachineUsage
from c101.tui.feeds.access import ClusterAccess, ClusterUpdate, ClusterVerbs, KeysUpdate, Say

Make = Callable[[Say], Awaitable[ClusterAccess]]
End = Callable[[], Awaitable[None]]


class DeferredAccess:
    """Hands everything on to the access that *make* returns.

    *end* ends the cluster with the console, also where it was made only in part.
    """

    def __init__(
        self, make: Make, *, name: str, application: str = "", end: End | None = None
    ) -> None:
        self._make = make
        self._name = name
        self._application = application
        self._end = end
        self._made: ClusterAccess | None = None

    @property
    def name(self) -> str:
        """What the cluster is called."""
        return self._made.name if self._made is not None else self._name

    @property
    def application(self) -> str:
        """What the demo runs on it."""
        return self._application

    @property
    def address(self) -> str:
        """Where that answers."""
        return self._made.address if self._made is not None else ""

    @property
    def can_power(self) -> bool:
        """Whether its machines are on this computer."""
        return self._made is not None and self._made.can_power

    @property
    def ends_at_quit(self) -> bool:
        """Whether it ends when the console does."""
        return self._end is not None

    @property
    def verbs(self) -> ClusterVerbs:
        """What can be done to it."""
        return self._opened.verbs

    @property
    def _opened(self) -> ClusterAccess:
        if self._made is None:
            raise LinkError(f"{self._name} is not open yet")
        return self._made

    async def open(self, say: Say) -> None:
        """Make it, and open it."""
        self._made = await self._make(say)
        await self._made.open(say)

    async def close(self) -> None:
        """Let go of it, as far as it was made; *end* it where that was given."""
        if self._made is not None:
            await self._made.close()
        if self._end is not None:
            await self._end()

    def cluster(self) -> AsyncGenerator[ClusterUpdate, None]:
        """Yield the cluster's state."""
        return self._opened.cluster()

    def keys(self) -> AsyncGenerator[KeysUpdate, None]:
        """Yield every key, then every change."""
        return self._opened.keys()

    def usage(self, machine_id: str) -> AsyncGenerator[MachineUsage, None]:
        """Yield how one machine fares."""
        return self._opened.usage(machine_id)

    def journal(self, machine_id: str, after_cursor: str) -> AsyncGenerator[JournalBatch, None]:
        """Yield one machine's lines."""
        return self._opened.journal(machine_id, after_cursor)

    def reaches(self, machine_id: str) -> bool:
        """Say whether an SSH address of the machine is known."""
        return self._opened.reaches(machine_id)

    def round_trip(self, machine_id: str = "") -> float | None:
        """Return the last known round trip."""
        return self._made.round_trip(machine_id) if self._made is not None else None
