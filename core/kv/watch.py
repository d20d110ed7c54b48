"""Watches: live delivery to those that are up to date, history for those that are not.

A watch is in one of two states. *Synced*: it has seen everything committed; it sits in the group
and gets each revision as it is merged. *Behind*: it starts in the past, or its stream is slow; it
is caught up from the log in small steps, and joins the group when nothing is left. Events are
never dropped: a slow stream costs it latency and the server nothing.

All events of one revision go out in one response, unless the watch asked for fragments.
"""

import asyncio
from collections.abc import Callable, Iterator
from enum import Enum

from c101.core.kv.delivery import Committed, Delivery, send_events
from c101.core.kv.index import Index
from c101.core.kv.pieces import Pieces
from c101.core.kv.record import Change, State, state_of, varint
from c101.core.kv.revision import SHIFT, bound, revision_of
from c101.core.kv.stepper import in_turns
from c101.core.kv.storage import IDS_PER_STATEMENT, LogRow, Storage
from c101.core.kv.watcher import Watcher, encode_event, is_create
from c101.core.kv.watcher_group import WatcherGroup

#: Watches of a stream that is over are let go of so many at a time.
LEAVING_PER_STEP = 2_000
#: Rows of the log looked at in one step of catching up.
ROWS_PER_STEP = 500
#: Revisions in one response of catching up, as in etcd.
REVISIONS_PER_RESPONSE_MAX = 1_000
#: A catch-up response is sent when it has this many bytes, at the next change of revision.
RESPONSE_BYTES_SOFT_MAX = 1 << 20


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
        self._storage = storage
        self._loop = loop
        self.compact_revision = compact_revision
        self._group = WatcherGroup()
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
        in_turns(self._loop, self._let_go(watchers))

    def _let_go(self, watchers: dict[int, Watcher]) -> Iterator[None]:
        while watchers:
            for _ in range(min(len(watchers), LEAVING_PER_STEP)):
                self.remove(watchers.popitem()[1])
            if watchers:
                yield

    def _fall_behind(self, watcher: Watcher) -> None:
        self.remove(watcher)
        watcher.sink.behind(watcher)

    # ---- live ----

    @property
    def delivered_revision(self) -> int:
        """The revision up to which every watch that is up to date has been sent all it wants."""
        return self._delivery.revision

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
        """Take *watcher* one small step on: look at ROWS_PER_STEP rows and send what it wants.

        Its sink should have drained. What a step has of a revision that goes on is held back until
        the rest is there, so a revision is sent whole, and once.
        """
        index = self._index
        if watcher.next_revision < self.compact_revision:
            return CatchUp.COMPACTED
        if watcher.next_revision <= index.revision:
            rows, seen_to = self._history(watcher)
            self._send_history(watcher, rows, seen_to)
            watcher.next_revision = seen_to + 1
        if watcher.next_revision <= index.revision:
            return CatchUp.MORE
        watcher.synced = True
        self._group.add(watcher)
        return CatchUp.SYNCED

    def _history(self, watcher: Watcher) -> tuple[list[LogRow], int]:
        """Return the next rows of the log for *watcher*, and the revision they reach to."""
        current = self._index.revision
        start, limit = max(watcher.next_revision << SHIFT, watcher.resume_at), bound(current)
        low, high = watcher.span
        if high == low + b"\0":
            changes = self._index.changes_of(low, start, limit)
            if len(changes) <= IDS_PER_STATEMENT:
                return (self._storage.fetch_rows(changes) if changes else []), current
            changes = changes[:IDS_PER_STATEMENT]
            # A key changes once in a revision, but for a deletion in a nested transaction.
            seen_to = revision_of(changes[-1]) - 1
            changes = [change for change in changes if revision_of(change) <= seen_to]
            return self._storage.fetch_rows(changes), seen_to
        rows = self._storage.scan(start, limit, ROWS_PER_STEP)
        if len(rows) < ROWS_PER_STEP:
            return rows, current
        watcher.resume_at = rows[-1][0] + 1
        return rows, revision_of(rows[-1][0]) - 1

    def _send_history(self, watcher: Watcher, rows: list[LogRow], seen_to: int) -> None:
        events = watcher.held
        revisions = last = 0
        if events.size:
            last, revisions = watcher.next_revision, 1
        for change_id, key, record in rows:
            state = None if record is None else state_of(change_id, record)
            change = (key, state, change_id)
            if not watcher.wants(change):
                continue
            revision = revision_of(change_id)
            if revision != last:
                if (
                    revision > seen_to
                    or revisions >= REVISIONS_PER_RESPONSE_MAX
                    or events.size > RESPONSE_BYTES_SOFT_MAX
                ) and events.size:
                    self._send(watcher, events)
                    revisions = 0
                revisions += 1
                last = revision
            events.add(encode_event(change, self._previous(watcher, change)))
        if events.size and last <= seen_to:
            self._send(watcher, events)

    def _send(self, watcher: Watcher, events: Pieces) -> None:
        send_events(watcher, self.header(self._index.revision), events, self.fragment_bytes_max)

    def _previous(self, watcher: Watcher, change: Change) -> State | None:
        key, state, change_id = change
        if not watcher.prev_kv or is_create(state):
            return None
        before = revision_of(change_id) - 1
        if before < self.compact_revision:
            return None
        return self._index.state_before(key, bound(before))


def progress(header: bytes) -> bytes:
    """Return a progress response for a whole stream: watch id -1 and nothing else."""
    return header + b"\x10" + varint(-1)
