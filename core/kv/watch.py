"""Watches: live delivery to those that are up to date, history for those that are not.

A watch is in one of two states. *Synced*: it has seen everything committed; it sits in the group
and gets each revision as it is merged. *Behind*: it starts in the past, or its stream is slow; it
is caught up from the log in small steps, and joins the group when nothing is left. Events are
never dropped: a slow stream costs it latency and the server nothing.

All events of one revision go out in one response, unless the watch asked for fragments.
"""

from collections.abc import Callable
from enum import Enum

from c101.core.kv.index import Index
from c101.core.kv.record import Change, State, state_of, varint
from c101.core.kv.revision import SHIFT, bound, revision_of
from c101.core.kv.storage import IDS_PER_STATEMENT, LogRow, Storage
from c101.core.kv.watcher import Watcher, encode_event, is_create
from c101.core.kv.watcher_group import WatcherGroup

#: A stream with this much unsent is slow: its watches fall behind and are caught up when it drains.
PENDING_BYTES_MAX = 1 << 20
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

    def notify(self, changes: list[tuple[Change, State | None]]) -> None:
        """Deliver committed changes, each with the state it replaced, oldest first."""
        start = 0
        total = len(changes)
        while start < total:
            revision = changes[start][0][2] >> SHIFT
            end = start + 1
            while end < total and changes[end][0][2] >> SHIFT == revision:
                end += 1
            if end == start + 1:
                self._notify_one(revision, *changes[start])
            else:
                self._notify_many(revision, changes[start:end])
            start = end

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

    def _notify_many(self, revision: int, changes: list[tuple[Change, State | None]]) -> None:
        wanted: dict[Watcher, list[bytes]] = {}
        for change, previous in changes:
            for watcher in self._group.of(change[0]):
                if revision < watcher.next_revision or not watcher.wants(change):
                    continue
                event = encode_event(change, previous if watcher.prev_kv else None)
                wanted.setdefault(watcher, []).append(event)
        slow: list[Watcher] = []
        for watcher, events in wanted.items():
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

    def _send(self, watcher: Watcher, revision: int, events: list[bytes]) -> None:
        watcher.notified = True
        head = self.header(revision) + watcher.id_field
        if watcher.fragment and sum(map(len, events)) + len(head) > FRAGMENT_BYTES_MAX:
            pieces = _fragments(events, FRAGMENT_BYTES_MAX - len(head) - len(_FRAGMENT))
            for piece in pieces[:-1]:
                watcher.sink.send(head + _FRAGMENT + piece)
            watcher.sink.send(head + pieces[-1])
        else:
            watcher.sink.send(head + b"".join(events))

    # ---- history ----

    def catch_up(self, watcher: Watcher) -> CatchUp:
        """Take *watcher* one small step on: look at ROWS_PER_STEP rows and send what it wants.

        Its sink should have drained. A step ends between revisions, so nothing is sent twice.
        """
        index = self._index
        if watcher.next_revision < self.compact_revision:
            return CatchUp.COMPACTED
        if watcher.next_revision <= index.revision:
            rows, seen_to = self._history(watcher)
            self._send_history(watcher, rows)
            watcher.next_revision = seen_to + 1
        if watcher.next_revision <= index.revision:
            return CatchUp.MORE
        watcher.synced = True
        self._group.add(watcher)
        return CatchUp.SYNCED

    def _history(self, watcher: Watcher) -> tuple[list[LogRow], int]:
        """Return the next rows of the log for *watcher*, and the revision they reach to."""
        current = self._index.revision
        start, limit = watcher.next_revision << SHIFT, bound(current)
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
        rows_max = ROWS_PER_STEP
        while True:
            rows = self._storage.scan(start, limit, rows_max)
            if len(rows) < rows_max:
                return rows, current
            seen_to = revision_of(rows[-1][0]) - 1
            if seen_to >= watcher.next_revision:
                return [row for row in rows if revision_of(row[0]) <= seen_to], seen_to
            # One revision alone fills the step; it must go out whole.
            rows_max *= 4

    def _send_history(self, watcher: Watcher, rows: list[LogRow]) -> None:
        events: list[bytes] = []
        size = revisions = last = 0
        for change_id, key, record in rows:
            state = None if record is None else state_of(change_id, record)
            change = (key, state, change_id)
            if not watcher.wants(change):
                continue
            revision = revision_of(change_id)
            if revision != last:
                if revisions >= REVISIONS_PER_RESPONSE_MAX or size > RESPONSE_BYTES_SOFT_MAX:
                    self._send(watcher, self._index.revision, events)
                    events, size, revisions = [], 0, 0
                revisions += 1
                last = revision
            events.append(encode_event(change, self._previous(watcher, change)))
            size += len(events[-1])
        if events:
            self._send(watcher, self._index.revision, events)

    def _previous(self, watcher: Watcher, change: Change) -> State | None:
        key, state, change_id = change
        if not watcher.prev_kv or is_create(state):
            return None
        before = revision_of(change_id) - 1
        if before < self.compact_revision:
            return None
        return self._index.state_before(key, bound(before))


def _fragments(events: list[bytes], bytes_max: int) -> list[bytes]:
    """Join *events* into pieces of at most *bytes_max*, but for a single event that is larger."""
    pieces: list[list[bytes]] = [[]]
    size = 0
    for event in events:
        if pieces[-1] and size + len(event) > bytes_max:
            pieces.append([])
            size = 0
        pieces[-1].append(event)
        size += len(event)
    return [b"".join(piece) for piece in pieces]


def progress(header: bytes) -> bytes:
    """Return a progress response for a whole stream: watch id -1 and nothing else."""
    return header + b"\x10" + varint(-1)
