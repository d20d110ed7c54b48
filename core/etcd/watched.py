"""One watch: what was asked for, how far it has come, and what its answers give the consumer."""

from collections.abc import Callable
from typing import TypedDict

from c101.core.errors import C101Error
from c101.core.etcd.errors import (
    COMPACTED_TEXT,
    NO_LEADER_TEXT,
    CompactedError,
    PermissionDeniedError,
    UnavailableError,
    WatchCancelledError,
    readable,
)
from c101.core.etcd.events import WatchBatch, WatchEvent
from c101.core.etcd.results import key_value
from c101.core.proto import kv_pb2, rpc_pb2
from c101.core.rpc.status import Code

#: Says that the reason a watch was refused is who asked: without permission, or (to etcd 3.4 the
#: same) with a token that is no longer one.
_NOT_PERMITTED = ("permission denied", "invalid auth token", "auth store is old")


class WatchOptions(TypedDict, total=False):
    """Options of a watch.

    ``start_revision``: the first revision of interest; 0 is the one after the watch began.
    ``prev_kv``: events bring what was there before. ``no_put``, ``no_delete``: leave these out.
    ``progress``: also yield the server's word, every ten minutes without events, of how far the
    watch is. ``on_link`` is called with whether there is a link, whenever that changes, and
    ``on_problem`` with why there is none, whenever there is another reason; they must be quick and
    must not raise.
    """

    start_revision: int
    prev_kv: bool
    no_put: bool
    no_delete: bool
    progress: bool
    on_link: Callable[[bool], None]
    on_problem: Callable[[C101Error], None]


class Watched:
    """A key or a range that is watched.

    ``id`` tells it apart on its stream. ``next_revision`` is the one to go on from: every change
    before it was given; 0 until the server has the watch. ``token_renewed``: that it was not
    permitted was once answered with another token.
    """

    def __init__(self, key: bytes, range_end: bytes, options: WatchOptions, *, id: int = 0) -> None:  # noqa: A002 - etcd's word
        self.key = key
        self.range_end = range_end
        self.id = id
        self.next_revision = options.get("start_revision", 0)
        self.token_renewed = False
        self._options = options
        self._held: list[WatchEvent] = []

    def create_request(self) -> rpc_pb2.WatchCreateRequest:
        """Build the request that begins it, or goes on where it was."""
        # What came of a split revision is sent again whole.
        self._held.clear()
        options = self._options
        filters = []
        if options.get("no_put"):
            filters.append(rpc_pb2.WatchCreateRequest.NOPUT)
        if options.get("no_delete"):
            filters.append(rpc_pb2.WatchCreateRequest.NODELETE)
        return rpc_pb2.WatchCreateRequest(
            key=self.key,
            range_end=self.range_end,
            start_revision=self.next_revision,
            prev_kv=options.get("prev_kv", False),
            filters=filters,
            watch_id=self.id,
            fragment=True,
            # Always: it keeps the place to resume from ahead of compaction on a quiet range.
            progress_notify=True,
        )

    def created(self, response: rpc_pb2.WatchResponse) -> None:
        """Hear that the server has the watch."""
        self.token_renewed = False
        if not self.next_revision:
            self.next_revision = response.header.revision + 1

    def accept(self, response: rpc_pb2.WatchResponse) -> WatchBatch | None:
        """Return what *response*, which ends nothing, gives the consumer, if anything."""
        if not response.events:
            return self._progress(response)
        events = self._held + [
            _event(event)
            for event in response.events
            if event.kv.mod_revision >= self.next_revision
        ]
        self._held = []
        if response.fragment and events:
            last = events[-1].kv.mod_revision
            whole = next(i for i, event in enumerate(events) if event.kv.mod_revision == last)
            self._held, events = events[whole:], events[:whole]
        if not events:
            return None
        revision = events[-1].kv.mod_revision
        self.next_revision = revision + 1
        return WatchBatch(revision=revision, events=tuple(events))

    def _progress(self, response: rpc_pb2.WatchResponse) -> WatchBatch | None:
        revision = response.header.revision
        batch = WatchBatch(revision=revision, events=(), progress=True)
        if response.watch_id == -1:
            # The answer to a request. It does not move the place to resume from: before 3.4.25
            # etcd could send it ahead of events (etcd issue 15220).
            return batch
        self.next_revision = max(self.next_revision, revision + 1)
        return batch if self._options.get("progress") else None

    def ending(self, response: rpc_pb2.WatchResponse) -> C101Error:
        """Say why the server ended the watch."""
        reason = response.cancel_reason
        if response.compact_revision or reason == COMPACTED_TEXT:
            return CompactedError(self.next_revision, response.compact_revision)
        if reason == NO_LEADER_TEXT:
            return UnavailableError(readable(reason), status=Code.UNAVAILABLE)
        # etcd puts Go's rendering of a status in front of some.
        text = readable(reason.rpartition(" desc = ")[2])
        if any(part in text for part in _NOT_PERMITTED):
            return PermissionDeniedError(text, status=Code.PERMISSION_DENIED)
        return WatchCancelledError(text or "the KV cancelled the watch")


def _event(message: kv_pb2.Event) -> WatchEvent:
    return WatchEvent(
        kind="delete" if message.type == kv_pb2.Event.DELETE else "put",
        kv=key_value(message.kv),
        prev_kv=key_value(message.prev_kv) if message.HasField("prev_kv") else None,
    )
