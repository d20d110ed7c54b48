"""From protobuf messages to JSON, as the gateway of etcd 3.4 writes it.

Names are the protocol's, 64-bit numbers are strings, bytes are base64, what is zero is left out. A
large answer is not read whole: its fields are found in its bytes one after the other, so that
others have their turn while a million keys are written.
"""

import json
import re
from binascii import b2a_base64
from collections.abc import Iterator
from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

#: A message of at most this many bytes is written in one piece: a few milliseconds.
WHOLE_BYTES_MAX: Final = 16_384

_LENGTH_DELIMITED: Final = 2
_64_BIT: Final = frozenset((FieldDescriptor.TYPE_INT64, FieldDescriptor.TYPE_UINT64))
# Go writes what could end a script or a line in a page as escapes, and these two at length.
_ESCAPED = re.compile("[<>&\u2028\u2029]|\\\\[bf\\\\]")
_LONG_ESCAPES: Final = {"\\b": "\\u0008", "\\f": "\\u000c", "\\\\": "\\\\"}


def quote(text: str) -> str:
    """Write *text* as a JSON string, escaped as Go does."""
    return _ESCAPED.sub(_escape, json.dumps(text, ensure_ascii=False))


def _escape(match: re.Match[str]) -> str:
    found = match[0]
    return _LONG_ESCAPES.get(found) or f"\\u{ord(found):04x}"


def encode_pieces(descriptor: Descriptor, data: bytes) -> Iterator[str]:
    """Yield the JSON of the message of type *descriptor* that *data* holds, in pieces.

    The elements of a repeated field lie together in *data*, as every encoder writes them.
    """
    if len(data) <= WHOLE_BYTES_MAX:
        yield encode(GetMessageClass(descriptor).FromString(data))
        return
    # What goes before the next field: the end of a list, a comma.
    before = "{"
    current: FieldDescriptor | None = None
    for field, payload, whole in _split(descriptor, data):
        if field.is_repeated and field is current:
            yield ","
        else:
            end = "]" if current is not None and current.is_repeated else ""
            yield f"{end}{before}{_name(field)}{'[' if field.is_repeated else ''}"
            before, current = ",", field
        if field.message_type is not None:
            yield from encode_pieces(field.message_type, payload)
        else:
            one = getattr(GetMessageClass(descriptor).FromString(whole), field.name)
            items = one if field.is_repeated else (one,)
            yield ",".join([_value(field, item) for item in items])
    yield "]}" if current is not None and current.is_repeated else "}"


def encode(message: Message) -> str:
    """Return the JSON of *message*."""
    parts = []
    for field, value in message.ListFields():
        if field.is_repeated:
            items = ",".join([_value(field, item) for item in value])
            parts.append(f"{_name(field)}[{items}]")
        else:
            parts.append(_name(field) + _value(field, value))
    return "{" + ",".join(parts) + "}"


@cache
def _name(field: FieldDescriptor) -> str:
    return f'"{field.name}":'


def _value(field: FieldDescriptor, value: object) -> str:
    match value:
        case Message():
            return encode(value)
        case bytes():
            return f'"{b2a_base64(value, newline=False).decode()}"'
        case str():
            return quote(value)
        case bool():
            return "true" if value else "false"
        case int():
            return _integer(field, value)
        case _:
            raise AssertionError(f"{field.full_name}: no type of the API")


def _integer(field: FieldDescriptor, value: int) -> str:
    if field.enum_type is not None:
        known = field.enum_type.values_by_number.get(value)
        return str(value) if known is None else f'"{known.name}"'
    return f'"{value}"' if field.type in _64_BIT else str(value)


def _split(descriptor: Descriptor, data: bytes) -> Iterator[tuple[FieldDescriptor, bytes, bytes]]:
    """Yield each known field of an encoded message: the field, its payload, and all its bytes."""
    at = 0
    fields = descriptor.fields_by_number
    while at < len(data):
        start = at
        tag, at = _varint(data, at)
        if tag & 7 == _LENGTH_DELIMITED:
            length, at = _varint(data, at)
            payload = data[at : at + length]
            at += length
        else:
            # The API has no other kind of number on the wire.
            payload = b""
            _, at = _varint(data, at)
        field = fields.get(tag >> 3)
        if field is not None:
            yield field, payload, data[start:at]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
