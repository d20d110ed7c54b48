"""A streaming call on the server's side: any number of messages in, any number out."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from c101.core.rpc.header_block import OK_TRAILERS
from c101.core.rpc.limits import MESSAGES_PER_TURN
from c101.core.rpc.routes import RequestHead
from c101.core.rpc.server_call import ANSWERED, ServerCall
from c101.core.rpc.status import Code, RpcError
from c101.core.rpc.wakeups import Signal, next_turn

if TYPE_CHECKING:
    from c101.core.rpc.server_connection import ServerConnection

logger = logging.getLogger(__name__)


class ServerStream(ServerCall):
    """A streaming call. One task reads it by ``async for``; any code on the loop may send.

    A reader that finds many messages waiting gives others a turn now and then.
    The handler's task is cancelled when the caller goes away or the deadline passes.
    ``pending_bytes`` is what waits for the caller to read: a handler that makes messages faster
    than that awaits ``drain()``.
    """

    __slots__ = ("_readable", "_turn_left", "_writable")

    def __init__(self, server: "ServerConnection", stream_id: int, head: RequestHead) -> None:
        super().__init__(server, stream_id, head)
        self._readable = Signal()
        self._turn_left = MESSAGES_PER_TURN
        self._writable = Signal()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._turn_left -= 1
        if not self._turn_left:
            self._turn_left = MESSAGES_PER_TURN
            await next_turn()
        while True:
            inbound = self.inbound
            if inbound is not None and inbound.unread:
                message = inbound.unread.popleft()
                self.consumed(message)
                self.restore_window()
                return message
            if self.remote_closed or self.state:
                raise StopAsyncIteration
            await self._readable.wait()
            self._turn_left = MESSAGES_PER_TURN

    def send(self, message: bytes) -> None:
        """Send *message*, or queue it until the caller's windows allow; nothing when over.

        Raises:
            RpcError: RESOURCE_EXHAUSTED, ``pending_bytes`` is over its maximum.
        """
        if self.state:
            return
        self._refuse_if_slow()
        self.send_headers()
        self.server.send_message(self, message)

    def send_parts(self, parts: Sequence[bytes]) -> None:
        """Send *parts*, together one message, as ``send`` does, without joining them."""
        if self.state:
            return
        self._refuse_if_slow()
        self.send_headers()
        self.server.send_parts(self, parts)

    def _refuse_if_slow(self) -> None:
        if self.pending_bytes > self.server.limits.pending_bytes_max:
            text = f"the reader is too slow: {self.pending_bytes} bytes wait for it"
            raise RpcError(Code.RESOURCE_EXHAUSTED, text)

    async def drain(self) -> None:
        """Wait until ``pending_bytes`` is under the low-water mark, or the call is over."""
        while self.pending_bytes >= self.server.limits.drain_bytes_low and not self.state:
            await self._writable.wait()

    async def run(self) -> None:
        """Run the handler; answer with how it ended."""
        handler = self.head.stream
        assert handler is not None
        try:
            await handler(self)
        except RpcError as error:
            self.fail(error.status, error.message)
        except Exception:
            # A fault in one handler must end its call only, not the connection of all others.
            logger.exception("handler failed", extra={"method": self.method.decode()})
            self.fail(Code.INTERNAL, "internal error")
        else:
            if not self.state:
                self.state = ANSWERED
                self.end(OK_TRAILERS)

    def on_message(self, message: bytes) -> None:
        """Queue *message* for the reader; the stream's window bounds the queue."""
        assert self.inbound is not None
        self.inbound.unread.append(message)
        self._readable.notify()

    def on_end(self) -> None:
        """Let the reader see the end."""
        self._readable.notify()

    def on_malformed(self, error: RpcError) -> None:
        """End the call with *error*."""
        self.stop(error.status, error.message)

    def on_reset(self, error: int, reason: str) -> None:
        """End whoever waits: the caller has gone away."""
        super().on_reset(error, reason)
        self._readable.notify()
        self._writable.notify()

    def on_writable(self) -> None:
        """Let writers go on."""
        self._writable.notify()
