"""Watches: live delivery to those that are up to date, history for those that are not.

A watch is in one of two states. *Synced*: it has seen everything committed; it sits in the group
and gets each revision as it is merged. *Behind*: it starts in the past, or its stream is slow; it
is caught up from the log in small steps, and joins the group when nothing is left. Events are
never dropped: a slow stream costs it latency and the server nothing.

All events of one revision go out in one response, unless the watch asked for fragments.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from enum import Enum

from c101.core.kv.index import Index
from c101.core.kv.pieces import PIECE_BYTES, Pieces
from c101.core.kv.record import CHANGE, Change, State, state_of, varint
from c101.core.kv.revision import SHIFT, bound, revision_of
from c101.core.kv.storage import IDS_PER_STATEMENT, LogRow, Storage
from c101.core.kv.watcher import Watcher, encode_event, is_create
from c101.core.kv.watcher_group import WatcherGroup

#: A stream with this much unsent is slow: its watches fall behind and are caught up when it drains.
PENDING_BYTES_MAX = 1 << 20
#: Changes looked at, and events made of them, before others get a turn.
EVENTS_PER_STEP = 500
#: Rows of the log looked at in one step of catching up.
ROWS_PER_STEP = 500
#: Revisions in one response of catching up, as in etcd.
REVISIONS_PER_RESPONSE_MAX = 1_000
#: A catch-up response is sent when it has this many bytes, at the next change of revision.
RESPONSE_BYTES_SOFT_MAX = 1 << 20
#: A watch that asked for fragments gets responses of at most this size (1.5 MiB + 512 KiB).
FRAGMENT_BYTES_MAX = 2 << 20

_FRAGMENT = b"\x38\x01"  # field 7 of WatchResponse


class CatchUp(Enum):
    """How a step of catching up ended."""

    MORE = "more"
    SYNCED = "synced"
    COMPACTED = "compacted"


class WatchHub:
    """All watches of a store. *header* encodes the header of a response for a revision."""

    def __init__(self, index: Index, storage: Storage, compact_revision: int) -> None:
        self._index = index
        self._storage = storage
        self.compact_revision = compact_revision
        self._group = WatcherGroup()
        self.header: Callable[[int], bytes] = lambda _revision: b""

    @property
    def watching(self) -> bool:
        """Whether anybody gets live events."""
        return len(self._group) > 0

    @property
    def synced_count(self) -> int:
        """How many watches are up to date."""
        return len(self._group)

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

    # ---- live ----

    def deliver(self, changes: list[tuple[Change, State | None]]) -> Iterator[None]:
        """Deliver committed changes, each with the state it replaced, oldest first.

        Yields where others may have a turn. Who begins to watch meanwhile asks for later revisions,
        or is caught up from the log.
        """
        start = work = 0
        total = len(changes)
        while start < total and self.watching:
            revision = changes[start][0][2] >> SHIFT
            end = start + 1
            if end < total and changes[end][0][2] >> SHIFT == revision:
                end = bisect_left(changes, bound(revision), end, key=lambda one: one[0][2])
                yield from self._notify_many(revision, changes, range(start, end))
            else:
                self._notify_one(revision, *changes[start])
                work += 1
            start = end
            if work >= EVENTS_PER_STEP:
                yield
                work = 0

    def _notify_one(self, revision: int, change: Change, previous: State | None) -> None:
        plain = full = header = b""
        slow: list[Watcher] = []
        deleted = change[1] is None
        for watcher in self._group.of(change[0]):
            if revision < watcher.next_revision:
                continue
            if watcher.no_delete if deleted else watcher.no_put:
                continue
            if not header:
                header = self.header(revision)
                plain = encode_event(change, None)
            if watcher.sink.pending_bytes > PENDING_BYTES_MAX:
                watcher.next_revision = revision
                slow.append(watcher)
                continue
            body = plain
            if watcher.prev_kv and previous is not None:
                body = full = full or encode_event(change, previous)
            watcher.next_revision = revision + 1
            watcher.notified = True
            watcher.sink.send(header + watcher.id_field + body)
        self._fall_behind(slow)

    def _notify_many(
        self, revision: int, changes: list[tuple[Change, State | None]], which: range
    ) -> Iterator[None]:
        wanted: dict[Watcher, Pieces] = {}
        work = 0
        for position in which:
            change, previous = changes[position]
            if previous is not None and previous[CHANGE] >> SHIFT == revision:
                # Changed twice, by transactions in a transaction: prev_kv is from before both.
                previous = self._index.state_before(change[0], bound(revision - 1))
            work += 1
            for watcher in self._group.of(change[0]):
                if revision < watcher.next_revision or not watcher.wants(change):
                    continue
                if watcher not in wanted:
                    wanted[watcher] = Pieces()
                wanted[watcher].add(encode_event(change, previous if watcher.prev_kv else None))
                work += 1
            if work >= EVENTS_PER_STEP:
                yield
                work = 0
        slow: list[Watcher] = []
        for watcher, events in wanted.items():
            if not watcher.synced:
                # It was cancelled meanwhile.
                continue
            if watcher.sink.pending_bytes > PENDING_BYTES_MAX:
                watcher.next_revision = revision
                slow.append(watcher)
            else:
                watcher.next_revision = revision + 1
                self._send(watcher, revision, events)
        self._fall_behind(slow)

    def _fall_behind(self, slow: list[Watcher]) -> None:
        for watcher in slow:
            self.remove(watcher)
            watcher.sink.behind(watcher)

    def _send(self, watcher: Watcher, revision: int, events: Pieces) -> None:
        watcher.notified = True
        head = self.header(revision) + watcher.id_field
        size = events.size
        pieces = events.take()
        if watcher.fragment and size + len(head) > FRAGMENT_BYTES_MAX:
            fragments = _fragments(pieces, FRAGMENT_BYTES_MAX - len(head) - len(_FRAGMENT))
            for fragment in fragments[:-1]:
                watcher.sink.send_parts([head + _FRAGMENT, *fragment])
            watcher.sink.send_parts([head, *fragments[-1]])
        elif size > PIECE_BYTES:
            watcher.sink.send_parts([head, *pieces])
        else:
            watcher.sink.send(head + b"".join(pieces))

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
                    self._send(watcher, self._index.revision, events)
                    revisions = 0
                revisions += 1
                last = revision
            events.add(encode_event(change, self._previous(watcher, change)))
        if events.size and last <= seen_to:
            self._send(watcher, self._index.revision, events)

    def _previous(self, watcher: Watcher, change: Change) -> State | None:
        key, state, change_id = change
        if not watcher.prev_kv or is_create(state):
            return None
        before = revision_of(change_id) - 1
        if before < self.compact_revision:
            return None
        return self._index.state_before(key, bound(before))


def _fragments(pieces: list[bytes], bytes_max: int) -> list[list[bytes]]:
    """Part *pieces* into lists of at most *bytes_max*, but for a single event that is larger."""
    fragments: list[list[bytes]] = [[]]
    size = 0
    for piece in pieces:
        if fragments[-1] and size + len(piece) > bytes_max:
            fragments.append([])
            size = 0
        fragments[-1].append(piece)
        size += len(piece)
    return fragments


def progress(header: bytes) -> bytes:
    """Return a progress response for a whole stream: watch id -1 and nothing else."""
    return header + b"\x10" + varint(-1)
