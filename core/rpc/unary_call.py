"""A unary call: one message in, one message or a status out."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from c101.core.rpc import frames
from c101.core.rpc.header_block import OK_TRAILERS, RESPONSE
from c101.core.rpc.limits import FRAME_BYTES_MAX
from c101.core.rpc.messages import PREFIX_BYTES, unpack_prefix
from c101.core.rpc.routes import UnaryHandler
from c101.core.rpc.server_call import ANSWERED, ServerCall
from c101.core.rpc.status import Code, RpcError

logger = logging.getLogger(__name__)

# The two HEADERS frames of every good answer, but for the stream's number in their middle.
_HEAD_START: Final = frames.headers(0, RESPONSE, end_stream=False)[:5]
_TRAILERS_START: Final = frames.headers(0, OK_TRAILERS, end_stream=True)[:5]


class UnaryCall(ServerCall):
    """A unary call. Its handler answers by ``reply`` or ``fail``, at once or later."""

    __slots__ = ()

    patient = True

    def reply(self, message: bytes) -> None:
        """Answer with *message*, once; nothing happens when the call is over."""
        if self.state:
            return
        self.state = ANSWERED
        server = self.server
        size = len(message) + PREFIX_BYTES
        # The usual answer goes out as three frames in one step: it fits one frame, every window
        # and this write, and nothing about the stream is unusual.
        if (
            size <= server.room
            and size <= server.send_window
            and size <= self.send_window
            and size <= FRAME_BYTES_MAX
            and self.inbound is None
            and not server.table_update
        ):
            server.room -= size
            server.send_window -= size
            stream_id = self.stream_id
            del server.streams[stream_id]
            if self.bucket is not None:
                self.bucket.discard(self)
            number = stream_id.to_bytes(4, "big")
            server.output += (
                _HEAD_START,
                number,
                RESPONSE,
                frames.pack_message_header(0, size, 0, 0, stream_id, 0, size - PREFIX_BYTES),
                message,
                _TRAILERS_START,
                number,
                OK_TRAILERS,
            )
            if not server.woken:
                server.woken = True
                server.wake()
        else:
            self.send_headers()
            server.send_message(self, message)
            self.end(OK_TRAILERS)

    def reply_parts(self, parts: Sequence[bytes]) -> None:
        """Answer with *parts*, together one message, as ``reply`` does; a long one is not joined.

        Parts of some ten thousand bytes are best: each is a frame or more of its own.
        """
        if sum(map(len, parts)) <= FRAME_BYTES_MAX - PREFIX_BYTES:
            self.reply(b"".join(parts))
        elif not self.state:
            self.state = ANSWERED
            self.send_headers()
            self.server.send_parts(self, parts)
            self.end(OK_TRAILERS)

    def on_data(self, payload: bytes, flow_bytes: int, end: int) -> None:
        """Take the request: nearly always one message, whole, in one frame that ends it."""
        size = len(payload)
        if (
            end
            and size >= PREFIX_BYTES
            and unpack_prefix(payload) == (0, size - PREFIX_BYTES)
            and size == flow_bytes
            and self.inbound is None
            and not self.remote_closed
        ):
            self.remote_closed = True
            self._handle(payload[PREFIX_BYTES:])
        else:
            super().on_data(payload, flow_bytes, end)

    def on_message(self, message: bytes) -> None:
        """Keep the request until the caller says that it was the only one."""
        assert self.inbound is not None
        self.inbound.unread.append(message)
        if len(self.inbound.unread) > 1:
            self.fail(Code.INTERNAL, "grpc: a second message on a unary call")

    def on_end(self) -> None:
        """Hand the request to the handler."""
        if self.inbound is None or not self.inbound.unread:
            self.fail(Code.INTERNAL, "grpc: a unary call without a message")
        elif not self.state:
            message = self.inbound.unread.popleft()
            self.consumed(message)
            self._handle(message)

    def on_malformed(self, error: RpcError) -> None:
        """Refuse the request."""
        self.fail(error.status, error.message)

    def on_writable(self) -> None:
        """Do nothing: a unary answer is queued whole."""

    def _handle(self, message: bytes) -> None:
        handler = self.head.unary
        assert handler is not None
        try:
            handler(self, message)
        except RpcError as error:
            self.fail(error.status, error.message)
        except Exception:
            # A fault in one handler must end its call only, not the connection of all others.
            logger.exception("handler failed", extra={"method": self.method.decode()})
            self.fail(Code.INTERNAL, "internal error")

    async def run(self, answer: Callable[[bytes], Awaitable[bytes]], message: bytes) -> None:
        """Answer *message* with what *answer* returns or raises."""
        try:
            self.reply(await answer(message))
        except RpcError as error:
            self.fail(error.status, error.message)
        except Exception:
            # As in ``_handle``.
            logger.exception("handler failed", extra={"method": self.method.decode()})
            self.fail(Code.INTERNAL, "internal error")


def unary(answer: Callable[[bytes], Awaitable[bytes]]) -> UnaryHandler:
    """Make a handler of a coroutine function: it runs in a task that ends with the call."""

    def handler(call: UnaryCall, message: bytes) -> None:
        call.task = call.server.spawn(call.run(answer, message), call.method)

    return handler
