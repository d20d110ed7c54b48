"""The head of an HTTP/1.1 request (RFC 9112, 2 to 5), and all that is refused about one."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from c101.core.rpc.http1.limits import FIELDS_MAX

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
# An escape is a percent sign and two digits: what is none would be read differently by others.
_TARGET = re.compile(r"/(?:[!-$&-~]|%[0-9A-Fa-f]{2})*\Z")
# A value holds no control character but the tab; bytes over 0x7f are taken and not understood.
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\-]*)(:[0-9]{1,5})?\Z")
# More digits than any body has that is taken here.
_LENGTH = re.compile(r"[0-9]{1,15}\Z")

#: Fields of which two would mean something else to the next reader than the first does.
_SINGLE: Final = frozenset(
    [
        "authorization",
        "content-length",
        "content-type",
        "expect",
        "host",
        "origin",
        "transfer-encoding",
    ]
)


class HttpError(Exception):
    """A request that is not served: answered with *status*, and the connection closed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """The head of one request.

    ``path`` and ``query`` are as they came, escapes and all; names of ``fields`` are in lower
    case. ``length`` is the body's in bytes, ``None`` when it comes in chunks. ``keep_alive`` says
    whether the client wants the connection to go on.
    """

    method: str
    path: str
    query: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    version: Literal["HTTP/1.1", "HTTP/1.0"] = "HTTP/1.1"
    length: int | None = 0
    keep_alive: bool = True

    @property
    def expects_continue(self) -> bool:
        """Whether the client sends the body only when it was told to go on."""
        return "expect" in self.fields and self.length != 0


def parse_head(head: bytes) -> HttpRequest:
    """Take a request's head apart, given without the empty line that ends it.

    Raises:
        HttpError: with the status to answer.
    """
    text = head.decode("latin-1")
    lines = text.split("\r\n")
    if text.count("\n") != len(lines) - 1 or text.count("\r") != len(lines) - 1:
        raise HttpError(400, "a line does not end in CR LF")
    words = lines[0].split(" ")
    if len(words) != 3 or not _TOKEN.match(words[0]):
        raise HttpError(400, "malformed request line")
    method, target, version = words
    if version not in ("HTTP/1.1", "HTTP/1.0"):
        known = re.fullmatch(r"HTTP/[0-9]\.[0-9]", version)
        raise HttpError(505 if known else 400, "only HTTP/1.1 and HTTP/1.0 are served")
    if not _TARGET.match(target):
        raise HttpError(400, "malformed request target")
    fields = _parse_fields(lines[1:])
    _check_host(fields, version)
    path, _, query = target.partition("?")
    return HttpRequest(
        method=method,
        path=path,
        query=query,
        fields=fields,
        version="HTTP/1.0" if version == "HTTP/1.0" else "HTTP/1.1",
        length=_body_length(fields, version),
        keep_alive=_keep_alive(fields, version),
    )


def _parse_fields(lines: list[str]) -> dict[str, str]:
    if len(lines) > FIELDS_MAX:
        raise HttpError(431, f"more than {FIELDS_MAX} header fields")
    fields: dict[str, str] = {}
    for line in lines:
        name, value = parse_field(line)
        known = fields.get(name)
        if known is None:
            fields[name] = value
        elif name in _SINGLE:
            raise HttpError(400, f"more than one {name}")
        else:
            fields[name] = f"{known}, {value}"
    return fields


def parse_field(line: str) -> tuple[str, str]:
    """Return name, in lower case, and value of one field; raise HttpError when it is none.

    A folded line, which begins with a blank, is none: it has no name.
    """
    name, colon, value = line.partition(":")
    if not colon or not _TOKEN.match(name) or not _VALUE.match(value):
        raise HttpError(400, "malformed header field")
    return name.lower(), value.strip(" \t")


def _check_host(fields: dict[str, str], version: str) -> None:
    host = fields.get("host")
    if host is None:
        if version == "HTTP/1.1":
            raise HttpError(400, "missing Host")
    elif not _HOST.match(host):
        raise HttpError(400, "malformed Host")


def _body_length(fields: dict[str, str], version: str) -> int | None:
    """Return the length of the body, ``None`` for chunks; raise when there are two ways to tell."""
    coding = fields.get("transfer-encoding")
    length = fields.get("content-length")
    if coding is not None:
        if length is not None or version == "HTTP/1.0":
            raise HttpError(400, "two ways to tell where the body ends")
        if coding.lower() != "chunked":
            raise HttpError(501, "the only transfer coding is chunked")
    if "expect" in fields and fields["expect"].lower() != "100-continue":
        raise HttpError(417, "the only expectation is 100-continue")
    if coding is not None:
        return None
    if length is None:
        return 0
    if not _LENGTH.match(length):
        raise HttpError(400, "malformed Content-Length")
    return int(length)


def _keep_alive(fields: dict[str, str], version: str) -> bool:
    options = [word.strip().lower() for word in fields.get("connection", "").split(",")]
    if version == "HTTP/1.0":
        # Its keep-alive was never a standard; a client that asks for it can do without.
        return False
    return "close" not in options
