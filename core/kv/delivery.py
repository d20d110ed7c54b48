"""Live delivery: what is committed to the watches that are up to date, in steps.

Commits are delivered one after the other, and apart from their merging: while one change goes to a
hundred thousand watches, other commits are merged and answered. A watch gets each revision once and
in order, whatever happens between two steps: ``next_revision`` says what it has seen already, and
who begins to watch asks for later revisions, or is caught up from the log.
"""

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence

from c101.core.kv.pace import Pace
from c101.core.kv.pieces import COPIED_BYTES_MAX, Pieces
from c101.core.kv.record import CHANGE, FIELD, Change, State
from c101.core.kv.revision import SHIFT, bound
from c101.core.kv.shared_events import Committed, SharedEvents
from c101.core.kv.stepper import free_in_steps, in_turns
from c101.core.kv.watcher import Watcher, encode_event
from c101.core.kv.watcher_group import Members, WatcherGroup, some

#: A stream with this much unsent is slow: its watches fall behind and are caught up when it drains.
PENDING_BYTES_MAX = 1 << 20
#: Changes looked at, and events made of them and sent, before others get a turn. A stream that is
#: sent anything counts as well: its output is a write of its own.
EVENTS_PER_STEP = 250
EVENTS_PER_STREAM = 2
#: A look at many intervals without a watch in them, in events.
EVENTS_PER_SEARCH = 200
#: Revisions of one change each that are sent together, in changes and in bytes: a response for
#: each of them costs more than all of its events do.
RUN_CHANGES_MAX = 256
RUN_BYTES_MAX = 64 << 10
#: Bytes that cost as much to send as an event by itself.
BYTES_PER_EVENT = 8 << 10
#: What may wait behind the commit that is being delivered; with more, commits wait.
BACKLOG_BYTES_MAX = 64 << 20
#: What a change takes besides keys and values.
_CHANGE_BYTES = 200
#: 1.5 MiB + 512 KiB, as a message of etcd's.
FRAGMENT_BYTES_DEFAULT = 2 << 20

_FRAGMENT = b"\x38\x01"  # field 7 of WatchResponse


