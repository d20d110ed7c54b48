"""The contract of a unit runtime: what an agent may ask of whatever runs its units."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from c101.core.model.host import JournalBatch, TimerRuns, UnitResources


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedUnit:
    """A unit as the runtime holds it, in systemd's words. ``since`` is seconds since 1970.

    ``hash`` is that of the text it was loaded with; ``restart`` the id given with the last
    ``load`` or ``start``.
    """

    name: str
    load: str
    active: str
    sub: str
    hash: str
    since: float
    result: str = "success"
    exit_status: int | None = None
    main_pid: int | None = None
    restarts: int = 0
    restart: str = ""
    description: str = ""
    status_text: str = ""
    ignored: tuple[str, ...] = ()  # directives that are not honoured, "Section.Name"
    pids: tuple[int, ...] = field(default=())
    resources: UnitResources | None = None
    runs: TimerRuns | None = None  # of a timer
    root: str = ""  # the root file system of its own, where it has one


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalQuery:
    """Which entries to read. ``lines`` limits what is read before following; 0 is all of it.

    ``boot`` is a boot's id, or 0 for this one, -1 for the one before it and so on; ``grep`` is
    looked for in messages. Without ``units`` it is those of the cluster, all that this runtime has
    had; with ``everything`` all that the machine's journal has. With ``all_fields`` entries carry
    every field they have.
    """

    units: tuple[str, ...] = ()
    priority_max: int | None = None
    identifier: str = ""
    grep: str = ""
    boot: str = ""
    everything: bool = False
    all_fields: bool = False
    after_cursor: str = ""
    since_us: int = 0
    lines: int = 0
    follow: bool = False


class UnitManager(Protocol):
    """Runs units. Every verb is idempotent; none waits for a unit to become active or to stop.

    A verb returns when the runtime has taken the order and it would survive the agent's death;
    what becomes of it arrives by
    ``changes``. Names are checked by the caller (``c101.core.units``). Units outlive this object:
    a second one on the
    same directories finds what the first one loaded, running and untouched.
    """

    async def load(self, name: str, text: str, *, unit_hash: str) -> None:
        """Install or replace a unit's file.

        A running unit goes on with the old one until it is started anew.
        Raises UnitFileError: the text has a syntax error or lacks what its type needs; nothing
        changed.
        """
        ...

    async def unload(self, name: str) -> None:
        """Stop the unit if it runs and forget it once it has stopped. Unknown names are ignored."""
        ...

    async def start(self, name: str, *, restart: str = "") -> None:
        """Start the unit unless it is active or on its way.

        Raises NotFoundError when it is not loaded.
        """
        ...

    async def stop(self, name: str) -> None:
        """Stop the unit unless it is inactive. Raises NotFoundError when it is not loaded."""
        ...

    async def restart(self, name: str, *, restart: str = "") -> None:
        """Stop and start, with the file last loaded. Raises NotFoundError when it is not loaded."""
        ...

    async def reload(self, name: str) -> None:
        """Run ExecReload=. Raises C101Error when the unit is not active or has none."""
        ...

    async def reset_failed(self, name: str) -> None:
        """Forget a failure and the count of starts. Raises NotFoundError when it is not loaded."""
        ...

    async def units(self, *, processes: bool = False) -> list[LoadedUnit]:
        """Return every unit held, by name.

        With *processes* each has those, and what they use: to find them out takes time.
        """
        ...

    def changes(self) -> AsyncIterator[LoadedUnit]:
        """Yield each unit whenever its state changed, coalesced.

        A unit that was unloaded comes once more, with load ``not-found``.
        """
        ...

    def journal(
        self, query: JournalQuery
    ) -> AbstractAsyncContextManager[AsyncIterator[JournalBatch]]:
        """Read the journal, and follow it if asked to. Memory is bounded by one chunk a reader."""
        ...
