"""etcd's promises about watches, one function each: what was received against what happened.

Each takes what one watch received and the replayed history, and yields a line for every violation.
They are etcd's own nine (its robustness tests): a watch is filtered, ordered, unique, atomic,
reliable, resumable and bookmarkable, and its events tell rightly what was there before and whether
a key was created.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from c101.core.proto import kv_pb2, rpc_pb2
from tests.linearizability.replay import Event, Replay, event_of, stored_of

_Create = rpc_pb2.WatchCreateRequest
Response = rpc_pb2.WatchResponse


@dataclass(slots=True, kw_only=True)
class Recording:
    """A watch: what was asked, and all that came on it, bookmarks of its stream included.

    ``compacted`` is the highest revision of a compaction asked for while it lasted.
    """

    request: _Create
    responses: list[Response] = field(default_factory=list)
    compacted: int = 0

    @property
    def start(self) -> int:
        """The first revision it is about."""
        created = self.responses[0].header.revision if self.responses else 0
        return self.request.start_revision or created + 1

    def events(self) -> Iterator[kv_pb2.Event]:
        """Yield the events in the order they came."""
        for response in self.responses:
            yield from response.events

    @property
    def seen_to(self) -> int:
        """The revision of the last event; one before its start if there was none."""
        return max((event.kv.mod_revision for event in self.events()), default=self.start - 1)

    def wants(self, event: Event) -> bool:
        """Say whether *event* is in its range and passes its filters."""
        filtered = _Create.NODELETE if event.stored is None else _Create.NOPUT
        if filtered in self.request.filters:
            return False
        low, high = self.request.key, self.request.range_end
        if not high:
            return event.key == low
        return low <= event.key and (high == b"\0" or event.key < high)

    def expected(self, replay: Replay, first: int, last: int) -> list[Event]:
        """Return what it should see of the revisions *first* to *last*."""
        return [event for event in replay.between(first, last) if self.wants(event)]


Violations = Iterator[str]


def filtered(recording: Recording, _: Replay) -> Violations:
    """Every event is one that was asked for."""
    for event in map(event_of, recording.events()):
        if not recording.wants(event):
            yield f"not asked for: {event}"


def ordered(recording: Recording, _: Replay) -> Violations:
    """Revisions never go back."""
    last = 0
    for event in map(event_of, recording.events()):
        if event.revision < last:
            yield f"after revision {last}: {event}"
        last = event.revision


def unique(recording: Recording, _: Replay) -> Violations:
    """No change comes twice."""
    seen = set()
    for event in map(event_of, recording.events()):
        if event in seen:
            yield f"twice: {event}"
        seen.add(event)


def atomic(recording: Recording, _: Replay) -> Violations:
    """What one revision changed comes in one response, or in fragments that say so."""
    complete: set[int] = set()
    current: set[int] = set()
    for response in recording.responses:
        revisions = {event.kv.mod_revision for event in response.events}
        for revision in revisions & complete:
            yield f"revision {revision} goes on in a later response"
        current |= revisions
        if not response.fragment:
            complete |= current
            current = set()
        elif not recording.request.fragment:
            yield "a fragment that was not asked for"


def reliable(recording: Recording, replay: Replay) -> Violations:
    """Between the first and the last event nothing is left out or added."""
    events = [event_of(event) for event in recording.events()]
    if not events:
        return
    first, last = events[0].revision, recording.seen_to
    # What was cut off in the middle of its fragments owes nothing of that revision.
    last -= recording.responses[-1].fragment
    yield from _compare(
        [event for event in events if event.revision <= last],
        recording.expected(replay, first, last),
    )


def resumable(recording: Recording, replay: Replay) -> Violations:
    """It begins exactly where it was asked to; if that is compacted it says so and is cancelled."""
    for response in recording.responses:
        compacted = response.compact_revision
        if compacted and not response.canceled:
            yield "a compact revision without an end"
        if compacted and recording.seen_to + 1 >= compacted:
            yield f"ended by a compaction at {compacted} and had seen {recording.seen_to}"
    events = [event_of(event) for event in recording.events()]
    if not events:
        return
    expected = recording.expected(replay, recording.start, recording.seen_to)
    if expected[:1] != events[:1]:
        yield f"begins with {events[0]}, not {expected[:1]}"


def bookmarkable(recording: Recording, replay: Replay) -> Violations:
    """What says how far it is comes after all events up to there, and before all later ones."""
    bookmark = received = 0
    for response in recording.responses:
        for event in response.events:
            received += 1
            if event.kv.mod_revision <= bookmark:
                yield f"revision {event.kv.mod_revision} after a bookmark of {bookmark}"
        if response.events or response.created or response.canceled:
            continue
        revision = response.header.revision
        if revision < bookmark:
            yield f"a bookmark of {revision} after one of {bookmark}"
        bookmark = revision
        owed = len(recording.expected(replay, recording.start, bookmark))
        if received < owed:
            yield f"a bookmark of {bookmark} after {received} events, of {owed}"


def prev_kv(recording: Recording, replay: Replay) -> Violations:
    """With prev_kv an event tells what was there before its revision, else nothing.

    What a compaction took meanwhile may be missing.
    """
    for event in recording.events():
        revision = event.kv.mod_revision
        before = replay.stored_at(event.kv.key, revision - 1)
        told = stored_of(event.prev_kv) if event.HasField("prev_kv") else None
        if told is None and revision - 1 < recording.compacted:
            continue
        if told != (before if recording.request.prev_kv else None):
            yield f"before {event_of(event)} was {before}, not {told}"


def is_create(recording: Recording, replay: Replay) -> Violations:
    """A put tells rightly whether it created the key."""
    for event in recording.events():
        if event.type == kv_pb2.Event.DELETE:
            continue
        before = replay.stored_at(event.kv.key, event.kv.mod_revision - 1)
        created = event.kv.create_revision == event.kv.mod_revision
        if created != (before is None) or created != (event.kv.version == 1):
            yield f"created or not: {event_of(event)} after {before}"


Validator = Callable[[Recording, Replay], Violations]
VALIDATORS: Sequence[Validator] = (
    filtered,
    ordered,
    unique,
    atomic,
    reliable,
    resumable,
    bookmarkable,
    prev_kv,
    is_create,
)


def violations(recording: Recording, replay: Replay) -> list[str]:
    """Return all that is wrong with *recording*, each with the promise that it breaks."""
    return [
        f"{validator.__name__}: {violation}"
        for validator in VALIDATORS
        for violation in validator(recording, replay)
    ]


def _compare(events: list[Event], expected: list[Event]) -> Violations:
    seen, owed = set(events), set(expected)
    missing = [event for event in expected if event not in seen]
    added = [event for event in events if event not in owed]
    if missing:
        yield f"{len(missing)} left out, the first {missing[0]}"
    if added:
        yield f"{len(added)} that never happened, the first {added[0]}"
    if not missing and not added and events != expected:
        yield "the same events, in another order"