class Delivery:
    """Delivers to the watchers of *group*, which *behind* takes out of it when they are slow.

    *state_before* returns what a key was before a change of that id.

    ``revision``: every watcher of the group has been sent all it wants up to here.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        group: WatcherGroup,
        revision: int,
        behind: Callable[[Watcher], None],
        state_before: Callable[[bytes, int], State | None],
    ) -> None:
        self._loop = loop
        self._state_before = state_before
        self._group = group
        self._behind = behind
        self.revision = revision
        self.header: Callable[[int], bytes] = lambda _revision: b""
        #: a watch that asked for fragments gets responses of at most this size
        self.fragment_bytes_max = FRAGMENT_BYTES_DEFAULT
        self._queue: deque[tuple[int, int, list[Committed]]] = deque()
        self._backlog_bytes = 0
        self._pace = Pace(EVENTS_PER_STEP)
        self._waiting: list[tuple[int, Callable[[], None]]] = []
        #: whether a commit is being delivered
        self.running = False

    @property
    def backlogged(self) -> bool:
        """Whether so much waits for delivery that nothing more should be committed."""
        return self._backlog_bytes > BACKLOG_BYTES_MAX

    def add(self, revision: int, changes: list[Committed]) -> None:
        """Deliver *changes*, oldest first, of the commit that made *revision* the store's.

        The first step is taken at once if nothing is being delivered. *changes* is emptied.
        """
        if self.running:
            size = sum(map(_bytes_of, changes)) if changes else 0
            self._backlog_bytes += size
            self._queue.append((revision, size, changes))
        elif changes:
            self._queue.append((revision, 0, changes))
            in_turns(self._loop, self._steps())
        else:
            self._reached(revision)

    def when_delivered(self, revision: int, then: Callable[[], None]) -> None:
        """Call *then* once all up to *revision* is delivered and no later commit in part only."""
        if not self.running and self.revision >= revision:
            then()
        else:
            self._waiting.append((revision, then))

    def _reached(self, revision: int) -> None:
        self.revision = revision
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for wanted, then in waiting:
                if wanted <= revision:
                    then()
                else:
                    self._waiting.append((wanted, then))

    def _steps(self) -> Iterator[None]:
        self.running = True
        self._pace = Pace(EVENTS_PER_STEP)
        while self._queue:
            revision, size, changes = self._queue.popleft()
            self._backlog_bytes -= size
            while self._queue and len(changes) < RUN_CHANGES_MAX:
                # What came while others were served goes out together.
                revision, size, more = self._queue.popleft()
                self._backlog_bytes -= size
                changes += more
            yield from self._deliver(changes)
            yield from free_in_steps(changes)
            self.running = bool(self._queue)
            self._reached(revision)

    def _deliver(self, changes: list[Committed]) -> Iterator[None]:
        start = 0
        total = len(changes)
        spent = self._pace.spent
        while start < total and len(self._group):
            change, previous = changes[start]
            revision = change[2] >> SHIFT
            end = start + 1
            if end < total and changes[end][0][2] >> SHIFT == revision:
                end = bisect_left(changes, bound(revision), end, key=lambda one: one[0][2])
                yield from self._notify_many(revision, changes, range(start, end))
            else:
                end = _run_end(changes, start)
                if end == start + 1:
                    for watchers in self._group.of(change[0]):
                        self._notify_one(watchers, revision, change, previous)
                        if spent(_work(watchers)):
                            yield
                    if spent():
                        yield
                else:
                    yield from self._notify_run(changes[start:end])
            start = end

    def _notify_run(self, run: list[Committed]) -> Iterator[None]:
        """Send the changes of a run of revisions, each watcher all that it wants in one response.

        Watchers of one interval get the same bytes.
        """
        spent = self._pace.spent
        first = run[0][0][2] >> SHIFT
        found = yield from self._interested(run)
        for members, wanted in found.values():
            if len(wanted) == 1:
                change, previous = wanted[0]
                for watchers in some(members):
                    self._notify_one(watchers, change[2] >> SHIFT, change, previous)
                    if spent(_work(watchers)):
                        yield
                continue
            shared = SharedEvents(wanted)
            for watchers in some(members):
                sent_bytes = self._notify_shared(watchers, first, shared)
                if spent(_work(watchers) + sent_bytes // BYTES_PER_EVENT):
                    yield

    def _interested(
        self, run: list[Committed]
    ) -> Generator[None, None, dict[int, tuple[Members, list[Committed]]]]:
        """Return the members of each interval with the changes of *run* in it."""
        spent = self._pace.spent
        found: dict[int, tuple[Members, list[Committed]]] = {}
        for one in run:
            for members in self._group.members_of(one[0][0]):
                if not members:
                    if spent(EVENTS_PER_SEARCH):
                        yield
                    continue
                known = found.get(id(members))
                if known is None:
                    found[id(members)] = (members, [one])
                else:
                    known[1].append(one)
            if spent():
                yield
        return found

    def _notify_shared(
        self, watchers: list[Watcher], first_revision: int, shared: SharedEvents
    ) -> int:
        """Send of *shared* what each of *watchers* wants; return how many bytes that were.

        They have been sent all they want up to *first_revision*.
        """
        last = shared.last_revision
        header = self.header(last)
        sent_bytes = 0
        slow: list[Watcher] = []
        for watcher in watchers:
            if last < watcher.next_revision or not watcher.synced:
                continue
            if watcher.sink.pending_bytes > PENDING_BYTES_MAX:
                watcher.next_revision = max(watcher.next_revision, first_revision)
                slow.append(watcher)
                continue
            events, body = shared.wanted_by(watcher)
            watcher.next_revision = last + 1
            if not body:
                continue
            sent_bytes += len(body)
            # Cut between events where it may have to be cut at all.
            parts = events if watcher.fragment else (body,)
            send_events(watcher, header, parts, self.fragment_bytes_max)
        for watcher in slow:
            self._behind(watcher)
        return sent_bytes

    def _notify_one(
        self, watchers: list[Watcher], revision: int, change: Change, previous: State | None
    ) -> None:
        """Send the only change of *revision* to those of *watchers* that want it."""
        plain = full = header = b""
        slow: list[Watcher] = []
        deleted = change[1] is None
        for watcher in watchers:
            if revision < watcher.next_revision or not watcher.synced:
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
        for watcher in slow:
            self._behind(watcher)

    def _notify_many(self, revision: int, changes: list[Committed], which: range) -> Iterator[None]:
        """Send the changes of *revision*, each watcher all that it wants in one response."""
        wanted: dict[Watcher, Pieces] = {}
        spent = self._pace.spent
        for position in which:
            change, previous = changes[position]
            if previous is not None and previous[CHANGE] >> SHIFT == revision:
                # Changed twice, by transactions in a transaction: prev_kv is from before both.
                previous = self._state_before(change[0], bound(revision - 1))
            for watchers in self._group.of(change[0]):
                self._gather(watchers, revision, (change, previous), wanted)
                if spent(len(watchers) or EVENTS_PER_SEARCH):
                    yield
            if spent():
                yield
        for watcher in list(wanted):
            # Let go of one by one: all at once would take long.
            self._send_one(watcher, revision, wanted.pop(watcher))
            if spent(1 + EVENTS_PER_STREAM):
                yield

    @staticmethod
    def _gather(
        watchers: list[Watcher], revision: int, one: Committed, wanted: dict[Watcher, Pieces]
    ) -> None:
        change, previous = one
        plain = full = b""
        for watcher in watchers:
            if revision < watcher.next_revision or not watcher.wants(change):
                continue
            if watcher.prev_kv and previous is not None:
                event = full = full or encode_event(change, previous)
            else:
                event = plain = plain or encode_event(change, None)
            events = wanted.get(watcher)
            if events is None:
                events = wanted[watcher] = Pieces()
            events.add(event)

    def _send_one(self, watcher: Watcher, revision: int, events: Pieces) -> None:
        if not watcher.synced:
            # It was cancelled meanwhile.
            return
        if watcher.sink.pending_bytes > PENDING_BYTES_MAX:
            watcher.next_revision = revision
            self._behind(watcher)
        else:
            watcher.next_revision = revision + 1
            send_events(watcher, self.header(revision), events.take(), self.fragment_bytes_max)


def send_events(
    watcher: Watcher, header: bytes, pieces: Sequence[bytes], fragment_bytes_max: int
) -> None:
    """Send *pieces*, events whole, to *watcher*, in one response unless it wants fragments."""
    watcher.notified = True
    head = header + watcher.id_field
    size = sum(map(len, pieces))
    if watcher.fragment and size + len(head) > fragment_bytes_max:
        fragments = _fragments(pieces, fragment_bytes_max - len(head) - len(_FRAGMENT))
        for fragment in fragments[:-1]:
            watcher.sink.send_parts([head + _FRAGMENT, *fragment])
        watcher.sink.send_parts([head, *fragments[-1]])
    elif size > COPIED_BYTES_MAX:
        watcher.sink.send_parts([head, *pieces])
    else:
        watcher.sink.send(head + b"".join(pieces))


def _fragments(pieces: Sequence[bytes], bytes_max: int) -> list[list[bytes]]:
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


def _run_end(changes: list[Committed], start: int) -> int:
    """Return where a run of revisions that begins at *start*, with one change each, ends."""
    end, total = start + 1, min(len(changes), start + RUN_CHANGES_MAX)
    size = _bytes_of(changes[start])
    while end < total:
        revision = changes[end][0][2] >> SHIFT
        size += _bytes_of(changes[end])
        if size > RUN_BYTES_MAX or (
            end + 1 < len(changes) and changes[end + 1][0][2] >> SHIFT == revision
        ):
            break
        end += 1
    return end


def _work(watchers: list[Watcher]) -> int:
    if len(watchers) > 1:
        streams = {watcher.sink for watcher in watchers}
        return len(watchers) + EVENTS_PER_STREAM * len(streams)
    return len(watchers) or EVENTS_PER_SEARCH


def _bytes_of(one: Committed) -> int:
    (_, state, _), previous = one
    size = _CHANGE_BYTES
    if state is not None:
        size += len(state[FIELD])
    return size if previous is None else size + len(previous[FIELD])
