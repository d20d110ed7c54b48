"""From JSON to protobuf messages, as the gateway of etcd 3.4 does it, its errors included.

Names of fields may be the protocol's or in camel case, unknown ones are passed over, ``null`` is as
good as absent, 64-bit numbers may be strings, bytes are base64. protobuf's own ``json_format``
differs in each of these and in every error's text.
"""

import binascii
import json
import re
from functools import cache
from typing import Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message

from c101.core.kvserver.json_scanner import JsonError, JsonScanner, invalid

_BASE64 = re.compile(rb"[A-Za-z0-9+/\r\n]*")
_INTEGER = re.compile(r"-?[0-9]{1,20}\Z")
_UINT8_MAX: Final = 255

_RANGES: Final = {
    FieldDescriptor.TYPE_INT64: ("int64", -(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: ("uint64", 0, 2**64 - 1),
    FieldDescriptor.TYPE_INT32: ("int32", -(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: ("uint32", 0, 2**32 - 1),
}


#: What ``null`` means in a list.
_ZEROES: Final[dict[int, int | str]] = {
    FieldDescriptor.CPPTYPE_STRING: "",
    FieldDescriptor.CPPTYPE_ENUM: 0,
}


class _Number(str):
    """A number as it was written: what it may be depends on the field."""

    __slots__ = ()


def parse_json(value: bytes) -> object:
    """Read one whole value that the scanner found well-formed."""
    text = value.decode("utf-8", "replace")
    return json.loads(text, parse_int=_Number, parse_float=_Number)


def decode(message: Message, value: object) -> None:
    """Set the fields of *message* from a parsed *value*.

    Raises:
        JsonError: a value is not of its field's type.
    """
    if value is None:
        return
    if not isinstance(value, dict):
        raise _mismatch(value, "map[string]json.RawMessage")
    for field in _fields(message.DESCRIPTOR):
        given = value.get(field.name)
        if given is None:
            given = value.get(field.json_name)
        if given is not None:
            _set(message, field, given)


@cache
def _fields(descriptor: Descriptor) -> tuple[FieldDescriptor, ...]:
    # The order in which the gateway looks at them decides which of two errors is told.
    plain = [field for field in descriptor.fields if field.containing_oneof is None]
    return (*plain, *(field for field in descriptor.fields if field.containing_oneof is not None))


def _set(message: Message, field: FieldDescriptor, value: object) -> None:
    if field.is_repeated:
        _extend(message, field, value)
    elif field.message_type is not None:
        inner = getattr(message, field.name)
        # Present even when it stays empty: which member of a oneof is set is all it may say.
        inner.SetInParent()
        decode(inner, value)
    else:
        setattr(message, field.name, _scalar(field, value))


def _extend(message: Message, field: FieldDescriptor, value: object) -> None:
    if isinstance(value, str) and not isinstance(value, _Number) and field.enum_type is not None:
        raise JsonError(f'invalid target "slice" for enum {_go_name(field.enum_type)}')
    if not isinstance(value, list):
        raise _mismatch(value, "[]json.RawMessage")
    items = getattr(message, field.name)
    for item in value:
        if field.message_type is not None:
            decode(items.add(), item)
        else:
            items.append(_ZEROES[field.cpp_type] if item is None else _scalar(field, item))


def _scalar(field: FieldDescriptor, value: object) -> int | bool | str | bytes:
    if field.enum_type is not None:
        return _enum(field.enum_type, value)
    if field.type in _RANGES:
        return _integer(*_RANGES[field.type], value)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if not isinstance(value, bool):
            raise _mismatch(value, "bool")
        return value
    if field.type == FieldDescriptor.TYPE_BYTES:
        return _bytes(value)
    if not isinstance(value, str) or isinstance(value, _Number):
        raise _mismatch(value, "string")
    return _clean(value)


def _enum(kind: EnumDescriptor, value: object) -> int:
    if isinstance(value, str) and not isinstance(value, _Number):
        known = kind.values_by_name.get(value)
        if known is None:
            raise JsonError(f'unknown value "{value}" for enum {_go_name(kind)}')
        return int(known.number)
    _, low, high = _RANGES[FieldDescriptor.TYPE_INT32]
    return _integer(_go_name(kind), low, high, value)


def _integer(name: str, low: int, high: int, value: object) -> int:
    if isinstance(value, str) and not isinstance(value, _Number):
        # A number in quotes: what is between them is read as JSON again.
        value = _parse_quoted(value)
        if value is None:
            return 0
    if not isinstance(value, _Number):
        raise _mismatch(value, name)
    if _INTEGER.match(value):
        number = int(value)
        if low <= number <= high:
            return number
    raise JsonError(f"json: cannot unmarshal number {value} into Go value of type {name}")


def _parse_quoted(text: str) -> object:
    data = text.encode("utf-8", "replace")
    scanner = JsonScanner()
    # A blank behind it ends a number, and what else could go on is told by what it expects.
    end = scanner.feed(data + b" ")
    if not scanner.done:
        raise JsonError("unexpected end of JSON input")
    rest = data[end:].lstrip(b" \t\r\n")
    if rest:
        raise invalid(rest[0], "after top-level value")
    return parse_json(data)


def _bytes(value: object) -> bytes:
    if isinstance(value, list):
        return bytes(_byte(item) for item in value)
    if not isinstance(value, str) or isinstance(value, _Number):
        raise _mismatch(value, "[]uint8")
    return decode_base64(value.encode("utf-8", "replace"))


def _byte(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, _Number):
        raise _mismatch(value, "uint8")
    return _integer("uint8", 0, _UINT8_MAX, value)


def decode_base64(data: bytes) -> bytes:
    """Decode standard base64 with its padding; line ends are passed over, as Go does.

    Raises:
        JsonError: naming the first byte that is wrong.
    """
    # The library passes over padding that is too much.
    if not len(data) % 4 and not data.endswith(b"==="):
        try:
            return binascii.a2b_base64(data, strict_mode=True)
        except binascii.Error:
            # Line ends, or something wrong: what, and where, it does not say.
            pass
    _check_base64(data)
    return binascii.a2b_base64(data)


def _check_base64(data: bytes) -> None:
    match = _BASE64.match(data)
    assert match is not None
    end = match.end()
    blanks = data.count(b"\r", 0, end) + data.count(b"\n", 0, end)
    in_group = (end - blanks) % 4
    if end == len(data):
        if in_group:
            raise _illegal(end - in_group)
    elif data[end] != 0x3D or in_group < 2:
        raise _illegal(end)
    else:
        _check_padding(data, end, in_group)


def _check_padding(data: bytes, at: int, in_group: int) -> None:
    at += 1
    if in_group == 2:
        at = _skip_line_ends(data, at)
        if at == len(data):
            raise _illegal(at)
        if data[at] != 0x3D:
            raise _illegal(at - 1)
        at += 1
    at = _skip_line_ends(data, at)
    if at < len(data):
        raise _illegal(at)


def _skip_line_ends(data: bytes, at: int) -> int:
    while data[at : at + 1] in (b"\r", b"\n"):
        at += 1
    return at


def _illegal(at: int) -> JsonError:
    return JsonError(f"illegal base64 data at input byte {at}")


def _mismatch(value: object, wanted: str) -> JsonError:
    return JsonError(f"json: cannot unmarshal {_kind(value)} into Go value of type {wanted}")


def _kind(value: object) -> str:
    match value:
        case bool():
            return "bool"
        case _Number():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"


def _go_name(kind: EnumDescriptor) -> str:
    """Name an enum as Go's generated code does: ``etcdserverpb.RangeRequest_SortOrder``."""
    package = kind.file.package
    return f"{package}.{kind.full_name[len(package) + 1 :].replace('.', '_')}"


def _clean(text: str) -> str:
    """Replace halves of surrogate pairs, which JSON can spell and UTF-8 cannot."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
