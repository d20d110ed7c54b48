"""Header blocks that we send: literals that never touch the peer's table.

A block of ours means the same bytes whatever was sent before, so replies are constants and a
request's head is built once a method. What the table would save on the wire, a few dozen bytes a
call, costs more time than it is worth on links this program uses.
"""

import math
from collections.abc import Sequence
from typing import Final

from c101.core.rpc.status import Code, encode_message

#: Tells the peer's decoder that we use no table at all; owed once after it shrinks its table.
TABLE_UPDATE: Final = b"\x20"

#: Seconds behind each unit of ``grpc-timeout``.
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}

#: ``grpc-timeout`` has at most eight digits.
_TIMEOUT_DIGITS_MAX: Final = 8


def integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    """Encode *value* with the bits of *pattern* above a prefix (RFC 7541, 5.1)."""
    top = (1 << prefix_bits) - 1
    if value < top:
        return bytes((pattern | value,))
    value -= top
    encoded = bytearray((pattern | top,))
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def literal(name: bytes, value: bytes) -> bytes:
    """Encode one field without indexing and without Huffman (RFC 7541, 6.2.2)."""
    return b"\0" + integer(len(name), 7, 0) + name + integer(len(value), 7, 0) + value


#: ``:status: 200`` (static 8) and ``content-type: application/grpc`` (its name is static 31).
RESPONSE: Final = b"\x88\x0f\x10\x10application/grpc"

OK_TRAILERS: Final = literal(b"grpc-status", b"0")


def trailers(status: Code, message: str) -> bytes:
    """Encode the end of a call."""
    block = literal(b"grpc-status", b"%d" % status)
    return block + literal(b"grpc-message", encode_message(message)) if message else block


def request(
    path: bytes, authority: bytes, scheme: bytes, metadata: Sequence[tuple[bytes, bytes]]
) -> bytes:
    """Encode the head of a call, without its timeout."""
    # \x83 is :method POST; 4, 1, 6 and 31 are the static names of the fields that follow.
    parts = [
        b"\x83",
        b"\x04" + integer(len(path), 7, 0) + path,
        b"\x87" if scheme == b"https" else b"\x86",
        b"\x01" + integer(len(authority), 7, 0) + authority,
        b"\x0f\x10\x10application/grpc",
        literal(b"te", b"trailers"),
        literal(b"user-agent", b"c101"),
    ]
    parts += [literal(name.lower(), value) for name, value in metadata]
    return b"".join(parts)


def timeout_field(seconds: float) -> bytes:
    """Encode ``grpc-timeout``, rounded up to the finest unit that fits its eight digits."""
    for unit, scale in ((b"u", 1e-6), (b"m", 1e-3), (b"S", 1.0)):
        count = max(1, math.ceil(seconds / scale))
        if count < 10**_TIMEOUT_DIGITS_MAX:
            return literal(b"grpc-timeout", b"%d%s" % (count, unit))
    return literal(b"grpc-timeout", b"99999999S")


def parse_timeout(value: bytes) -> float | None:
    """Read ``grpc-timeout`` as seconds; ``None`` when it is malformed."""
    scale = _UNITS.get(value[-1:])
    digits = value[:-1]
    if scale is None or not digits.isdigit() or len(digits) > _TIMEOUT_DIGITS_MAX:
        return None
    return int(digits) * scale
