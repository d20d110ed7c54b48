"""What unary and streaming calls share on the client's side."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from c101.core.errors import C101Error, DeadlineExceededError
from c101.core.rpc.frames import DATA, END_STREAM, ErrorCode, frame
from c101.core.rpc.responses import ResponseHead
from c101.core.rpc.status import CallLostError, Code, RpcError
from c101.core.rpc.stream import CONNECTION_LOST, Stream

if TYPE_CHECKING:
    from c101.core.rpc.client_connection import ClientConnection

#: What a reset means to a caller (gRPC over HTTP/2, "Errors"); INTERNAL for the others.
_RESET_CODES: Final[dict[int, Code]] = {
    ErrorCode.REFUSED_STREAM: Code.UNAVAILABLE,
    ErrorCode.CANCEL: Code.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: Code.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: Code.PERMISSION_DENIED,
}


class NotProcessedError(RpcError):
    """The other side says that it did nothing about the call: it may be made again."""

    def __init__(self, reason: str) -> None:
        super().__init__(Code.UNAVAILABLE, reason)


class ClientCall(Stream):
    """A call that this side made. It is over when ``complete`` has been called, once."""

    __slots__ = ("client", "head", "local_closed", "method", "over", "timeout")

    def __init__(
        self, client: "ClientConnection", method: str, block: bytes, timeout: float | None
    ) -> None:
        super().__init__(client, client.take_stream_id())
        self.client = client
        self.method = method
        self.timeout = timeout
        self.head: ResponseHead | None = None
        self.local_closed = False
        self.over = False
        client.open(self, block)

    @abstractmethod
    def complete(self, error: C101Error | None) -> None:
        """Hear how the call ended; ``None`` is OK."""

    def end(self) -> None:
        """Say that this side sends no more messages."""
        if not self.over and not self.local_closed:
            self.local_closed = True
            self.client.end_stream(self, frame(DATA, END_STREAM, self.stream_id))

    def cancel(self) -> None:
        """Give the call up, if it is not over."""
        if not self.over:
            self.over = True
            self.client.cancel(self)

    def on_head(self, head: ResponseHead, *, end: bool) -> None:
        """Take the answer's head or its trailers."""
        if head.informational:
            return
        if self.head is None:
            self.head = head
        if head.problem is not None:
            code, text = head.problem
            self._end(RpcError(code, text), remote_ended=end)
        elif end:
            self._on_trailers(head)

    def _on_trailers(self, head: ResponseHead) -> None:
        inbound = self.inbound
        error: C101Error | None = None
        if head.status is None:
            error = RpcError(Code.INTERNAL, "the answer ended without a status")
        elif head.status is not Code.OK:
            error = self._error(head.status, head.message)
        elif inbound is not None and not inbound.reader.empty:
            error = RpcError(Code.INTERNAL, "the answer ended within a message")
        self._end(error, remote_ended=True)

    def _error(self, status: Code, message: str) -> C101Error:
        if status is Code.DEADLINE_EXCEEDED and self.timeout is not None:
            return self._deadline_error()
        return RpcError(status, message)

    def _deadline_error(self) -> DeadlineExceededError:
        text = f"{self.client.name} did not answer {self.method} within {self.timeout:g} s"
        return DeadlineExceededError(text)

    def _end(self, error: C101Error | None, *, remote_ended: bool = False) -> None:
        """End both sides: the answer is complete, or of no use."""
        if self.over:
            return
        self.over = True
        # Unread messages stay for the reader; their window dies with the stream.
        self.remote_closed = True
        if remote_ended and self.local_closed and self.ending is None:
            self.client.forget(self)
        else:
            self.client.cancel(self)
        self.complete(error)

    def on_deadline(self) -> None:
        """Give the call up: its time has passed."""
        self._end(self._deadline_error())

    def on_end(self) -> None:
        """Hear that the answer ended in DATA: a gRPC answer ends in trailers."""
        error = RpcError(Code.INTERNAL, "the answer ended without a status")
        self._end(error, remote_ended=True)

    def on_malformed(self, error: RpcError) -> None:
        """Give the call up: its answer cannot be taken."""
        self._end(error)

    def on_reset(self, error: int, reason: str) -> None:
        """End the call: the stream or the connection is gone."""
        if self.over:
            return
        self.over = True
        if error == CONNECTION_LOST:
            self.complete(CallLostError(self.client.name, reason, maybe_sent=True))
        elif error == ErrorCode.REFUSED_STREAM:
            self.complete(NotProcessedError(reason))
        elif error == ErrorCode.CANCEL and self.timeout is not None:
            # A server that enforces the deadline may say it so (grpc-go does).
            self.complete(self._error(Code.CANCELLED, reason))
        else:
            self.complete(RpcError(_RESET_CODES.get(error, Code.INTERNAL), reason))

    def on_not_processed(self, reason: str) -> None:
        """Hear that the connection ends and the call was not looked at."""
        if not self.over:
            self.over = True
            self.complete(NotProcessedError(reason))
