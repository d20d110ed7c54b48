"""The stream under a watch or a group of them: opened, lost, opened again where each had come to.

It is pulled, not pushed: events are read off the stream when the consumer asks for the next batch,
so a slow consumer fills the stream's flow-control window and then the server's own catch-up path,
never a queue here. What is held is one message, or one revision where the server had to split it.

When the link is lost the stream is opened anew, on the next endpoint, and each watch goes on from
the revision after the last one that was given whole. So no event is given twice and none is left
out; if the KV no longer has that revision, ``CompactedError`` says so, and if another history
answers there, ``HistoryChangedError``.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack

from c101.core.errors import AuthError, C101Error, DeadlineExceededError, HostKeyError, LinkError
from c101.core.etcd.attempts import TOKENS_MAX
from c101.core.etcd.backoff import Backoff
from c101.core.etcd.caller import Caller
from c101.core.etcd.endpoint import Endpoint
from c101.core.etcd.endpoints import decode
from c101.core.etcd.errors import (
    HistoryChangedError,
    PermissionDeniedError,
    UnavailableError,
    from_rpc,
)
from c101.core.etcd.events import WatchBatch
from c101.core.etcd.kv import RANGE
from c101.core.etcd.metadata import Metadata
from c101.core.etcd.reasons import Reasons
from c101.core.etcd.retry import Fate, rule
from c101.core.etcd.watched import Watched
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import ClientStream
from c101.core.rpc.status import Code, RpcError

WATCH = "/etcdserverpb.Watch/Watch"

#: A link that stood for so long was a good one: after its loss the delays begin small again.
SETTLED_SECONDS = 5.0

#: The statuses after which a stream is worth opening again (etcd: client/v3/watch.go, isHaltErr).
_PASSING = frozenset({Code.UNAVAILABLE, Code.INTERNAL})

logger = logging.getLogger(__name__)


class EndedError(Exception):
    """One watch is over, by *reason*; the others on its stream are not."""

    def __init__(self, watched: Watched, reason: C101Error) -> None:
        super().__init__(str(reason))
        self.watched = watched
        self.reason = reason


class _TokenRefusedError(LinkError):
    """A watch was not permitted, perhaps since its token is no longer one: another is to be had."""


class WatchStream:
    """The watches of *caller* that share one stream. One consumer at a time.

    ``problem`` is why there is no link, ``None`` while there is one. The callbacks are
    ``WatchOptions``'.
    """

    def __init__(
        self,
        caller: Caller,
        on_link: Callable[[bool], None] | None = None,
        on_problem: Callable[[C101Error], None] | None = None,
    ) -> None:
        self.watches: dict[int, Watched] = {}
        self.problem: C101Error | None = None
        self.cluster_id = 0
        self.closed = False
        self._caller = caller
        self._endpoints = caller.endpoints
        self._clock = caller.clock
        self._on_link = on_link
        self._on_problem = on_problem
        self._seen_revision = 0
        self._stack = AsyncExitStack()
        self._stream: ClientStream | None = None
        self._endpoint: Endpoint | None = None
        self._metadata: Metadata = ()
        self._tokens_refused = 0
        self._since = 0.0
        self._backoff = Backoff()
        self._reasons = Reasons()
        self._added = asyncio.Event()
        # What the server refused as it was created; told to whoever asks for events.
        self._refusals: list[EndedError] = []
        # Asked for on this stream and not answered. A server answers in the order it was asked, and
        # does not name what it refuses.
        self._asked: deque[Watched] = deque()

    @property
    def connected(self) -> bool:
        """Whether there was a link when the stream was last looked at."""
        return self._stream is not None

    def add(self, watched: Watched) -> None:
        """Have *watched* on the stream; without a link, from the next one on."""
        self.watches[watched.id] = watched
        if self._stream is not None:
            self._create(self._stream, watched)
        self._added.set()

    def remove(self, watched: Watched) -> None:
        """End *watched*; what was on its way is dropped."""
        if self.watches.pop(watched.id, None) is not None and self._stream is not None:
            cancel = rpc_pb2.WatchCancelRequest(watch_id=watched.id)
            request = rpc_pb2.WatchRequest(cancel_request=cancel)
            self._stream.send(request.SerializeToString())

    def request_progress(self) -> None:
        """Ask how far the stream is. Does nothing while there is no link."""
        if self._stream is not None:
            request = rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())
            self._stream.send(request.SerializeToString())

    async def establish(self) -> None:
        """Have the first watch on the server.

        Raises LinkError: no endpoint took it in time. That it was refused comes with ``next``.
        """
        deadline = self._clock.monotonic() + self._caller.timeout_seconds
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
                return

    async def next(self) -> tuple[Watched, WatchBatch]:
        """Return the next changes, however long they take and however often the link is lost.

        Raises:
            EndedError: one watch is over. It is taken out; the others go on.
            StopAsyncIteration: the stream was closed.
            HistoryChangedError, AuthError, HostKeyError, KVError: the stream is over.
        """
        while not self.closed:
            try:
                if not self.watches and not self._refusals:
                    await self._wait_for_watches()
                    continue
                stream = self._stream or await self._open()
                if self._refusals:
                    raise self._refusals.pop(0)
                found = self._accept(await _message(stream))
            except (LinkError, DeadlineExceededError, RpcError) as exc:
                if not self.closed:
                    await self._lose(exc)
                    await self._clock.sleep(self._backoff.next())
            except C101Error:
                await self.close()
                raise
            else:
                if found is not None:
                    return found
        raise StopAsyncIteration

    async def close(self) -> None:
        """End every watch."""
        self.closed = True
        self._stream = None
        self._added.set()
        await self._stack.aclose()

    async def _wait_for_watches(self) -> None:
        """Wait until there is one, or the stream is closed."""
        self._added.clear()
        await self._added.wait()

    def _create(self, stream: ClientStream, watched: Watched) -> None:
        create = watched.create_request()
        if self._caller.namespace is not None:
            self._caller.namespace.outward(create)
        stream.send(rpc_pb2.WatchRequest(create_request=create).SerializeToString())
        self._asked.append(watched)

    async def _open(self) -> ClientStream:
        """Open a stream with every watch on it. Leaves nothing behind when it fails."""
        endpoint = self._endpoint = self._endpoints.current
        seconds = self._endpoints.share(self._caller.timeout_seconds)
        await self._endpoints.connect(endpoint, seconds)
        self._metadata = await self._endpoints.metadata(endpoint, seconds)
        opening = self._endpoints.stream(endpoint, WATCH, self._metadata)
        try:
            async with asyncio.timeout(seconds), AsyncExitStack() as stack:
                stream = await stack.enter_async_context(opening)
                self._asked.clear()
                sent = dict(self.watches)
                for watched in sent.values():
                    self._create(stream, watched)
                # A server says that it has a watch before it says anything of it.
                first = await _message(stream)
                await self._check_history(first.header)
                self._stack, self._stream = stack.pop_all(), stream
        except TimeoutError as exc:
            endpoint.suspect()
            silence = f"{endpoint.name} did not take the watch within {seconds:.1f} s"
            raise DeadlineExceededError(silence) from exc
        for added in [self.watches[key] for key in self.watches.keys() - sent.keys()]:
            self._create(stream, added)
        self._since = self._clock.monotonic()
        self.problem = None
        self._reasons.forget()
        self._tell_link(connected=True)
        try:
            self._accept(first)
        except EndedError as refusal:
            self._refusals.append(refusal)
        return stream

    async def _check_history(self, header: rpc_pb2.ResponseHeader) -> None:
        """Refuse to go on in another history than the one the watch began in.

        A lower revision alone may be a member that lags: then the KV itself is asked, by a read
        that every member must answer with the latest.
        """
        if self.cluster_id and header.cluster_id != self.cluster_id:
            was, now = f"{self.cluster_id:x}", f"{header.cluster_id:x}"
            raise HistoryChangedError(f"the KV is another one: cluster {now} instead of {was}")
        self.cluster_id = header.cluster_id
        if header.revision < self._seen_revision:
            # Of a key that is watched: another might not be ours to read.
            key = next(iter(self.watches.values())).key
            request = rpc_pb2.RangeRequest(key=key, count_only=True)
            answer = await self._caller.read(RANGE, request, rpc_pb2.RangeResponse)
            if answer.header.revision < self._seen_revision:
                raise HistoryChangedError(
                    f"the KV was set back: it is at revision {answer.header.revision}, "
                    f"and was at {self._seen_revision}"
                )
        self._seen_revision = max(self._seen_revision, header.revision)

    def _accept(self, response: rpc_pb2.WatchResponse) -> tuple[Watched, WatchBatch] | None:
        """Return what *response* gives the consumer, if anything."""
        if response.created and self._asked:
            watched = self.watches.get(self._asked.popleft().id)
        elif response.watch_id == -1:
            # Said of all: how far they are.
            watched = next(iter(self.watches.values()), None)
        else:
            watched = self.watches.get(response.watch_id)
        if watched is None:
            return None
        if response.canceled:
            raise self._ending(watched, response)
        if response.created:
            watched.created(response)
            self._tokens_refused = 0
            return None
        if self._caller.namespace is not None:
            self._caller.namespace.inward(response)
        batch = watched.accept(response)
        if response.watch_id != -1:
            reached = batch.revision if batch is not None and batch.events else 0
            if not response.events:
                reached = response.header.revision
            self._seen_revision = max(self._seen_revision, reached)
        return None if batch is None else (watched, batch)

    def _ending(self, watched: Watched, response: rpc_pb2.WatchResponse) -> Exception:
        """Return what it means that the server ended *watched*."""
        reason = watched.ending(response)
        if isinstance(reason, UnavailableError):
            return reason
        if (
            isinstance(reason, PermissionDeniedError)
            and not watched.token_renewed
            and self._endpoints.refused(self._metadata)
        ):
            watched.token_renewed = True
            return _TokenRefusedError(str(reason))
        del self.watches[watched.id]
        return EndedError(watched, reason)

    async def _lose(self, cause: C101Error) -> C101Error:
        """Let go of the stream that failed with *cause*.

        Returns what there is to be told of it. Raises what *cause* means instead when trying again
        is of no use.
        """
        failure = from_rpc(cause) if isinstance(cause, RpcError) else cause
        known = self.problem
        self.problem = told = self._reasons.hear(failure, endpoints=len(self._endpoints))
        if self.connected:
            self._stream = None
            await self._stack.aclose()
            if self._clock.monotonic() - self._since >= SETTLED_SECONDS:
                self._backoff.reset()
            self._tell_link(connected=False)
        if self._on_problem is not None and str(known) != str(told):
            self._on_problem(told)
        if isinstance(cause, _TokenRefusedError) or self._takes_another_token(cause):
            return failure
        refused = isinstance(cause, RpcError) and cause.status not in _PASSING
        if refused or self._endpoints.closed or isinstance(failure, AuthError | HostKeyError):
            self.closed = True
            raise failure from cause
        if self._endpoint is not None:
            self._endpoints.leave(self._endpoint)
        logger.debug("watch has no link", extra={"reason": str(failure)})
        return told

    def _takes_another_token(self, cause: C101Error) -> bool:
        if rule(cause).fate is not Fate.TOKEN_REFUSED or self._tokens_refused >= TOKENS_MAX:
            return False
        self._tokens_refused += 1
        return self._endpoints.refused(self._metadata)

    def _tell_link(self, *, connected: bool) -> None:
        if self._on_link is not None:
            self._on_link(connected)


async def _message(stream: ClientStream) -> rpc_pb2.WatchResponse:
    """Return the next message; a stream that ends without a reason counts as a lost link."""
    try:
        return decode(rpc_pb2.WatchResponse, await anext(stream))
    except StopAsyncIteration:
        raise LinkError("the KV ended the watch's stream") from None
