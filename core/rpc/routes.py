"""From a request's header fields to the handler that answers it.

The result depends on the fields alone, so it is worked out once for all requests that carry the
same ones; the fields that differ from call to call (the timeout) are left out before.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from c101.core.rpc.frames import ErrorCode, StreamFailure
from c101.core.rpc.header_block import RESPONSE, integer, literal, trailers
from c101.core.rpc.header_decoder import Field
from c101.core.rpc.status import Code

if TYPE_CHECKING:
    from c101.core.rpc.server_stream import ServerStream
    from c101.core.rpc.unary_call import UnaryCall

#: Answers a unary call, at once or later; raises RpcError to refuse it.
UnaryHandler = Callable[["UnaryCall", bytes], None]

#: Serves one stream; its return ends it with OK, an RpcError with that status.
StreamHandler = Callable[["ServerStream"], Awaitable[None]]

#: Fields that only HTTP/1.1 has; with one of them a request is malformed (RFC 9113, 8.2.2).
_CONNECTION_FIELDS = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_PSEUDO_FIELDS = frozenset((b":method", b":path", b":scheme", b":authority"))

#: What the name of a field may be: a token of HTTP in lower case (RFC 9113, 8.2.1).
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+\Z")

_CONTENT_TYPE = b"application/grpc"


class Counts:
    """The calls of one method since the start.

    ``started``: how many there were. ``failed``: how many ended with each code, by its number, but
    for OK: those that went well are the rest, so that a good call is counted once.
    """

    __slots__ = ("failed", "started")

    def __init__(self) -> None:
        self.started = 0
        self.failed = [0] * len(Code)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RequestHead:
    """A request's fields, understood. ``counts`` are those of its method.

    Exactly one is set of ``unary``, ``stream``, ``refusal`` (a finished header block that answers
    the request) and ``failure`` (why the request is malformed).
    """

    method: bytes = b""
    metadata: tuple[Field, ...] = ()
    unary: UnaryHandler | None = None
    stream: StreamHandler | None = None
    refusal: bytes | None = None
    failure: StreamFailure | None = None
    counts: Counts = field(default_factory=Counts)


def refuse(status: Code, message: str) -> RequestHead:
    """Make the head of a request that is answered by a status alone."""
    return RequestHead(refusal=RESPONSE + trailers(status, message))


def _refuse_http(http_status: int, status: Code, message: str) -> RequestHead:
    """As grpc-go answers what is not gRPC: an HTTP status beside the gRPC one."""
    code = b"%d" % http_status
    # :status is static name 8.
    block = b"\x08" + integer(len(code), 7, 0) + code + RESPONSE[1:]
    return RequestHead(refusal=block + trailers(status, message))


class Routes:
    """The methods of a server, by path (``/package.Service/Method``)."""

    def __init__(
        self, unary: Mapping[str, UnaryHandler], streams: Mapping[str, StreamHandler]
    ) -> None:
        self._unary = {path.encode(): handler for path, handler in unary.items()}
        self._streams = {path.encode(): handler for path, handler in streams.items()}
        paths = [*self._unary, *self._streams]
        self.counts: dict[bytes, Counts] = {path: Counts() for path in paths}
        self._services = frozenset(path.rpartition(b"/")[0] for path in paths)

    def resolve(self, fields: tuple[Field, ...]) -> RequestHead:
        """Understand the *fields* of a request."""
        try:
            pseudo = _check(fields)
        except StreamFailure as failure:
            return RequestHead(failure=failure)
        plain = dict(fields)
        problem = self._problem(pseudo, plain)
        if problem is not None:
            return problem
        path = pseudo[b":path"]
        metadata = tuple(field for field in fields if _is_metadata(field[0]))
        if (unary := self._unary.get(path)) is not None:
            counts = self.counts[path]
            return RequestHead(method=path, metadata=metadata, unary=unary, counts=counts)
        if (stream := self._streams.get(path)) is not None:
            counts = self.counts[path]
            return RequestHead(method=path, metadata=metadata, stream=stream, counts=counts)
        return self._unknown(path)

    def _problem(self, pseudo: dict[bytes, bytes], plain: dict[bytes, bytes]) -> RequestHead | None:
        if pseudo[b":method"] != b"POST":
            text = f"the method of gRPC is POST, not {_text(pseudo[b':method'])}"
            return _refuse_http(405, Code.INTERNAL, text)
        content_type = plain.get(b"content-type", b"")
        if not _is_grpc(content_type):
            text = f'invalid gRPC request content-type "{_text(content_type)}"'
            return _refuse_http(415, Code.INVALID_ARGUMENT, text)
        encoding = plain.get(b"grpc-encoding", b"identity")
        if encoding != b"identity":
            name = _text(encoding)
            text = f'grpc: Decompressor is not installed for grpc-encoding "{name}"'
            block = RESPONSE + literal(b"grpc-accept-encoding", b"identity")
            return RequestHead(refusal=block + trailers(Code.UNIMPLEMENTED, text))
        return None

    def _unknown(self, path: bytes) -> RequestHead:
        service, _, method = path.rpartition(b"/")
        if not service.startswith(b"/"):
            text = f'malformed method name: "{_text(path)}"'
        elif service in self._services:
            text = f"unknown method {_text(method)} for service {_text(service[1:])}"
        else:
            text = f"unknown service {_text(service[1:])}"
        return refuse(Code.UNIMPLEMENTED, text)


def _check(fields: tuple[Field, ...]) -> dict[bytes, bytes]:
    """Return the pseudo-fields of a request that keeps RFC 9113, 8.2 and 8.3; raise if not."""
    pseudo: dict[bytes, bytes] = {}
    plain_seen = False
    for name, value in fields:
        if name.startswith(b":"):
            if plain_seen or name in pseudo or name not in _PSEUDO_FIELDS:
                raise _malformed(f"unexpected {_text(name)}")
            pseudo[name] = value
        else:
            plain_seen = True
            _check_plain(name, value)
    if not pseudo.get(b":path") or b":method" not in pseudo or b":scheme" not in pseudo:
        raise _malformed("a pseudo-header field is missing")
    return pseudo


def _check_plain(name: bytes, value: bytes) -> None:
    if not _NAME.match(name) or name in _CONNECTION_FIELDS:
        raise _malformed(f"field {_text(name)} is not allowed")
    if name == b"te" and value != b"trailers":
        raise _malformed("te is not trailers")
    if b"\0" in value or b"\r" in value or b"\n" in value:
        raise _malformed(f"the value of {_text(name)} has a control character")


def _malformed(reason: str) -> StreamFailure:
    return StreamFailure(ErrorCode.PROTOCOL_ERROR, reason)


def _is_grpc(content_type: bytes) -> bool:
    rest = content_type[len(_CONTENT_TYPE) :]
    return content_type.startswith(_CONTENT_TYPE) and rest[:1] in (b"", b"+", b";")


def _is_metadata(name: bytes) -> bool:
    return not name.startswith((b":", b"grpc-")) and name not in (b"te", b"content-type")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")
