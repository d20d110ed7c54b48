"""HTTP/2 frames as bytes: built here, taken apart here, nothing remembered (RFC 9113, 4 and 6)."""

from enum import IntEnum
from struct import Struct
from typing import Final

from c101.core.errors import ProtocolError
from c101.core.rpc.limits import FRAME_BYTES_MAX, WINDOW_BYTES_MAX

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES: Final = 9

# Plain integers, not an enum: they are compared once a frame.
DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITISED: Final = 0x20

SETTING_HEADER_TABLE_SIZE: Final = 1
SETTING_ENABLE_PUSH: Final = 2
SETTING_MAX_CONCURRENT_STREAMS: Final = 3
SETTING_INITIAL_WINDOW_SIZE: Final = 4
SETTING_MAX_FRAME_SIZE: Final = 5
SETTING_MAX_HEADER_LIST_SIZE: Final = 6

STREAM_ID_MASK: Final = 0x7FFF_FFFF

#: ``length_high, length_low, type, flags, stream`` of a frame at an offset.
unpack_header = Struct(">BHBBI").unpack_from

#: One DATA frame's header and the five-byte prefix of the one whole message in it:
#: ``0, size, DATA, flags, stream, 0, size - 5``; for sizes up to FRAME_BYTES_MAX.
pack_message_header = Struct(">BHBBIBI").pack

_pack_header = Struct(">BHBBI").pack
_pack_setting = Struct(">HI").pack
_unpack_settings = Struct(">HI").iter_unpack


class ErrorCode(IntEnum):
    """Why a stream was reset or a connection closed (RFC 9113, 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


def error_name(error: int) -> str:
    """Name *error* for a message, also one that HTTP/2 does not know."""
    try:
        return ErrorCode(error).name
    except ValueError:
        return f"error {error}"


class ConnectionFailure(ProtocolError):  # noqa: N818 - RFC 9113's word is "connection error"
    """The peer broke a rule that ends the whole connection, with GOAWAY and this *error*."""

    def __init__(self, error: ErrorCode, reason: str) -> None:
        super().__init__(f"{error.name}: {reason}")
        self.error = error
        self.reason = reason


class StreamFailure(ProtocolError):  # noqa: N818 - as above: "stream error"
    """The peer broke a rule that ends one stream, with RST_STREAM and this *error*."""

    def __init__(self, error: ErrorCode, reason: str) -> None:
        super().__init__(f"{error.name}: {reason}")
        self.error = error
        self.reason = reason


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Build one frame."""
    size = len(payload)
    return _pack_header(size >> 16, size & 0xFFFF, kind, flags, stream_id) + payload


def data_header(size: int, stream_id: int) -> bytes:
    """Build the header of a DATA frame without flags for a payload of *size* bytes."""
    return _pack_header(size >> 16, size & 0xFFFF, DATA, 0, stream_id)


def headers(stream_id: int, block: bytes, *, end_stream: bool) -> bytes:
    """Build HEADERS and, when *block* is longer than one frame, CONTINUATION frames."""
    flags = END_STREAM if end_stream else 0
    if len(block) < FRAME_BYTES_MAX:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    # One byte short of the maximum: `prepend_to_block` may need it.
    step = FRAME_BYTES_MAX - 1
    parts = [block[at : at + step] for at in range(0, len(block), step)]
    built = [frame(HEADERS, flags, stream_id, parts[0])]
    built += [frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    built.append(frame(CONTINUATION, END_HEADERS, stream_id, parts[-1]))
    return b"".join(built)


def prepend_to_block(prefix: bytes, built: bytes) -> bytes:
    """Put *prefix* before the header block of *built*, a plain HEADERS frame (and what follows)."""
    length = int.from_bytes(built[:3], "big") + len(prefix)
    return length.to_bytes(3, "big") + built[3:HEADER_BYTES] + prefix + built[HEADER_BYTES:]


def settings(values: dict[int, int]) -> bytes:
    """Build SETTINGS."""
    payload = b"".join([_pack_setting(setting, value) for setting, value in values.items()])
    return frame(SETTINGS, 0, 0, payload)


def window_update(stream_id: int, increment: int) -> bytes:
    """Build WINDOW_UPDATE; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def rst_stream(stream_id: int, error: int) -> bytes:
    """Build RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, error.to_bytes(4, "big"))


def goaway(last_stream_id: int, error: int, reason: str = "") -> bytes:
    """Build GOAWAY; *reason* is for people."""
    payload = last_stream_id.to_bytes(4, "big") + error.to_bytes(4, "big") + reason.encode()
    return frame(GOAWAY, 0, 0, payload[:FRAME_BYTES_MAX])


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """Take the payload of SETTINGS apart, in order.

    Raises:
        ConnectionFailure: a length or a value outside RFC 9113, 6.5.2.
    """
    if len(payload) % 6:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a broken length")
    values = list(_unpack_settings(payload))
    for setting, value in values:
        if setting == SETTING_ENABLE_PUSH and value > 1:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")
        if setting == SETTING_INITIAL_WINDOW_SIZE and value > WINDOW_BYTES_MAX:
            raise ConnectionFailure(ErrorCode.FLOW_CONTROL_ERROR, "initial window too large")
        if setting == SETTING_MAX_FRAME_SIZE and not FRAME_BYTES_MAX <= value < 1 << 24:
            raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "MAX_FRAME_SIZE out of range")
    return values


def parse_window_update(payload: bytes) -> int:
    """Take the increment out of WINDOW_UPDATE; 0 is for the caller to refuse.

    Raises:
        ConnectionFailure: a payload that is not four bytes.
    """
    if len(payload) != 4:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a broken length")
    return int.from_bytes(payload, "big") & STREAM_ID_MASK


def parse_rst_stream(payload: bytes) -> int:
    """Take the error code out of RST_STREAM.

    Raises:
        ConnectionFailure: a payload that is not four bytes.
    """
    if len(payload) != 4:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a broken length")
    return int.from_bytes(payload, "big")


def parse_goaway(payload: bytes) -> tuple[int, int, str]:
    """Take the last stream, the error code and the text out of GOAWAY.

    Raises:
        ConnectionFailure: a payload shorter than eight bytes.
    """
    if len(payload) < 8:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of a broken length")
    last = int.from_bytes(payload[:4], "big") & STREAM_ID_MASK
    return last, int.from_bytes(payload[4:8], "big"), payload[8:].decode("utf-8", "replace")


def unpad(payload: bytes, flags: int) -> bytes:
    """Take padding off the payload of a DATA or HEADERS frame with *flags*.

    Raises:
        ConnectionFailure: padding as long as the frame, or longer (RFC 9113, 6.1 and 6.2).
    """
    if not flags & PADDED:
        return payload
    if not payload:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "padded frame without a pad length")
    pad = payload[0]
    if pad >= len(payload):
        raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")
    return payload[1 : len(payload) - pad]


def strip_priority(stream_id: int, payload: bytes, flags: int) -> bytes:
    """Take the priority fields off the (unpadded) payload of HEADERS with *flags*.

    Raises:
        ConnectionFailure: too short for them, or a stream that depends on itself.
    """
    if not flags & PRIORITISED:
        return payload
    if len(payload) < 5:
        raise ConnectionFailure(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
    if int.from_bytes(payload[:4], "big") & STREAM_ID_MASK == stream_id:
        raise ConnectionFailure(ErrorCode.PROTOCOL_ERROR, "stream depends on itself")
    return payload[5:]
