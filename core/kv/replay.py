"""What watches that are behind are sent: the log, in steps of some hundred rows.

Watches fall behind together, of one interval and at one revision, when their readers are slow or
were cut off; so what the last few steps came to is kept for the others that take the same.
"""

from dataclasses import dataclass

from c101.core.kv.index import Index
from c101.core.kv.pieces import Pieces
from c101.core.kv.record import Change, State, state_of
from c101.core.kv.revision import SHIFT, bound, revision_of
from c101.core.kv.storage import IDS_PER_STATEMENT, LogRow, Storage
from c101.core.kv.tree import Interval
from c101.core.kv.watcher import Watcher, encode_event, is_create

#: Rows of the log looked at in one step.
ROWS_PER_STEP = 500
#: Revisions in one response, as in etcd.
REVISIONS_PER_RESPONSE_MAX = 1_000
#: A response is finished when it has this many bytes, at the next change of revision.
RESPONSE_BYTES_SOFT_MAX = 1 << 20
#: Steps that are kept for others, and how large one of them may be.
KEPT_MAX = 8
KEPT_BYTES_MAX = 1 << 20

#: Span, both filters, prev_kv, where it begins, and the compact revision: prev_kv ends there.
_Kind = tuple[Interval, bool, bool, bool, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a watch is sent next, after which it has seen all up to *seen_to*.

    Each of *responses* is pieces of whole events.
    """

    responses: list[list[bytes]]
    seen_to: int


class Replay:
    """Steps through the log of *storage*, whose committed changes *index* has."""

    def __init__(self, index: Index, storage: Storage) -> None:
        self._index = index
        self._storage = storage
        self._kept: dict[_Kind, Step] = {}

    def step(self, watcher: Watcher, compact_revision: int) -> Step:
        """Return the next step of *watcher*, whose next revision is committed.

        What it has of a revision that goes on behind it is held back in the watcher until the rest
        is there, so a revision is sent whole, and once.
        """
        whole = not watcher.resume_at and not watcher.held.size
        kind = (
            watcher.span,
            watcher.no_put,
            watcher.no_delete,
            watcher.prev_kv,
            watcher.next_revision,
            compact_revision,
        )
        step = self._kept.get(kind) if whole else None
        if step is None:
            rows, seen_to = self._rows(watcher)
            responses = self._responses(watcher, rows, seen_to, compact_revision)
            step = Step(responses=responses, seen_to=seen_to)
            if whole and not watcher.resume_at:
                self._keep(kind, step)
        return step

    def _keep(self, kind: _Kind, step: Step) -> None:
        size = sum(len(piece) for pieces in step.responses for piece in pieces)
        if size <= KEPT_BYTES_MAX:
            if len(self._kept) >= KEPT_MAX:
                del self._kept[next(iter(self._kept))]
            self._kept[kind] = step

    def _rows(self, watcher: Watcher) -> tuple[list[LogRow], int]:
        """Return the next rows of the log for *watcher*, and the revision they reach to."""
        current = self._index.revision
        start, limit = max(watcher.next_revision << SHIFT, watcher.resume_at), bound(current)
        watcher.resume_at = 0
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
        last = revision_of(rows[-1][0])
        if last > watcher.next_revision:
            # It may go on behind these: the next step begins with it.
            while rows and revision_of(rows[-1][0]) == last:
                rows.pop()
        else:
            watcher.resume_at = rows[-1][0] + 1
        return rows, last - 1

    def _responses(
        self, watcher: Watcher, rows: list[LogRow], seen_to: int, compact_revision: int
    ) -> list[list[bytes]]:
        responses: list[list[bytes]] = []
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
                if events.size and _full(events, revisions):
                    responses.append(events.take())
                    revisions = 0
                revisions += 1
                last = revision
            previous = self._previous(watcher, change, compact_revision)
            events.add(encode_event(change, previous))
        if events.size and last <= seen_to:
            responses.append(events.take())
        return responses

    def _previous(self, watcher: Watcher, change: Change, compact_revision: int) -> State | None:
        key, state, change_id = change
        if not watcher.prev_kv or is_create(state):
            return None
        before = revision_of(change_id) - 1
        if before < compact_revision:
            return None
        return self._index.state_before(key, bound(before))


def _full(events: Pieces, revisions: int) -> bool:
    return revisions >= REVISIONS_PER_RESPONSE_MAX or events.size > RESPONSE_BYTES_SOFT_MAX
