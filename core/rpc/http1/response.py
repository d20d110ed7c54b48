"""Answers as bytes."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK: Final = b"0\r\n\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One whole answer. ``fields`` are whole header lines without their ends."""

    status: int = 200
    body: bytes = b""
    content_type: str = JSON
    fields: tuple[str, ...] = ()


def text_response(status: int, text: str) -> HttpResponse:
    """Make an answer that says *text* in a line."""
    return HttpResponse(status=status, body=text.encode() + b"\n", content_type=TEXT)


NOT_FOUND: Final = text_response(404, "404 page not found")


def encode_head(
    status: int, content_type: str, fields: tuple[str, ...] = (), *, close: bool = False
) -> bytes:
    """Encode the head of an answer; *fields* say how long its body is."""
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        f"Content-Type: {content_type}",
        *fields,
        # A value that is read as a page is a script that somebody put into a key.
        "X-Content-Type-Options: nosniff",
    ]
    if close:
        lines.append("Connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def encode_response(response: HttpResponse, *, close: bool, with_body: bool) -> bytes:
    """Encode a whole answer; the answer to HEAD is *with_body* false."""
    fields = (f"Content-Length: {len(response.body)}", *response.fields)
    head = encode_head(response.status, response.content_type, fields, close=close)
    return head + response.body if with_body else head


def chunk(data: bytes) -> bytes:
    """Encode *data*, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)
