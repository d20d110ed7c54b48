"""etcdserverpb.Watch: many watches on one stream."""

import asyncio
from collections import deque
from collections.abc import Sequence

from sortedcontainers import SortedList

from c101.core.kv import refusal
from c101.core.kv.auth import checks
from c101.core.kv.record import varint
from c101.core.kv.tree import Interval
from c101.core.kv.watch import CatchUp, progress
from c101.core.kv.watcher import Watcher
from c101.core.kvserver.context import Context, parse
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import ServerStream
from c101.core.rpc.status import RpcError

#: Watches of one stream; one more is cancelled at once.
WATCHES_PER_STREAM_MAX = 100_000
#: Watches that may be told how far they are before others get a turn.
WATCHES_PER_STEP = 1_000

#: A watch without a key begins here.
FIRST_KEY = b"\0"

_CREATED = b"\x18\x01"  # field 3 of WatchResponse
_CANCELED = b"\x20\x01"  # field 4
_COMPACT_REVISION = b"\x28"  # field 5
_CANCEL_REASON = b"\x32"  # field 6
_WATCH_ID = b"\x10"  # field 2
_REFUSED_ID = _WATCH_ID + varint(-1)

_Create = rpc_pb2.WatchCreateRequest


class WatchService:
    """The Watch service on a store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sessions: set[WatchSession] = set()

    @property
    def watch_count(self) -> int:
        """How many watches there are, on all streams."""
        return sum(session.watch_count for session in self._sessions)

    @property
    def behind_count(self) -> int:
        """How many watches are being caught up from the log."""
        return sum(session.behind_count for session in self._sessions)

    async def watch(self, stream: ServerStream) -> None:
        """Serve one stream until its client leaves it, or is cut off."""
        session = WatchSession(self._context, stream)
        self._context.streams.add(stream)
        self._sessions.add(session)
        try:
            async with asyncio.TaskGroup() as tasks:
                helpers = [
                    tasks.create_task(session.catch_up(), name="watch catch-up"),
                    tasks.create_task(session.notify_progress(), name="watch progress"),
                ]
                await session.serve()
                if not stream.state:
                    # A client that asks for nothing more is still told what it asked for, as by
                    # etcd, until this task is cancelled.
                    await asyncio.get_running_loop().create_future()
                for helper in helpers:
                    helper.cancel()
        finally:
            self._context.streams.discard(stream)
            self._sessions.discard(session)
            session.close()


class WatchSession:
    """The watches of one stream, and its side as their sink."""

    def __init__(self, context: Context, stream: ServerStream) -> None:
        self._context = context
        self._stream = stream
        self._hub = context.store.watches
        self._watchers: dict[int, Watcher] = {}
        self._next_id = 0
        self._behind: deque[Watcher] = deque()
        self._work = asyncio.Event()
        self._starts_ahead = SortedList()
        self._progress_wanted = False
        self._progress_waits = False
        self._progress_from = 0
        self._notifying = asyncio.Event()
        self.send = stream.send

    @property
    def watch_count(self) -> int:
        """How many watches the stream has."""
        return len(self._watchers)

    @property
    def behind_count(self) -> int:
        """How many of them are being caught up."""
        return len(self._behind)

    # ---- the sink ----

    @property
    def pending_bytes(self) -> int:
        """How much waits for the client to read."""
        return self._stream.pending_bytes

    def send_parts(self, parts: Sequence[bytes], /) -> None:
        """Send one response that comes in parts; end the stream if more waits than it may."""
        try:
            self._stream.send_parts(parts)
        except RpcError as exc:
            # Of a revision of very many fragments; who delivers it has others to serve.
            self._stream.stop(exc.status, exc.message)

    def behind(self, watcher: Watcher, /) -> None:
        """Have *watcher* caught up from the log."""
        self._behind.append(watcher)
        self._work.set()

    # ---- requests ----

    async def serve(self) -> None:
        """Act on what the client asks, until it ends the stream or breaks the rules."""
        try:
            async for message in self._stream:
                self.receive(parse(rpc_pb2.WatchRequest, message))
        except RpcError as exc:
            self._stream.fail(exc.status, exc.message)

    def receive(self, request: rpc_pb2.WatchRequest) -> None:
        """Act on one request of the client."""
        match request.WhichOneof("request_union"):
            case "create_request":
                self._create(request.create_request)
            case "cancel_request":
                self._cancel(request.cancel_request.watch_id)
            case "progress_request":
                self._progress_wanted = True
                self._progress_from = max(self._progress_from, self._context.store.revision)
                self._send_progress()
            case _:
                return

    def _create(self, request: _Create) -> None:
        span = _interval(request.key, request.range_end)
        refused = self._refused(request, span)
        header = self._context.current_header()
        if refused:
            reason = refused.encode()
            text = _CANCEL_REASON + varint(len(reason)) + reason
            self.send(header + _REFUSED_ID + _CREATED + _CANCELED + text)
            return
        watcher = self._new_watcher(request, span)
        self.send(header + watcher.id_field + _CREATED)
        if watcher.next_revision < self._hub.compact_revision:
            self._compacted(watcher)
        else:
            self._hub.add(watcher)

    def _refused(self, request: _Create, span: Interval) -> str:
        """Return why there is no such watch, or an empty string."""
        denied = self._denied(request) if self._context.auth.enabled else ""
        if denied:
            return denied
        if span[1] is not None and span[1] <= span[0]:
            return refusal.WATCH_EMPTY_RANGE
        if request.start_revision < 0:
            return refusal.COMPACTED[1]
        if request.watch_id and request.watch_id in self._watchers:
            return refusal.WATCH_DUPLICATE_ID
        if len(self._watchers) >= WATCHES_PER_STREAM_MAX:
            return refusal.TOO_MANY_REQUESTS[1]
        return ""

    def _denied(self, request: _Create) -> str:
        """Return why a watch is not permitted, in the words of etcd, or an empty string."""
        auth = self._context.auth
        try:
            caller = auth.caller_of(self._stream)
            checks.check_watch(auth, caller, request.key or FIRST_KEY, request.range_end)
        except RpcError as exc:
            code = exc.status.name.title().replace("_", "")
            return f"rpc error: code = {code} desc = {exc.message}"
        return ""

    def _new_watcher(self, request: _Create, span: Interval) -> Watcher:
        watch_id = request.watch_id or self._free_id()
        start = request.start_revision or self._context.store.revision + 1
        watcher = Watcher(self, watch_id, span, start)
        watcher.no_put = _Create.NOPUT in request.filters
        watcher.no_delete = _Create.NODELETE in request.filters
        watcher.prev_kv = request.prev_kv
        watcher.fragment = request.fragment
        watcher.progress_notify = request.progress_notify
        if watcher.progress_notify:
            self._notifying.set()
        if start > self._hub.delivered_revision + 1:
            self._starts_ahead.add(start)
        self._watchers[watch_id] = watcher
        return watcher

    def _free_id(self) -> int:
        while self._next_id in self._watchers:
            self._next_id += 1
        self._next_id += 1
        return self._next_id - 1

    def _cancel(self, watch_id: int) -> None:
        watcher = self._watchers.pop(watch_id, None)
        if watcher is not None:
            self._hub.remove(watcher)
            self._starts_ahead.discard(watcher.start_revision)
            self.send(self._context.current_header() + watcher.id_field + _CANCELED)

    def _compacted(self, watcher: Watcher) -> None:
        """Cancel a watch whose next revision is gone; etcd's header has no revision here."""
        self._watchers.pop(watcher.watch_id, None)
        compacted = _COMPACT_REVISION + varint(self._hub.compact_revision)
        self.send(self._context.header(0) + watcher.id_field + _CANCELED + compacted)

    # ---- history ----

    async def catch_up(self) -> None:
        """Bring watches that are behind up to date, a step each in turn, for ever.

        If history cannot be read the stream ends with the reason.
        """
        while True:
            await self._work.wait()
            self._work.clear()
            while self._behind:
                await self._stream.drain()
                try:
                    self._step(self._behind.popleft())
                except RpcError as exc:
                    self._stream.fail(exc.status, exc.message)
                    return
                # Everything that became ready meanwhile goes first.
                await self._context.clock.sleep(0)
            self._send_progress()

    def _step(self, watcher: Watcher) -> None:
        if self._watchers.get(watcher.watch_id) is not watcher:
            return
        # What it is sent here is of revisions up to this one.
        self._progress_from = max(self._progress_from, self._context.store.revision)
        match self._hub.catch_up(watcher):
            case CatchUp.MORE:
                self._behind.append(watcher)
            case CatchUp.COMPACTED:
                self._compacted(watcher)
            case CatchUp.SYNCED:
                pass

    # ---- progress ----

    def _send_progress(self) -> None:
        """Answer a request for progress as soon as nothing up to its revision is on its way."""
        if self._progress_wanted and not self._progress_waits:
            self._progress_waits = True
            self._hub.when_delivered(self._progress_from, self._delivered)

    def _delivered(self) -> None:
        self._progress_waits = False
        revision = self._hub.delivered_revision
        if revision < self._progress_from:
            # Meanwhile a watch was caught up further than that.
            self._send_progress()
        elif self._synced(revision):
            self._progress_wanted = False
            self.send(progress(self._context.header(revision)))

    def _synced(self, revision: int) -> bool:
        """Say whether every event up to *revision*, which is delivered, was sent on this stream.

        A watch from a later revision counts as not synced: a bookmark must not be older than
        where a watch starts.
        """
        starts = self._starts_ahead
        return not self._behind and not (starts and starts[-1] > revision + 1)

    async def notify_progress(self) -> None:
        """Tell watches that asked for it how far they are when nothing else did, for ever."""
        interval_seconds = self._context.options.watch_progress_notify_seconds
        await self._notifying.wait()
        while True:
            await self._context.clock.sleep(interval_seconds)
            watchers = list(self._watchers.values())
            for first in range(0, len(watchers), WATCHES_PER_STEP):
                self._notify(watchers[first : first + WATCHES_PER_STEP])
                await self._context.clock.sleep(0)

    def _notify(self, watchers: list[Watcher]) -> None:
        revision = self._hub.delivered_revision
        header = self._context.header(revision)
        for watcher in watchers:
            if not watcher.progress_notify or not watcher.synced:
                continue
            # One that has seen more has just been sent something.
            if not watcher.notified and watcher.next_revision <= revision + 1:
                self.send(header + watcher.id_field)
            watcher.notified = False

    def close(self) -> None:
        """Let go of every watch."""
        watchers, self._watchers = self._watchers, {}
        self._hub.let_go(watchers)
        self._behind.clear()


def _interval(key: bytes, range_end: bytes) -> Interval:
    """Return what a watch covers; unlike a range it may have no key, which is the first one."""
    low = key or FIRST_KEY
    if not range_end:
        return low, low + b"\0"
    return low, None if range_end == b"\0" else range_end
