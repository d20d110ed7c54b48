"""A streaming call on the client's side."""

from typing import TYPE_CHECKING, Self

from c101.core.errors import C101Error
from c101.core.rpc.client_call import ClientCall
from c101.core.rpc.header_decoder import Field
from c101.core.rpc.status import Code, RpcError
from c101.core.rpc.wakeups import Signal

if TYPE_CHECKING:
    from c101.core.rpc.client_connection import ClientConnection


class ClientStream(ClientCall):
    """A streaming call. One task reads it by ``async for``; any code on the loop may send.

    Iteration ends when the other side ended with OK, and raises otherwise: RpcError,
    DeadlineExceededError, or CallLostError (a LinkLostError) when the link dropped. Messages that
    came before the end are delivered first.
    """

    __slots__ = ("_ended_by", "_readable", "_writable")

    def __init__(
        self, client: "ClientConnection", method: str, block: bytes, timeout: float | None
    ) -> None:
        super().__init__(client, method, block, timeout)
        self._readable = Signal()
        self._writable = Signal()
        self._ended_by: C101Error | None = None

    @property
    def metadata(self) -> tuple[Field, ...]:
        """The metadata of the answer's head; empty until it came."""
        return self.head.metadata if self.head is not None else ()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            inbound = self.inbound
            if inbound is not None and inbound.unread:
                message = inbound.unread.popleft()
                self.consumed(message)
                self.restore_window()
                return message
            if self.over:
                if self._ended_by is not None:
                    raise self._ended_by
                raise StopAsyncIteration
            await self._readable.wait()

    def send(self, message: bytes) -> None:
        """Send *message*, or queue it until the other side's windows allow.

        A call that is over takes it and drops it: how it ended is heard by iterating.

        Raises:
            RpcError: RESOURCE_EXHAUSTED, ``pending_bytes`` is over its maximum.
        """
        if self.over or self.local_closed:
            return
        if self.pending_bytes > self.client.limits.pending_bytes_max:
            text = f"the reader is too slow: {self.pending_bytes} bytes wait for it"
            raise RpcError(Code.RESOURCE_EXHAUSTED, text)
        self.client.send_message(self, message)

    async def drain(self) -> None:
        """Wait until ``pending_bytes`` is under the low-water mark, or the call is over."""
        while self.pending_bytes >= self.client.limits.drain_bytes_low and not self.over:
            await self._writable.wait()

    def cancel(self) -> None:
        """Give the call up, if it is not over; a reader that waits sees its end."""
        super().cancel()
        self._readable.notify()
        self._writable.notify()

    def on_message(self, message: bytes) -> None:
        """Queue *message* for the reader; the stream's window bounds the queue."""
        assert self.inbound is not None
        self.inbound.unread.append(message)
        self._readable.notify()

    def on_writable(self) -> None:
        """Let writers go on."""
        self._writable.notify()

    def complete(self, error: C101Error | None) -> None:
        """Let reader and writers see the end."""
        self._ended_by = error
        self._readable.notify()
        self._writable.notify()
