"""One request and its answer, as a handler sees them."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from c101.core.rpc.http1.request import HttpRequest
from c101.core.rpc.http1.response import (
    CONTINUE,
    LAST_CHUNK,
    HttpResponse,
    chunk,
    encode_head,
    encode_response,
)

if TYPE_CHECKING:
    from c101.core.rpc.http1.connection import Http1Connection


class Exchange:
    """A request, and the one answer to it: by ``respond``, or by ``begin`` and ``send``.

    The body is read by ``read`` as it arrives, before, while or after the answer is sent. The
    handler's task is cancelled when the client goes away.
    """

    def __init__(self, connection: "Http1Connection", request: HttpRequest) -> None:
        self.connection = connection
        self.request = request
        self.answered = False
        self._streaming = False
        self._continue_owed = request.expects_continue and request.version == "HTTP/1.1"
        self._close = not request.keep_alive
        self._with_body = request.method != "HEAD"

    async def read(self) -> bytes:
        """Return the next piece of the body, nothing at its end.

        Raises:
            HttpError: what came is no body; not to be caught by handlers.
        """
        if self._continue_owed and not self.answered and not self.connection.unread:
            self.connection.write(CONTINUE)
        self._continue_owed = False
        return await self.connection.read()

    async def respond(self, response: HttpResponse) -> None:
        """Send the whole answer."""
        assert not self.answered
        self.answered = True
        # A client that was not told to go on may send the body or not: nobody can tell.
        self._close = self._close or self._continue_owed
        answer = encode_response(response, close=self._close, with_body=self._with_body)
        await self.connection.send(answer)

    async def begin(self, status: int, content_type: str) -> None:
        """Send the head of an answer whose length is not known."""
        assert not self.answered
        self.answered = True
        if self.request.version == "HTTP/1.0":
            # No chunks there: the end of the connection is the end of the answer.
            head = encode_head(status, content_type, close=True)
        else:
            self._streaming = True
            coding = ("Transfer-Encoding: chunked",)
            head = encode_head(status, content_type, coding, close=self._close)
        await self.connection.send(head)

    async def send(self, data: bytes) -> None:
        """Send more of an answer that was begun; waits while the client does not read."""
        if data and self._with_body:
            await self.connection.send(chunk(data) if self._streaming else data)

    async def finish(self) -> None:
        """End an answer that was begun."""
        if self._streaming and self._with_body:
            await self.connection.send(LAST_CHUNK)

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow."""
        return not self._close


#: Answers one request. Cancelled when the client goes away.
HttpHandler = Callable[[Exchange], Awaitable[None]]
