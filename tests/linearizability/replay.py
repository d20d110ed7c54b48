"""All that ever happened to the keys, in order: what watches are judged by."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from zlib import crc32

from c101.core.proto import kv_pb2

#: Of longer values a history keeps a checksum.
SHOWN_BYTES_MAX = 64


class Stored(NamedTuple):
    """A key as an event or a read shows it."""

    value: bytes
    create_revision: int
    mod_revision: int
    version: int
    lease: int


class Event(NamedTuple):
    """One change; ``stored`` is ``None`` for a deletion."""

    revision: int
    key: bytes
    stored: Stored | None


class ReplayError(Exception):
    """Events that cannot be the history of a store."""


def event_of(event: kv_pb2.Event) -> Event:
    """Return what *event* says happened, without its prev_kv."""
    kv = event.kv
    if event.type == kv_pb2.Event.DELETE:
        return Event(kv.mod_revision, kv.key, None)
    return Event(kv.mod_revision, kv.key, stored_of(kv))


def shown(value: bytes) -> bytes:
    """Return *value*, or of a long one its first word, its length and its checksum."""
    if len(value) <= SHOWN_BYTES_MAX:
        return value
    return b"%b %d bytes %08x" % (value.partition(b" ")[0], len(value), crc32(value))


def stored_of(kv: kv_pb2.KeyValue) -> Stored:
    """Return *kv* without its key."""
    return Stored(shown(kv.value), kv.create_revision, kv.mod_revision, kv.version, kv.lease)


class Replay:
    """A history from revision 2 on, each revision there and each change possible.

    Raises ReplayError where it is not: a revision left out or repeated, a version that does not
    count, a key deleted that was not there.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = []
        #: the revision it reaches to
        self.revision = 1
        #: the revision at which each value was written; each begins with a unique word
        self.revision_of: dict[str, int] = {}
        self._revisions: list[int] = []
        self._of_key: dict[bytes, list[Event]] = defaultdict(list)
        for event in events:
            self.add(event)

    def add(self, event: Event) -> None:
        """Take one more event."""
        if event.revision not in (self.revision, self.revision + 1) or event.revision == 1:
            raise ReplayError(f"after revision {self.revision} comes {event}")
        self._check(event)
        self.revision = event.revision
        self.events.append(event)
        self._revisions.append(event.revision)
        self._of_key[event.key].append(event)
        if event.stored is not None:
            self.revision_of[event.stored.value.partition(b" ")[0].decode()] = event.revision

    def _check(self, event: Event) -> None:
        changes = self._of_key[event.key]
        before = changes[-1].stored if changes else None
        if event.stored is None:
            if before is None:
                raise ReplayError(f"nothing was there to be deleted: {event}")
            return
        expected = (
            before.create_revision if before else event.revision,
            event.revision,
            before.version + 1 if before else 1,
        )
        if event.stored[1:4] != expected:
            raise ReplayError(f"after {before} comes {event}")

    def between(self, first: int, last: int) -> Sequence[Event]:
        """Return the events of the revisions *first* to *last*, both included."""
        start = bisect_left(self._revisions, first)
        return self.events[start : bisect_right(self._revisions, last)]

    def stored_at(self, key: bytes, revision: int) -> Stored | None:
        """Return what *key* held at *revision*."""
        changes = self._of_key.get(key, [])
        position = bisect_right(changes, revision, key=lambda event: event.revision)
        return changes[position - 1].stored if position else None
