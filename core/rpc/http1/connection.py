"""One HTTP/1.1 connection on a transport: reads requests, runs the handler, one at a time."""

import asyncio
import logging
from collections.abc import Callable

from c101.core.rpc.http1.exchange import Exchange, HttpHandler
from c101.core.rpc.http1.limits import DROPPED_BYTES_MAX, UNREAD_BYTES_MAX, Http1Limits
from c101.core.rpc.http1.parser import RequestParser
from c101.core.rpc.http1.request import HttpError, HttpRequest
from c101.core.rpc.http1.response import encode_response, text_response
from c101.core.rpc.peer import Peer
from c101.core.rpc.wakeups import Signal, next_turn

logger = logging.getLogger(__name__)


class Http1Connection:
    """One client's connection; ``run`` serves it until either side ends it.

    Its owner hands on what the transport says: ``receive``, ``end_of_input``, ``pause``,
    ``resume`` and ``lose``. ``secure`` says whether TLS lies below, ``local_address`` is the
    host that the client reached, empty for what is no TCP.
    """

    def __init__(
        self, handler: HttpHandler, transport: asyncio.Transport, peer: Peer, limits: Http1Limits
    ) -> None:
        self.peer = peer
        self.secure = transport.get_extra_info("ssl_object") is not None
        self.local_address = ""
        if peer.kind == "tcp":
            self.local_address = str(transport.get_extra_info("sockname")[0])
        self._handler = handler
        self._transport = transport
        self.limits = limits
        self._parser = RequestParser()
        self._arrived = Signal()
        self._writable = Signal()
        self._paused = False
        self._no_more_input = False
        # Set while reading is paused, and when it has been for too long.
        self._stalled: asyncio.TimerHandle | None = None
        self._draining = False
        self._lingering = False
        self._exchange: Exchange | None = None
        self._at_close: list[Callable[[], None]] = []
        self._task: asyncio.Task[None] | None = None

    # ---- what the transport says ----

    def receive(self, data: bytes) -> None:
        """Take what arrived; read no more when it is too much."""
        if self._lingering:
            return
        self._parser.feed(data)
        self._arrived.notify()
        if self._parser.unread > UNREAD_BYTES_MAX and self._stalled is None:
            self._transport.pause_reading()
            self._stalled = self._abort_after(self.limits.stalled_seconds)

    def end_of_input(self) -> bool:
        """Hear that the client sends no more; return whether it may still get its answer.

        A client that has said all and waits may be a pipe that was closed; one that has gone away
        looks the same, so the time for it is short. TLS knows no half of a connection.
        """
        self._no_more_input = True
        self._arrived.notify()
        if self.secure or self._lingering or (self._exchange is None and not self._parser.unread):
            return False
        self.at_close(self._abort_after(self.limits.half_closed_seconds).cancel)
        return True

    def _abort_after(self, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def pause(self) -> None:
        """Hold answers back: the transport is full."""
        self._paused = True

    def resume(self) -> None:
        """Let answers go on."""
        self._paused = False
        self._writable.notify()

    def lose(self) -> None:
        """Hear that the connection is gone: end the handler."""
        if self._task is not None:
            self._task.cancel()
        if self._stalled is not None:
            self._stalled.cancel()
        for then in self._at_close:
            then()
        self._at_close.clear()

    def drain(self) -> None:
        """Take no more requests, and close when the one that runs is answered."""
        self._draining = True
        if self._exchange is None:
            self._transport.close()

    # ---- what an exchange needs ----

    def at_close(self, then: Callable[[], None]) -> None:
        """Call *then* once the connection is gone."""
        self._at_close.append(then)

    @property
    def unread(self) -> int:
        """How many bytes arrived that nobody asked for."""
        return self._parser.unread

    def write(self, data: bytes) -> None:
        """Write at once; nothing when the connection is gone."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def send(self, data: bytes) -> None:
        """Write *data*, after what the client has not read has become little enough."""
        while self._paused:
            await self._writable.wait()
        self.write(data)

    async def read(self) -> bytes:
        """Return the next piece of the body, nothing at its end."""
        while True:
            piece = self._parser.next_piece()
            self._read_on()
            if piece or self._parser.body_done:
                return piece
            if self._no_more_input:
                raise HttpError(400, "the body ended early")
            await self._arrived.wait()

    def _read_on(self) -> None:
        if self._stalled is not None and self._parser.unread <= UNREAD_BYTES_MAX:
            self._stalled.cancel()
            self._stalled = None
            self._transport.resume_reading()

    # ---- serving ----

    def start(self, task: asyncio.Task[None]) -> None:
        """Note the task that ``run`` is."""
        self._task = task

    async def run(self) -> None:
        """Serve request after request; close the transport at the end."""
        try:
            while not self._draining and not self._transport.is_closing():
                request = await self._next_request()
                if request is None or not await self._serve(request):
                    break
                # A flood of requests that cost nothing must not hold up everybody else.
                await next_turn()
        except HttpError as error:
            self._refuse(error)
        try:
            await self._linger()
        finally:
            self._transport.close()

    async def _linger(self) -> None:
        """Say that no more comes, and wait until the client has heard it."""
        transport = self._transport
        if self._no_more_input or self._draining or self.secure or transport.is_closing():
            return
        self._lingering = True
        if self._stalled is not None:
            self._stalled.cancel()
            transport.resume_reading()
        transport.write_eof()
        try:
            async with asyncio.timeout(self.limits.linger_seconds):
                while not self._no_more_input:
                    await self._arrived.wait()
        except TimeoutError:
            return

    async def _next_request(self) -> HttpRequest | None:
        limits, parser = self.limits, self._parser
        try:
            async with asyncio.timeout(limits.idle_seconds):
                while not parser.unread:
                    if self._no_more_input:
                        return None
                    await self._arrived.wait()
        except TimeoutError:
            return None
        try:
            async with asyncio.timeout(limits.head_seconds):
                while (request := parser.next_request()) is None:
                    self._read_on()
                    if self._no_more_input:
                        return None
                    await self._arrived.wait()
        except TimeoutError:
            raise HttpError(408, "the request took too long") from None
        self._read_on()
        return request

    async def _serve(self, request: HttpRequest) -> bool:
        """Have one request answered; return whether another may follow."""
        exchange = self._exchange = Exchange(self, request)
        try:
            await self._handler(exchange)
            if not exchange.answered:
                await exchange.respond(text_response(500, "internal error"))
            await exchange.finish()
        except HttpError:
            if exchange.answered:
                self._transport.abort()
                return False
            raise
        except Exception:
            # A fault in one handler ends its connection only; a cut answer must look like one.
            logger.exception("handler failed", extra={"method": request.path})
            if exchange.answered:
                self._transport.abort()
            else:
                await exchange.respond(text_response(500, "internal error"))
            return False
        finally:
            self._exchange = None
        return exchange.keep_alive and not self._draining and await self._drop_body()

    async def _drop_body(self) -> bool:
        """Read what is left of the body; return whether its end was found."""
        dropped = 0
        try:
            async with asyncio.timeout(self.limits.drop_seconds):
                while not self._parser.body_done and dropped < DROPPED_BYTES_MAX:
                    dropped += len(await self.read())
                    await next_turn()
        except (TimeoutError, HttpError):
            # What is wrong with it is of no interest: its request has been answered.
            return False
        return self._parser.body_done

    def _refuse(self, error: HttpError) -> None:
        response = text_response(error.status, str(error))
        self.write(encode_response(response, close=True, with_body=True))
