"""From bytes to requests, without I/O: nothing is taken apart before somebody asks for it."""

import re

from c101.core.rpc.http1.body import Body, LengthBody, body_of
from c101.core.rpc.http1.limits import HEAD_BYTES_MAX
from c101.core.rpc.http1.request import HttpError, HttpRequest, parse_head

_END = b"\r\n\r\n"
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")


class RequestParser:
    """Holds what arrived on one connection, and hands out heads and pieces of bodies in turn."""

    def __init__(self) -> None:
        self._data = b""
        # What lies before has been handed out; before the other, no end of a head was found.
        self._at = 0
        self._searched = 0
        self._body: Body = LengthBody(0)

    @property
    def unread(self) -> int:
        """How many bytes arrived that nobody asked for."""
        return len(self._data) - self._at

    @property
    def body_done(self) -> bool:
        """Whether the body of the last request was handed out to its end."""
        return self._body.done

    def feed(self, data: bytes) -> None:
        """Take what arrived, cut anywhere."""
        self._data = self._data[self._at :] + data
        self._searched = max(0, self._searched - self._at)
        self._at = 0

    def next_request(self) -> HttpRequest | None:
        """Return the next head; ``None`` when its end is to come. The body before it is done.

        Raises:
            HttpError: what came is no request that is served.
        """
        assert self._body.done
        if self._data.startswith(b"\r\n", self._at):
            # Old clients send an empty line behind a body (RFC 9112, 2.2).
            self._at += 2
        end = self._data.find(_END, max(self._at, self._searched - len(_END)))
        size = (len(self._data) if end < 0 else end) - self._at
        if size > HEAD_BYTES_MAX:
            raise HttpError(431, "header fields too large")
        if end < 0:
            # A head without CR would never end: it is refused before its time is up.
            if _BARE_LINE_FEED.search(self._data, max(self._at, self._searched - 1)):
                raise HttpError(400, "a line does not end in CR LF")
            self._searched = len(self._data)
            return None
        request = parse_head(self._data[self._at : end])
        self._at = self._searched = end + len(_END)
        self._body = body_of(request.length)
        return request

    def next_piece(self) -> bytes:
        """Return more of the body; nothing when it is done, or more has to arrive first.

        Raises:
            HttpError: what came is no body.
        """
        if self._body.done:
            return b""
        piece, self._at = self._body.take(self._data, self._at)
        self._searched = self._at
        return piece
