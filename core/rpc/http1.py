"""A little HTTP/1.1 on the port of the RPC server, for health checks and curl.

``GET`` and ``HEAD`` only, no request bodies, answers made at once. Told apart from HTTP/2 by its
first bytes (``server_wire``).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

#: A request line and its fields together; more is answered 431 and the connection closed.
HEAD_BYTES_MAX: Final = 8_192

_END: Final = b"\r\n\r\n"
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]*)(:[0-9]{1,5})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request; names of fields in lower case."""

    method: str
    path: str
    query: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One answer."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"


HttpHandler = Callable[[HttpRequest], HttpResponse]


class _BadRequestError(Exception):
    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def parse_head(head: bytes) -> HttpRequest:
    """Take a request's head apart, without the empty line that ends it."""
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise _BadRequestError(400, "malformed request line")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or not _NAME.match(name):
            raise _BadRequestError(400, "malformed header field")
        fields[name.lower()] = value.strip()
    method, target, version = words
    host = fields.get("host")
    if (host is None and version == "HTTP/1.1") or (host and not _HOST.match(host)):
        raise _BadRequestError(400, "missing or malformed Host")
    if method not in ("GET", "HEAD"):
        raise _BadRequestError(405, "only GET and HEAD are served here")
    if "transfer-encoding" in fields or fields.get("content-length", "0") != "0":
        raise _BadRequestError(413, "request bodies are not taken")
    if not target.startswith("/"):
        raise _BadRequestError(400, "malformed request target")
    path, _, query = target.partition("?")
    if version == "HTTP/1.0":
        fields.setdefault("connection", "close")
    return HttpRequest(method=method, path=path, query=query, fields=fields)


class Http1Connection:
    """One HTTP/1.1 connection, without I/O. ``closing`` says to close behind the last answer."""

    def __init__(self, handler: HttpHandler) -> None:
        self._handler = handler
        self._unparsed = b""
        self.closing = False

    def receive(self, data: bytes) -> bytes:
        """Take *data*; return the answers it completes, in order."""
        self._unparsed += data
        answers: list[bytes] = []
        while not self.closing:
            head, end, rest = self._unparsed.partition(_END)
            if len(head) > HEAD_BYTES_MAX:
                answers.append(self._refuse(431, "header fields too large"))
            elif end:
                self._unparsed = rest
                answers.append(self._answer(head))
            else:
                break
        return b"".join(answers)

    def _answer(self, head: bytes) -> bytes:
        try:
            request = parse_head(head)
        except _BadRequestError as error:
            return self._refuse(error.status, str(error))
        self.closing = request.fields.get("connection", "").lower() == "close"
        response = self._handler(request)
        return self._build(response, with_body=request.method == "GET")

    def _refuse(self, status: int, reason: str) -> bytes:
        self.closing = True
        body = reason.encode() + b"\n"
        response = HttpResponse(status=status, body=body, content_type="text/plain")
        return self._build(response, with_body=True)

    def _build(self, response: HttpResponse, *, with_body: bool) -> bytes:
        head = (
            f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}\r\n"
            f"Content-Type: {response.content_type}\r\n"
            f"Content-Length: {len(response.body)}\r\n"
            "X-Content-Type-Options: nosniff\r\n"
        )
        if self.closing:
            head += "Connection: close\r\n"
        return head.encode() + b"\r\n" + (response.body if with_body else b"")


def not_found(_request: HttpRequest) -> HttpResponse:
    """Answer 404: what a server without HTTP does."""
    return HttpResponse(status=404, body=b"404 page not found\n", content_type="text/plain")
