"""A watch that outlives its connections.

One gRPC stream a watch. It is pulled, not pushed: events are read off the stream when the consumer
asks for the next batch, so a slow consumer fills the stream's flow-control window and then the
server's own catch-up path, never a queue here. What is held is one message, or one revision where
the server had to split it.

When the link is lost the stream is opened anew, on the next endpoint, from the revision after the
last one that was given whole. So no event is given twice and none is left out; if the KV no longer
has that revision, ``CompactedError`` says so, and if another history answers there,
``HistoryChangedError``.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, TypedDict

from c101.core.errors import AuthError, C101Error, DeadlineExceededError, HostKeyError, LinkError
from c101.core.etcd.backoff import Backoff
from c101.core.etcd.endpoints import Endpoint, Endpoints, decode
from c101.core.etcd.errors import (
    COMPACTED_TEXT,
    CompactedError,
    HistoryChangedError,
    UnavailableError,
    WatchCancelledError,
    from_rpc,
    readable,
)
from c101.core.etcd.events import WatchBatch, WatchEvent
from c101.core.etcd.results import key_value
from c101.core.proto import kv_pb2, rpc_pb2
from c101.core.rpc.channel import ClientStream
from c101.core.rpc.status import Code, RpcError

WATCH = "/etcdserverpb.Watch/Watch"
RANGE = "/etcdserverpb.KV/Range"

#: A link that stood for so long was a good one: after its loss the delays begin small again.
SETTLED_SECONDS = 5.0

#: The statuses after which a stream is worth opening again (etcd: client/v3/watch.go, isHaltErr).
_PASSING = frozenset({Code.UNAVAILABLE, Code.INTERNAL})

logger = logging.getLogger(__name__)


class WatchOptions(TypedDict, total=False):
    """Options of a watch.

    ``start_revision``: the first revision of interest; 0 is the one after the watch began.
    ``prev_kv``: events bring what was there before. ``no_put``, ``no_delete``: leave these out.
    ``progress``: also yield the server's word, every ten minutes without events, of how far the
    watch is. ``on_link`` is called with whether there is a link, whenever that changes; it must be
    quick and must not raise.
    """

    start_revision: int
    prev_kv: bool
    no_put: bool
    no_delete: bool
    progress: bool
    on_link: Callable[[bool], None]


class Watch:
    """Changes of a key or a range, in order, each once: ``async for batch in watch``.

    Entering it returns when the server has the watch: what is written after that is seen. One
    consumer at a time; cancelling a wait for the next batch loses nothing.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        key: bytes,
        range_end: bytes,
        *,
        timeout_seconds: float,
        options: WatchOptions,
    ) -> None:
        self._endpoints = endpoints
        self._clock = endpoints.clock
        self._request = _create_request(key, range_end, options)
        self._yield_progress = options.get("progress", False)
        self._on_link = options.get("on_link")
        self._timeout_seconds = timeout_seconds
        self._next_revision = options.get("start_revision", 0)
        self._seen_revision = 0
        self._cluster_id = 0
        self._held: list[WatchEvent] = []
        self._stack = AsyncExitStack()
        self._stream: ClientStream | None = None
        self._endpoint: Endpoint | None = None
        self._since = 0.0
        self._backoff = Backoff()
        self._closed = False
        self._problem: C101Error | None = None
        # Why the server refused the watch as it created it; told to whoever asks for events.
        self._refusal: C101Error | None = None

    @property
    def connected(self) -> bool:
        """Whether there was a link when the watch last looked."""
        return self._stream is not None

    @property
    def problem(self) -> C101Error | None:
        """Why there is no link; ``None`` while there is one."""
        return self._problem

    @property
    def cluster_id(self) -> int:
        """The id of the KV's cluster."""
        return self._cluster_id

    async def __aenter__(self) -> Self:
        """Establish the watch.

        Raises LinkError: no endpoint took it in time. CompactedError and its kin come with the
        first batch.
        """
        deadline = self._clock.monotonic() + self._timeout_seconds
        failures = 0
        while True:
            try:
                await self._open()
            except (LinkError, DeadlineExceededError, RpcError) as exc:
                failure = await self._lose(exc)
                failures += 1
                delay = self._backoff.next()
                too_late = self._clock.monotonic() + delay >= deadline
                if too_late or self._endpoints.is_hopeless(failures):
                    raise failure from exc
                await self._clock.sleep(delay)
            else:
                return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the watch."""
        self._closed = True
        self._stream = None
        await self._stack.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        """Return the next changes, however long they take and however often the link is lost.

        Raises:
            CompactedError: the revision to go on from is gone. The watch is over.
            HistoryChangedError: the KV is another one, or was set back. The watch is over.
            WatchCancelledError: the server ended it for another reason. The watch is over.
            AuthError, HostKeyError: the server, back again, refuses us or shows another key.
        """
        while not self._closed:
            try:
                if self._stream is None:
                    await self._open()
                if self._refusal is not None:
                    raise self._refusal
                batch = self._accept(await self._read())
            except (LinkError, DeadlineExceededError, RpcError) as exc:
                await self._lose(exc)
                await self._clock.sleep(self._backoff.next())
            except C101Error:
                await self.__aexit__(None, None, None)
                raise
            else:
                if batch is not None:
                    return batch
        raise StopAsyncIteration

    def request_progress(self) -> None:
        """Ask how far the watch is: a batch with ``progress`` set will say, once it has caught up.

        Does nothing while there is no link.
        """
        if self._stream is not None:
            request = rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())
            self._stream.send(request.SerializeToString())

    async def _open(self) -> None:
        """Open a stream and establish the watch on it. Leaves nothing behind when it fails."""
        endpoint = self._endpoint = self._endpoints.current
        seconds = self._endpoints.share(self._timeout_seconds)
        await self._endpoints.connect(endpoint, seconds)
        try:
            async with asyncio.timeout(seconds), AsyncExitStack() as stack:
                stream = await stack.enter_async_context(self._endpoints.stream(endpoint, WATCH))
                self._request.create_request.start_revision = self._next_revision
                stream.send(self._request.SerializeToString())
                created = await _message(stream)
                await self._check_history(created.header)
                self._stack, self._stream = stack.pop_all(), stream
        except TimeoutError as exc:
            endpoint.suspect()
            silence = f"{endpoint.name} did not take the watch within {seconds:.1f} s"
            raise DeadlineExceededError(silence) from exc
        self._held.clear()
        self._since = self._clock.monotonic()
        if created.canceled:
            self._refusal = self._cancelled(created)
        elif not self._next_revision:
            self._next_revision = created.header.revision + 1
        self._problem = None
        self._tell_link(connected=True)

    async def _check_history(self, header: rpc_pb2.ResponseHeader) -> None:
        """Refuse to go on in another history than the one the watch began in.

        A lower revision alone may be a member that lags: then the KV itself is asked, by a read
        that every member must answer with the latest.
        """
        if self._cluster_id and header.cluster_id != self._cluster_id:
            was, now = f"{self._cluster_id:x}", f"{header.cluster_id:x}"
            raise HistoryChangedError(f"the KV is another one: cluster {now} instead of {was}")
        self._cluster_id = header.cluster_id
        if header.revision < self._seen_revision:
            request = rpc_pb2.RangeRequest(key=b"\0", count_only=True)
            answer = await self._endpoints.call(
                RANGE,
                request,
                rpc_pb2.RangeResponse,
                timeout_seconds=self._timeout_seconds,
                repeatable=True,
            )
            if answer.header.revision < self._seen_revision:
                raise HistoryChangedError(
                    f"the KV was set back: it is at revision {answer.header.revision}, "
                    f"and was at {self._seen_revision}"
                )
        self._seen_revision = max(self._seen_revision, header.revision)

    async def _read(self) -> rpc_pb2.WatchResponse:
        assert self._stream is not None
        return await _message(self._stream)

    def _accept(self, response: rpc_pb2.WatchResponse) -> WatchBatch | None:
        """Return what *response* gives the consumer, if anything."""
        if response.canceled:
            raise self._cancelled(response)
        if response.created:
            return None
        if not response.events:
            return self._progress(response)
        events = self._held + [
            _event(event)
            for event in response.events
            if event.kv.mod_revision >= self._next_revision
        ]
        self._held = []
        if response.fragment and events:
            last = events[-1].kv.mod_revision
            whole = next(i for i, event in enumerate(events) if event.kv.mod_revision == last)
            self._held, events = events[whole:], events[:whole]
        if not events:
            return None
        revision = events[-1].kv.mod_revision
        self._next_revision = revision + 1
        self._seen_revision = max(self._seen_revision, revision)
        return WatchBatch(revision=revision, events=tuple(events))

    def _progress(self, response: rpc_pb2.WatchResponse) -> WatchBatch | None:
        revision = response.header.revision
        batch = WatchBatch(revision=revision, events=(), progress=True)
        if response.watch_id == -1:
            # The answer to a request. It does not move the place to resume from: before 3.4.25
            # etcd could send it ahead of events (etcd issue 15220).
            return batch
        self._next_revision = max(self._next_revision, revision + 1)
        self._seen_revision = max(self._seen_revision, revision)
        return batch if self._yield_progress else None

    def _cancelled(self, response: rpc_pb2.WatchResponse) -> C101Error:
        """Say why the server ended the watch."""
        reason = response.cancel_reason
        if response.compact_revision or reason == COMPACTED_TEXT:
            return CompactedError(self._next_revision, response.compact_revision)
        if reason == "etcdserver: no leader":
            return UnavailableError(readable(reason), status=Code.UNAVAILABLE)
        return WatchCancelledError(readable(reason) or "the KV cancelled the watch")

    async def _lose(self, cause: C101Error) -> C101Error:
        """Let go of the stream that failed with *cause*.

        Returns what *cause* means. Raises it instead when trying again is of no use.
        """
        failure = from_rpc(cause) if isinstance(cause, RpcError) else cause
        self._problem = failure
        if self.connected:
            self._stream = None
            await self._stack.aclose()
            if self._clock.monotonic() - self._since >= SETTLED_SECONDS:
                self._backoff.reset()
            self._tell_link(connected=False)
        refused = isinstance(cause, RpcError) and cause.status not in _PASSING
        if refused or self._endpoints.closed or isinstance(failure, AuthError | HostKeyError):
            self._closed = True
            raise failure from cause
        if self._endpoint is not None:
            self._endpoints.leave(self._endpoint)
        logger.debug("watch has no link", extra={"revision": self._next_revision})
        return failure

    def _tell_link(self, *, connected: bool) -> None:
        if self._on_link is not None:
            self._on_link(connected)


async def _message(stream: ClientStream) -> rpc_pb2.WatchResponse:
    """Return the next message; a stream that ends without a reason counts as a lost link."""
    try:
        return decode(rpc_pb2.WatchResponse, await anext(stream))
    except StopAsyncIteration:
        raise LinkError("the KV ended the watch's stream") from None


def _create_request(key: bytes, range_end: bytes, options: WatchOptions) -> rpc_pb2.WatchRequest:
    filters = []
    if options.get("no_put"):
        filters.append(rpc_pb2.WatchCreateRequest.NOPUT)
    if options.get("no_delete"):
        filters.append(rpc_pb2.WatchCreateRequest.NODELETE)
    create = rpc_pb2.WatchCreateRequest(
        key=key,
        range_end=range_end,
        prev_kv=options.get("prev_kv", False),
        filters=filters,
        fragment=True,
        # Always: it keeps the place to resume from ahead of compaction on a quiet range.
        progress_notify=True,
    )
    return rpc_pb2.WatchRequest(create_request=create)


def _event(message: kv_pb2.Event) -> WatchEvent:
    return WatchEvent(
        kind="delete" if message.type == kv_pb2.Event.DELETE else "put",
        kv=key_value(message.kv),
        prev_kv=key_value(message.prev_kv) if message.HasField("prev_kv") else None,
    )
