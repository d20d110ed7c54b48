"""How a call ended: gRPC's codes, the error that carries one, and its text on the wire."""

from enum import IntEnum
from urllib.parse import unquote_to_bytes

from c101.core.errors import C101Error, LinkLostError

#: A longer ``grpc-message`` is cut: status and text must fit one HEADERS frame.
MESSAGE_BYTES_MAX = 4_096

DEADLINE_TEXT = "context deadline exceeded"

#: UNAVAILABLE with this text, from a server that passes calls on: it could not, nothing was asked.
NOT_PASSED_ON_TEXT = "c101: the etcd of this host cannot be reached"


class Code(IntEnum):
    """The status codes of gRPC, by the numbers on the wire."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class RpcError(C101Error):
    """A call ended with a status other than OK.

    Handlers raise it to answer; calls on a channel raise it when the other side did.
    """

    code = "rpc"

    def __init__(self, status: Code, message: str) -> None:
        super().__init__(message or status.name.lower().replace("_", " "))
        self.status = status
        self.message = message


class CallLostError(LinkLostError):
    """The link ended before the call's answer came.

    ``maybe_sent`` says whether the other side may have acted on the request; when it is false,
    asking again is safe whatever the call does.
    """

    def __init__(self, link: str, reason: str, *, maybe_sent: bool) -> None:
        fate = "the request may have been carried out" if maybe_sent else "nothing was asked"
        super().__init__(f"lost {link} before the answer came ({reason}); {fate}")
        self.maybe_sent = maybe_sent


_PLAIN = frozenset(range(0x20, 0x7F)) - {0x25}
_ESCAPES = tuple(bytes((n,)) if n in _PLAIN else b"%%%02X" % n for n in range(256))


def encode_message(message: str) -> bytes:
    """Percent-encode *message* for ``grpc-message``, cut to ``MESSAGE_BYTES_MAX`` bytes of UTF-8.

    Everything outside printable ASCII, and ``%``, is escaped (gRPC over HTTP/2, "Responses").
    """
    raw = message.encode("utf-8", "replace")
    if len(raw) > MESSAGE_BYTES_MAX:
        raw = raw[:MESSAGE_BYTES_MAX].decode("utf-8", "ignore").encode()
    return b"".join([_ESCAPES[byte] for byte in raw])


def decode_message(value: bytes) -> str:
    """Read ``grpc-message``; what is not valid percent-encoding or UTF-8 stays visible."""
    return unquote_to_bytes(value).decode("utf-8", "replace")


def code_of(value: bytes) -> Code:
    """Read ``grpc-status``; a number gRPC does not know is ``UNKNOWN``."""
    try:
        return Code(int(value))
    except ValueError:
        return Code.UNKNOWN
