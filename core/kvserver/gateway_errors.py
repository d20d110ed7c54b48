"""How the gateway tells that a call failed: etcd's bodies, and the HTTP status of each code."""

from http import HTTPStatus
from types import MappingProxyType
from typing import Final

from c101.core.kvserver.json_encoder import quote
from c101.core.rpc.http1.response import HttpResponse
from c101.core.rpc.status import Code

#: The HTTP status that stands for a code of gRPC.
HTTP_STATUS: Final = MappingProxyType(
    {
        Code.OK: 200,
        Code.CANCELLED: 408,
        Code.UNKNOWN: 500,
        Code.INVALID_ARGUMENT: 400,
        Code.DEADLINE_EXCEEDED: 504,
        Code.NOT_FOUND: 404,
        Code.ALREADY_EXISTS: 409,
        Code.PERMISSION_DENIED: 403,
        Code.RESOURCE_EXHAUSTED: 429,
        Code.FAILED_PRECONDITION: 412,
        Code.ABORTED: 409,
        Code.OUT_OF_RANGE: 400,
        Code.UNIMPLEMENTED: 501,
        Code.INTERNAL: 500,
        Code.UNAVAILABLE: 503,
        Code.DATA_LOSS: 500,
        Code.UNAUTHENTICATED: 401,
    }
)


def unary_error(code: Code, message: str) -> HttpResponse:
    """Make the answer to a call that failed before it answered anything."""
    text = quote(message)
    body = f'{{"error":{text},"message":{text},"code":{code.value}}}'
    return HttpResponse(status=HTTP_STATUS[code], body=body.encode())


def stream_error(code: Code, message: str) -> bytes:
    """Make the last line of a stream that failed; no line end follows it, as in etcd."""
    status = HTTPStatus(HTTP_STATUS[code])
    body = (
        f'{{"error":{{"grpc_code":{code.value},"http_code":{status.value},'
        f'"message":{quote(message)},"http_status":"{status.phrase}"}}}}'
    )
    return body.encode()


def first_stream_error(code: Code, message: str) -> HttpResponse:
    """Make the answer to a stream that failed before its first line."""
    return HttpResponse(status=HTTP_STATUS[code], body=stream_error(code, message))
