"""From a response's header fields to what they say about the call."""

from dataclasses import dataclass

from c101.core.rpc.header_decoder import Field
from c101.core.rpc.status import Code, code_of, decode_message

#: What an HTTP status without a gRPC one means (gRPC, "HTTP to gRPC Status Code Mapping").
_HTTP_CODES = {
    400: Code.INTERNAL,
    401: Code.UNAUTHENTICATED,
    403: Code.PERMISSION_DENIED,
    404: Code.UNIMPLEMENTED,
    429: Code.UNAVAILABLE,
    502: Code.UNAVAILABLE,
    503: Code.UNAVAILABLE,
    504: Code.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResponseHead:
    """One header block of a response: its head, its trailers, or both in one.

    ``informational``: an interim answer (1xx), to be passed over. ``problem``: the status and
    text when the head is not that of a gRPC answer.
    """

    status: Code | None = None
    message: str = ""
    informational: bool = False
    problem: tuple[Code, str] | None = None
    metadata: tuple[Field, ...] = ()


def parse_response(fields: list[Field]) -> ResponseHead:
    """Understand the *fields* of one header block of a response."""
    values = dict(fields)
    http_status = values.get(b":status")
    if http_status is not None and http_status.startswith(b"1"):
        return ResponseHead(informational=True)
    status = values.get(b"grpc-status")
    return ResponseHead(
        status=code_of(status) if status is not None else None,
        message=decode_message(values.get(b"grpc-message", b"")),
        problem=_problem(http_status, values) if status is None else None,
        metadata=tuple(field for field in fields if not field[0].startswith((b":", b"grpc-"))),
    )


def _problem(http_status: bytes | None, values: dict[bytes, bytes]) -> tuple[Code, str] | None:
    if http_status is None:
        return Code.INTERNAL, "the answer ended without a status"
    if http_status != b"200":
        code = _HTTP_CODES.get(int(http_status), Code.UNKNOWN) if http_status.isdigit() else None
        return code or Code.INTERNAL, f"unexpected HTTP status {http_status.decode('latin-1')}"
    content_type = values.get(b"content-type", b"")
    if not content_type.startswith(b"application/grpc"):
        text = f'unexpected content-type "{content_type.decode("latin-1")}"'
        return Code.UNKNOWN, text
    encoding = values.get(b"grpc-encoding", b"identity")
    if encoding != b"identity":
        return Code.INTERNAL, f"the answer is compressed ({encoding.decode('latin-1')})"
    return None
