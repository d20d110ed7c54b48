"""One watch: what it wants, how far it is, where its events go."""

from collections.abc import Sequence
from typing import Protocol

from c101.core.kv.pieces import Pieces
from c101.core.kv.record import VERSION, Change, State, as_field_3, length_delimited, varint
from c101.core.kv.revision import SHIFT
from c101.core.kv.tree import Interval, contains

_EVENT = b"\x5a"  # field 11 of WatchResponse
_KV = b"\x12"  # field 2 of Event
_DELETE = b"\x08\x01"  # field 1 of Event: type = DELETE


class Sink(Protocol):
    """The stream a watch belongs to."""

    @property
    def pending_bytes(self) -> int:
        """How much was sent and has not left yet."""
        ...

    def send(self, message: bytes, /) -> None:
        """Send one WatchResponse."""
        ...

    def send_parts(self, parts: Sequence[bytes], /) -> None:
        """Send one WatchResponse that comes in parts."""
        ...

    def behind(self, watcher: "Watcher", /) -> None:
        """Note that *watcher* must be caught up from the log once the sink has drained."""
        ...


class Watcher:
    """One watch of a stream.

    ``next_revision`` is the first revision it has not seen. It is *synced* when that is later than
    everything committed; only then it takes part in live delivery.
    """

    __slots__ = (
        "fragment", "held", "id_field", "next_revision", "no_delete", "no_put", "notified",
        "prev_kv", "progress_notify", "resume_at", "sink", "span", "start_revision", "synced",
        "watch_id",
    )  # fmt: skip

    def __init__(self, sink: Sink, watch_id: int, span: Interval, start_revision: int) -> None:
        self.sink = sink
        self.watch_id = watch_id
        self.id_field = b"\x10" + varint(watch_id) if watch_id else b""
        self.span = span
        self.start_revision = self.next_revision = start_revision
        self.prev_kv = self.no_put = self.no_delete = self.fragment = False
        self.progress_notify = False
        #: whether anything was sent since the last progress notification was due
        self.notified = False
        self.synced = False
        #: catching up: what is known of a revision that is not complete, and the id it goes on at
        self.held = Pieces()
        self.resume_at = 0

    def wants(self, change: Change) -> bool:
        """Say whether a change passes span and filters."""
        if self.no_delete if change[1] is None else self.no_put:
            return False
        return contains(self.span, change[0])


def encode_event(change: Change, previous: State | None) -> bytes:
    """Return a change as field 11 of WatchResponse, with *previous* as its prev_kv if there is one.

    A deletion's ``kv`` has its key and mod_revision only.
    """
    key, state, change_id = change
    if state is None:
        kv = length_delimited(b"\x0a", key) + b"\x18" + varint(change_id >> SHIFT)
        event = _DELETE + length_delimited(_KV, kv)
    else:
        # The kv of an event and the kvs of a range are field 2, both.
        event = state[0]
    if previous is not None:
        event += as_field_3(previous)
    return length_delimited(_EVENT, event)


def is_create(state: State | None) -> bool:
    """Say whether *state* is that of a key just created: such an event has no prev_kv."""
    return state is not None and state[VERSION] == 1
