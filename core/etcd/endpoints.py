"""Where a request goes, and whether it may go again.

One channel an endpoint, one endpoint in use: the first, until it fails; then the next in order,
and so on in a circle. All that the client does shares it, so a dead server is found out once.

A request that was certainly not sent is tried on the next endpoint, whatever it does. One that
may have been carried out is sent again only if it is ``repeatable``: reads are, renewals of a lease
are, writes are not. All attempts share one deadline; a repeatable one gives an endpoint that does
not answer only its share of it, so that one silent server does not use up the time of all.

Who lives long waits for a server that is down to come up. Who was called by a person or a script
``fails_fast``: as long as nothing was ever reached, each endpoint is tried once.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

from google.protobuf.message import DecodeError, Message

from c101.core.clock import Clock
from c101.core.errors import (
    AuthError,
    C101Error,
    DeadlineExceededError,
    HostKeyError,
    LinkError,
    LinkLostError,
    ProtocolError,
)
from c101.core.etcd.backoff import Backoff
from c101.core.etcd.errors import UnavailableError, from_rpc
from c101.core.rpc.channel import Channel, ClientStream, Dialer
from c101.core.rpc.client_call import NotProcessedError
from c101.core.rpc.status import CallLostError, RpcError

#: A link with open calls that says nothing for so long is asked whether it is alive, and given up
#: when it does not say so in twice that. Questions are three times that apart, which etcd allows:
#: it refuses clients that ask more often than every 5 s.
KEEPALIVE_SECONDS = 2.0

#: What a link that left a request unanswered has for the answer to a PING.
PROBE_SECONDS = 1.0

#: An attempt to connect goes on for so long, for whoever comes to wait for it.
CONNECT_SECONDS_MAX = 20.0

#: The least time an attempt is given, however many endpoints share the deadline.
ATTEMPT_SECONDS_MIN = 0.25

#: Ends a stream on a member that lost its leader, instead of leaving it silent (etcd:
#: api/v3rpc/rpctypes/metadatafields.go).
REQUIRE_LEADER = ((b"hasleader", b"true"),)

_M = TypeVar("_M", bound=Message)

logger = logging.getLogger(__name__)

#: Sends one request to an endpoint within so many seconds, and returns the raw answer.
Send = Callable[["Endpoint", float], Awaitable[bytes]]


class Endpoint:
    """One server: its place in the order, its name for messages, and the channel to it."""

    def __init__(self, index: int, dialer: Dialer) -> None:
        self.index = index
        self.name = dialer.name
        self.channel = Channel(dialer, keepalive_seconds=KEEPALIVE_SECONDS)
        self._dialer = dialer
        self._connecting: asyncio.Task[float] | None = None
        self._probing: asyncio.Task[None] | None = None

    async def connect(self, timeout_seconds: float) -> None:
        """Have a link that answers; one that stands is taken as it is.

        All who wait share one attempt. Raises LinkError: there is no link, within the time given.
        """
        if self.channel.connected:
            return
        if self._connecting is None:
            attempt = self.channel.ping(CONNECT_SECONDS_MAX)
            self._connecting = asyncio.create_task(attempt, name=f"connect {self.name}")
            self._connecting.add_done_callback(self._connected)
        connecting = self._connecting
        await asyncio.wait([connecting], timeout=timeout_seconds)
        if not connecting.done():
            raise LinkError(f"{self.name} did not answer within {timeout_seconds:.1f} s")
        if connecting.cancelled():
            # Not awaited itself: its cancellation is not that of who waited for it.
            raise LinkError(f"the link to {self.name} was closed")
        connecting.result()

    def suspect(self) -> None:
        """Have the link probed, since a request was not answered; a dead one is replaced.

        A lease would be lost before the channel's own keepalive gave such a link up.
        """
        if self._probing is None and self.channel.connected:
            self._probing = asyncio.create_task(self._probe(), name=f"probe {self.name}")
            self._probing.add_done_callback(self._probed)

    async def close(self) -> None:
        """Close the channel, and give up connecting."""
        await self.channel.close()
        tasks = [task for task in (self._connecting, self._probing) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _probe(self) -> None:
        suspected = self.channel
        try:
            await suspected.ping(PROBE_SECONDS)
        except DeadlineExceededError:
            self.channel = Channel(self._dialer, keepalive_seconds=KEEPALIVE_SECONDS)
            await suspected.close()
        except C101Error as exc:
            logger.debug("probe ended early", extra={"link": self.name, "reason": str(exc)})

    def _probed(self, _: asyncio.Task[None]) -> None:
        self._probing = None

    def _connected(self, attempt: asyncio.Task[float]) -> None:
        self._connecting = None
        # Read here too, lest a failure that nobody waits for any more be reported as unread.
        if not attempt.cancelled():
            attempt.exception()


class Endpoints:
    """The servers of one KV, in order of preference."""

    def __init__(
        self, dialers: Sequence[Dialer], *, clock: Clock, fails_fast: bool = False
    ) -> None:
        assert dialers, "a client needs an endpoint"
        self._clock = clock
        self._waits = not fails_fast
        self._all = [Endpoint(index, dialer) for index, dialer in enumerate(dialers)]
        self._index = 0
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    @property
    def closed(self) -> bool:
        """Whether the client was closed: then no attempt is worth repeating."""
        return self._closed

    def share(self, timeout_seconds: float) -> float:
        """Return what one endpoint may use of *timeout_seconds* before the next is tried."""
        return max(timeout_seconds / len(self._all), ATTEMPT_SECONDS_MIN)

    @property
    def current(self) -> Endpoint:
        """The endpoint in use."""
        return self._all[self._index]

    async def connect(self, endpoint: Endpoint, timeout_seconds: float) -> None:
        """Have a link to *endpoint* (``Endpoint.connect``), and remember that there was one."""
        await endpoint.connect(timeout_seconds)
        self._waits = True

    def is_hopeless(self, failures: int) -> bool:
        """Say whether trying again, after so many failures, is of no use to who fails fast."""
        return not self._waits and failures >= len(self._all)

    def leave(self, endpoint: Endpoint) -> None:
        """Go on to the one after *endpoint*, unless somebody else has."""
        if self._index == endpoint.index:
            self._index = (endpoint.index + 1) % len(self._all)

    async def close(self) -> None:
        """Close every channel. What is under way, and all that follows, fails with LinkError."""
        self._closed = True
        for endpoint in self._all:
            await endpoint.close()

    async def call(
        self,
        path: str,
        request: Message,
        answer: type[_M],
        *,
        timeout_seconds: float,
        repeatable: bool,
        revision: int = 0,
    ) -> _M:
        """Send *request* and return its answer, from whichever endpoint gives one.

        Raises:
            LinkError: no endpoint answered in time.
            LinkLostError: the link ended and the request, not repeatable, may have been carried
                out.
            DeadlineExceededError: an endpoint took the request and did not answer in time.
            KVError: the KV refused.
        """
        raw = request.SerializeToString()

        async def send(endpoint: Endpoint, seconds: float) -> bytes:
            return await endpoint.channel.unary(path, raw, timeout=seconds)

        attempts = _Attempts(self, timeout_seconds, repeatable=repeatable)
        return decode(answer, await attempts.make(send, revision=revision))

    async def exchange(
        self, path: str, request: Message, answer: type[_M], *, timeout_seconds: float
    ) -> _M:
        """Send one message on a stream of its own and return the first answer: repeatable.

        For calls that etcd only has as streams. Raises as ``call``.
        """
        raw = request.SerializeToString()

        async def send(endpoint: Endpoint, seconds: float) -> bytes:
            async with self.stream(endpoint, path, timeout_seconds=seconds) as stream:
                stream.send(raw)
                stream.end()
                async for message in stream:
                    return message
            raise LinkLostError(f"{endpoint.name} ended the stream without an answer")

        attempts = _Attempts(self, timeout_seconds, repeatable=True)
        return decode(answer, await attempts.make(send))

    def stream(
        self, endpoint: Endpoint, path: str, *, timeout_seconds: float | None = None
    ) -> AbstractAsyncContextManager[ClientStream]:
        """Open a stream on *endpoint*; it ends when that member is without a leader."""
        return endpoint.channel.stream(path, metadata=REQUIRE_LEADER, timeout=timeout_seconds)

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._clock


class _Attempts:
    """The attempts at one request, under one deadline."""

    def __init__(self, endpoints: Endpoints, timeout_seconds: float, *, repeatable: bool) -> None:
        self._endpoints = endpoints
        self._clock = endpoints.clock
        self._timeout_seconds = timeout_seconds
        self._deadline = self._clock.monotonic() + timeout_seconds
        self._repeatable = repeatable
        self._connecting = False
        self._count = 0
        self._backoff = Backoff()

    async def make(self, send: Send, *, revision: int = 0) -> bytes:
        """Call *send* until it answers. Raises the last failure when no more may be made."""
        while True:
            endpoint = self._endpoints.current
            try:
                # Whatever fails before there is a link, nothing was asked.
                self._connecting = True
                await self._endpoints.connect(endpoint, self._share())
                self._connecting = False
                seconds = self._share() if self._repeatable else self._left()
                return await send(endpoint, seconds)
            except RpcError as exc:
                failure = from_rpc(exc, revision=revision)
                if not (isinstance(exc, NotProcessedError) or self._may_repeat(failure)):
                    raise failure from exc
            except (LinkError, DeadlineExceededError) as exc:
                failure = exc
                if isinstance(exc, DeadlineExceededError):
                    endpoint.suspect()
                if not self._may_repeat(failure):
                    # Nor will the next request begin with this endpoint, where there is another.
                    self._endpoints.leave(endpoint)
                    raise
            await self._pause(endpoint, failure)

    async def _pause(self, endpoint: Endpoint, failure: C101Error) -> None:
        """Leave *endpoint*; wait once all were tried. Raises *failure* when time is up.

        An endpoint that refuses us, or shows another key, is not asked twice.
        """
        self._endpoints.leave(endpoint)
        self._count += 1
        delay = 0.0
        if self._count % len(self._endpoints) == 0:
            refused = isinstance(failure, AuthError | HostKeyError)
            if refused or self._endpoints.is_hopeless(self._count):
                raise failure
            delay = self._backoff.next()
        if self._left() <= delay:
            raise failure
        if delay:
            await self._clock.sleep(delay)

    def _may_repeat(self, failure: C101Error) -> bool:
        if self._endpoints.closed:
            return False
        if self._connecting:
            return True
        if isinstance(failure, CallLostError) and not failure.maybe_sent:
            return True
        if isinstance(failure, UnavailableError | LinkLostError | DeadlineExceededError):
            return self._repeatable
        # What is left of LinkError never became a link; the rest is a refusal.
        return isinstance(failure, LinkError)

    def _left(self) -> float:
        return self._deadline - self._clock.monotonic()

    def _share(self) -> float:
        return max(min(self._endpoints.share(self._timeout_seconds), self._left()), 0.001)


def decode(kind: type[_M], raw: bytes) -> _M:
    """Read a message. Raises ProtocolError."""
    try:
        return kind.FromString(raw)
    except DecodeError as exc:
        raise ProtocolError(f"the KV sent no {kind.DESCRIPTOR.name}") from exc
