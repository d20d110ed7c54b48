"""What a call carries beside its message: from fields of HTTP to metadata of gRPC."""

import re
from typing import Final

from c101.core.rpc.header_block import parse_timeout
from c101.core.rpc.http1.request import HttpRequest
from c101.core.rpc.status import Code, RpcError

#: ``Grpc-Metadata-Token: x`` is the metadata ``token: x``.
_PREFIX: Final = "grpc-metadata-"
_TIMEOUT: Final = "grpc-timeout"

# Names that mean something to HTTP/2 or to gRPC itself: never taken from a client of the gateway.
_RESERVED = re.compile(
    r"grpc-.*|te|content-type|host|connection|keep-alive|proxy-connection|transfer-encoding"
    r"|upgrade|user-agent"
)


def metadata_of(request: HttpRequest) -> list[tuple[str, str]]:
    """Return the metadata that *request* asks for.

    The ``Authorization`` field is the token that Authenticate gave, as it is.
    """
    found: dict[str, str] = {}
    for name, value in request.fields.items():
        if name.startswith(_PREFIX):
            key = name[len(_PREFIX) :]
            if key and not _RESERVED.fullmatch(key):
                found[key] = value
    token = request.fields.get("authorization")
    if token is not None:
        found["token"] = token
    # What latin-1 has and ASCII has not is no metadata of gRPC.
    return [(name, value) for name, value in found.items() if value.isascii()]


def timeout_of(request: HttpRequest) -> float | None:
    """Return the seconds that ``Grpc-Timeout`` gives the call; raise RpcError when it is none."""
    value = request.fields.get(_TIMEOUT)
    if not value:
        return None
    seconds = parse_timeout(value.encode("latin-1"))
    if seconds is None:
        raise RpcError(Code.INVALID_ARGUMENT, f"invalid grpc-timeout: {value}")
    return seconds
