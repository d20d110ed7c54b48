"""What unary and streaming calls share on the server's side."""

from typing import TYPE_CHECKING, Final

from c101.core.rpc.deadlines import Bucket
from c101.core.rpc.frames import headers
from c101.core.rpc.header_block import RESPONSE, trailers
from c101.core.rpc.header_decoder import Field
from c101.core.rpc.peer import Peer
from c101.core.rpc.routes import RequestHead
from c101.core.rpc.status import DEADLINE_TEXT, Code
from c101.core.rpc.stream import Stream

if TYPE_CHECKING:
    import asyncio

    from c101.core.rpc.server_connection import ServerConnection


#: Where a call stands. OPEN is false, so that ``if call.state`` means it is over; plain integers,
#: since every call compares them several times.
OPEN: Final = 0
ANSWERED: Final = 1
CANCELLED: Final = 2


class ServerCall(Stream):
    """A call, as its handler sees it."""

    __slots__ = ("bucket", "head", "headers_sent", "server", "state", "task")

    def __init__(self, server: "ServerConnection", stream_id: int, head: RequestHead) -> None:
        # Stream's fields are set here rather than by its __init__: this runs once a call, and a
        # chain of constructors costs a tenth of what a whole call does.
        self.connection = server
        self.server = server
        self.stream_id = stream_id
        self.send_window = server.peer_stream_window
        self.remote_closed = False
        self.inbound = None
        self.outbox = None
        self.ending = None
        self.pending_bytes = 0
        self.head = head
        self.state = OPEN
        self.headers_sent = False
        self.bucket: Bucket | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def method(self) -> bytes:
        """The path of the method: ``b"/package.Service/Method"``."""
        return self.head.method

    @property
    def metadata(self) -> tuple[Field, ...]:
        """The caller's metadata in order, names in lower case, ``-bin`` values as on the wire."""
        return self.head.metadata

    @property
    def peer(self) -> Peer:
        """Who is calling."""
        return self.server.peer

    @property
    def cancelled(self) -> bool:
        """Whether the caller has gone away or its deadline passed: nobody reads an answer."""
        return self.state == CANCELLED

    def fail(self, status: Code, message: str) -> None:
        """Answer with *status*; nothing happens when the call is over."""
        if not self.state:
            self.state = ANSWERED
            self.head.counts.failed[status] += 1
            self.end(trailers(status, message))

    def on_deadline(self) -> None:
        """Answer DEADLINE_EXCEEDED and stop what works on the call."""
        self.stop(Code.DEADLINE_EXCEEDED, DEADLINE_TEXT)

    def stop(self, status: Code, message: str) -> None:
        """Answer with *status* instead of all that waits to be sent, and end the handler."""
        if self.state:
            return
        self.state = CANCELLED
        self.head.counts.failed[status] += 1
        self.server.discard_outbox(self)
        self.end(trailers(status, message))
        if self.task is not None:
            self.task.cancel()

    def on_reset(self, _error: int, _reason: str) -> None:
        """Stop what works on the call: the caller has gone away."""
        if not self.state:
            self.state = CANCELLED
            self.head.counts.failed[Code.CANCELLED] += 1
            self.leave_bucket()
            if self.task is not None:
                self.task.cancel()

    def end(self, block: bytes) -> None:
        """Send the trailers *block*, with the response's head when that was not sent."""
        self.leave_bucket()
        if not self.headers_sent:
            self.headers_sent = True
            block = RESPONSE + block
        self.server.end_stream(self, headers(self.stream_id, block, end_stream=True))

    def leave_bucket(self) -> None:
        """Stop waiting for the deadline."""
        if self.bucket is not None:
            self.bucket.discard(self)
            self.bucket = None

    def send_headers(self) -> None:
        """Send the response's head, once."""
        if not self.headers_sent:
            self.headers_sent = True
            self.server.write_headers(headers(self.stream_id, RESPONSE, end_stream=False))
