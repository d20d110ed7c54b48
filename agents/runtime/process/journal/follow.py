"""The journal as an agent reads it: chunks, and more of them as soon as a keeper says so."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from c101.agents.runtime.process.journal.merged import MergedJournal
from c101.core.model.host import JournalBatch

#: Asks every keeper to call once, as soon as there is an entry after this number.
Arm = Callable[[int], None]

Answer = TypeVar("Answer")


class Followers:
    """Everybody who waits for new entries. Keepers call, nothing is polled."""

    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._events: set[asyncio.Event] = set()

    def wake(self) -> None:
        """There are new entries, or a keeper that has not been asked yet."""
        for event in self._events:
            event.set()

    @asynccontextmanager
    async def read(
        self, make: Callable[[], MergedJournal], *, follow: bool
    ) -> AsyncIterator[AsyncIterator[JournalBatch]]:
        """Give the chunks of one reading; leaving the block ends it."""
        journal = await asyncio.to_thread(make)
        event = asyncio.Event()
        self._events.add(event)
        chunks = self._chunks(journal, event, follow=follow)
        try:
            yield chunks
        finally:
            await chunks.aclose()
            self._events.discard(event)
            journal.close()

    async def _chunks(
        self, journal: MergedJournal, event: asyncio.Event, *, follow: bool
    ) -> AsyncGenerator[JournalBatch, None]:
        while entries := await _in_thread(journal.chunk):
            yield JournalBatch(entries=entries, gap=journal.take_gap())
        yield JournalBatch(entries=(), gap=journal.take_gap(), caught_up=True)
        while follow:
            event.clear()
            # Asked before looking: what is written in between is seen by one or the other.
            self._arm(journal.published() - 1)
            journal.advance()
            while entries := await _in_thread(journal.chunk):
                yield JournalBatch(entries=entries, gap=journal.take_gap())
            await event.wait()


async def _in_thread(call: Callable[[], Answer]) -> Answer:
    """Run *call* in a thread and never leave before it has ended: it uses what is closed then."""
    running = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
