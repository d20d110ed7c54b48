"""The client's end of a transport: greeting, PINGs and keepalive."""

import asyncio

from c101.core.errors import C101Error, LinkError, LinkLostError
from c101.core.rpc.client_connection import ClientConnection
from c101.core.rpc.limits import Limits
from c101.core.rpc.wakeups import Signal
from c101.core.rpc.wire import Wire

#: How long a PING of keepalive may take at most before the link is given up; it is twice the
#: keepalive's own interval where that is less.
KEEPALIVE_ANSWER_SECONDS_MAX = 10.0

#: PINGs whose answers are waited for at once.
PINGS_MAX = 16


class ClientWire(Wire):
    """One connection of a channel. ``changed`` wakes those who wait for it to take a call."""

    def __init__(self, name: str, limits: Limits, keepalive_seconds: float | None) -> None:
        super().__init__()
        self.changed = Signal()
        self.client = ClientConnection(name, limits, now=self._loop.time, wake=self.wake)
        self.client.on_change = self._on_change
        self.client.on_ping_answer = self._on_ping_answer
        self.connection = self.client
        self._keepalive_seconds = keepalive_seconds
        self._keepalive: asyncio.TimerHandle | None = None
        self._heard = False
        self._probing = False
        self._pings: dict[bytes, asyncio.Future[None]] = {}
        self._pings_sent = 0
        self._retired = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the server."""
        super().connection_made(transport)
        self.flush()
        if self._keepalive_seconds is not None:
            self._keepalive = self._loop.call_later(self._keepalive_seconds, self._check)

    def data_received(self, data: bytes) -> None:
        """Hand *data* to the connection and write what it answers."""
        self._heard = True
        self._probing = False
        super().data_received(data)

    async def greeted(self) -> None:
        """Wait for the server's SETTINGS: it is there, and it speaks HTTP/2.

        Raises:
            LinkError: the link ended before.
        """
        while not self.client.greeted:
            if self.client.closed:
                raise LinkError(f"{self.client.name} closed the link without a word of HTTP/2")
            await self.changed.wait()

    async def ping(self) -> float:
        """Return how long the server takes to answer a PING, in seconds.

        Raises:
            LinkLostError: the link ended before the answer came.
        """
        if len(self._pings) >= PINGS_MAX:
            raise C101Error(f"{PINGS_MAX} pings are unanswered by {self.client.name}")
        self._pings_sent += 1
        opaque = self._pings_sent.to_bytes(8, "big")
        answer = self._pings[opaque] = self._loop.create_future()
        start = self._loop.time()
        try:
            self.client.ping(opaque)
            await answer
        finally:
            self._pings.pop(opaque, None)
        return self._loop.time() - start

    def _on_ping_answer(self, opaque: bytes) -> None:
        answer = self._pings.get(opaque)
        if answer is not None and not answer.done():
            answer.set_result(None)

    def _check(self) -> None:
        """Probe a link that was silent, and give up one that did not answer the probe."""
        assert self._keepalive_seconds is not None
        seconds = self._keepalive_seconds
        answer_seconds = min(KEEPALIVE_ANSWER_SECONDS_MAX, 2 * seconds)
        if self._probing:
            self.client.abort(f"no answer to a keepalive within {answer_seconds:g} s")
            return
        # Without calls there is nothing to keep: and grpc's servers refuse such pings.
        if not self._heard and self.client.streams:
            self._probing = True
            self.client.ping(bytes(8))
            seconds = answer_seconds
        self._heard = False
        self._keepalive = self._loop.call_later(seconds, self._check)

    def _on_change(self) -> None:
        self.changed.notify()
        if self._retired or self.client.goaway_received:
            self._close_when_idle()

    def retire(self) -> None:
        """Close once the calls that run have ended."""
        self._retired = True
        self._close_when_idle()

    def _close_when_idle(self) -> None:
        if not self.client.streams and self.transport is not None:
            self.transport.close()

    def close(self) -> None:
        """End every call and close."""
        if not self.client.closed:
            self.client.lose("closed by this side")
        if self.transport is not None:
            self.flush()

    async def closed(self) -> None:
        """Wait until the transport is gone."""
        while self.transport is not None:
            await self.changed.wait()

    def abort(self) -> None:
        """Drop the transport without waiting for what it still holds."""
        if self.transport is not None:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what still waits."""
        if self._keepalive is not None:
            self._keepalive.cancel()
        super().connection_lost(exc)
        for answer in self._pings.values():
            if not answer.done():
                answer.set_exception(LinkLostError(f"lost {self.client.name}"))
        self.changed.notify()
