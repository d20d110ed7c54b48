"""Watches: live delivery to those that are up to date, history for those that are not.

A watch is in one of two states. *Synced*: it has seen everything committed; it sits in the group
and gets each revision as it is merged. *Behind*: it starts in the past, or its stream is slow; it
is caught up from the log in small steps, and joins the group when nothing is left. Events are
never dropped: a slow stream costs it latency and the server nothing.

All events of one revision go out in one response, unless the watch asked for fragments.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum

from c101.core.kv.delivery import Delivery, send_events
from c101.core.kv.index import Index
from c101.core.kv.record import varint
from c101.core.kv.replay import Replay
from c101.core.kv.shared_events import Committed
from c101.core.kv.stepper import in_turns
from c101.core.kv.storage import Storage
from c101.core.kv.watcher import Watcher
from c101.core.kv.watcher_group import WatcherGroup

#: Watches of streams that are over are let go of so many at a time.
LEAVING_PER_STEP = 1_000


class CatchUp(Enum):
    """How a step of catching up ended."""

    MORE = "more"
    SYNCED = "synced"
    COMPACTED = "compacted"


class WatchHub:
    """All watches of a store."""

    def __init__(
        self,
        index: Index,
        storage: Storage,
        compact_revision: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._index = index
        self._loop = loop
        self.compact_revision = compact_revision
        self._group = WatcherGroup()
        self._leaving: deque[dict[int, Watcher]] = deque()
        self._replay = Replay(index, storage)
        self._delivery = Delivery(
            loop, self._group, index.revision, self._fall_behind, index.state_before
        )

    @property
    def header(self) -> Callable[[int], bytes]:
        """What encodes the header of a response for a revision."""
        return self._delivery.header

    @header.setter
    def header(self, header: Callable[[int], bytes]) -> None:
        self._delivery.header = header

    @property
    def fragment_bytes_max(self) -> int:
        """A watch that asked for fragments gets responses of at most this size."""
        return self._delivery.fragment_bytes_max

    @fragment_bytes_max.setter
    def fragment_bytes_max(self, bytes_max: int) -> None:
        self._delivery.fragment_bytes_max = bytes_max

    @property
    def watching(self) -> bool:
        """Whether anybody gets live events."""
        return len(self._group) > 0

    def add(self, watcher: Watcher) -> None:
        """Begin to serve *watcher*: live at once, or from history by ``catch_up``."""
        if watcher.next_revision > self._index.revision:
            watcher.synced = True
            self._group.add(watcher)
        else:
            watcher.sink.behind(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Stop serving *watcher*."""
        watcher.synced = False
        self._group.remove(watcher)

    def let_go(self, watchers: dict[int, Watcher]) -> None:
        """Stop serving *watchers*, some in each turn of the loop; the dict is emptied."""
        if watchers:
            self._leaving.append(watchers)
            if len(self._leaving) == 1:
                in_turns(self._loop, self._let_go())

    def _let_go(self) -> Iterator[None]:
        # Of a connection that ends all streams end in one turn: together they have these steps.
        leaving = self._leaving
        while leaving:
            # Not even the first at once: that turn has the streams to end.
            yield
            for _ in range(LEAVING_PER_STEP):
                self.remove(leaving[0].popitem()[1])
                if not leaving[0]:
                    leaving.popleft()
                    if not leaving:
                        break

    def _fall_behind(self, watcher: Watcher) -> None:
        self.remove(watcher)
        watcher.sink.behind(watcher)

    # ---- live ----

    @property
    def delivered_revision(self) -> int:
        """The revision up to which every watch that is up to date has been sent all it wants."""
        return self._delivery.revision

    @property
    def delivering(self) -> bool:
        """Whether something committed is on its way to those who watch."""
        return self._delivery.running

    @property
    def backlogged(self) -> bool:
        """Whether so much waits for delivery that nothing more should be committed."""
        return self._delivery.backlogged

    def deliver(self, revision: int, changes: list[Committed]) -> None:
        """Deliver *changes*, oldest first, of the commit that made *revision* the store's.

        It takes as many turns of the loop as there are watches for it; *changes* is emptied.
        """
        self._delivery.add(revision, changes)

    def when_delivered(self, revision: int, then: Callable[[], None]) -> None:
        """Call *then* once all up to *revision* is delivered and no later commit in part only."""
        self._delivery.when_delivered(revision, then)

    # ---- history ----

    def catch_up(self, watcher: Watcher) -> CatchUp:
        """Take *watcher* one small step on. Its sink should have drained."""
        index = self._index
        if watcher.next_revision < self.compact_revision:
            return CatchUp.COMPACTED
        if watcher.next_revision <= index.revision:
            step = self._replay.step(watcher, self.compact_revision)
            header = self.header(index.revision)
            for pieces in step.responses:
                send_events(watcher, header, pieces, self.fragment_bytes_max)
            watcher.next_revision = step.seen_to + 1
        if watcher.next_revision <= index.revision:
            return CatchUp.MORE
        watcher.synced = True
        self._group.add(watcher)
        return CatchUp.SYNCED


def progress(header: bytes) -> bytes:
    """Return a progress response for a whole stream: watch id -1 and nothing else."""
    return header + b"\x10" + varint(-1)
