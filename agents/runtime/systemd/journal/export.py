"""The journal export format, taken apart as it comes (systemd: JOURNAL_EXPORT_FORMATS).

An entry is a line a field, ``NAME=text``, ended by an empty line. A field with other bytes than
printable text is ``NAME``, a newline, its size as eight bytes (little-endian), its bytes and a
newline. Whatever a unit prints is data here: bytes, never split at what is in them.
"""

from collections.abc import Iterator

#: Of a field more than this is dropped as it comes: nobody reads a line of a megabyte, and a unit
#: that prints one must not cost the agent more than that.
FIELD_BYTES_MAX = 1 << 20
_NAME_BYTES_MAX = 256
_SIZE_BYTES = 8
_NEWLINE = 0x0A

#: One entry: the first value of each field.
Fields = dict[str, bytes]


class ExportError(Exception):
    """What came is not the export format."""


class ExportReader:
    """Takes bytes in pieces of any size, gives whole entries; one is held at most."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fields: Fields = {}
        self._long: _SizedField | _LongLine | None = None

    def feed(self, chunk: bytes) -> Iterator[Fields]:
        """Take the next bytes; yield the entries they complete. Raises ExportError."""
        self._buffer += chunk
        while True:
            if self._long is not None:
                if not self._long.take(self._buffer):
                    return
                self._put(self._long.name, self._long.value())
                self._long = None
                continue
            end = self._buffer.find(_NEWLINE)
            if end == 0:
                del self._buffer[:1]
                fields, self._fields = self._fields, {}
                if fields:
                    yield fields
            elif not self._line(end):
                return

    def _line(self, end: int) -> bool:
        """Take the line that ends at *end*, or is long; say whether anything was taken."""
        buffer = self._buffer
        if end < 0:
            if len(buffer) <= FIELD_BYTES_MAX + _NAME_BYTES_MAX:
                return False
            equals = buffer.find(b"=", 0, _NAME_BYTES_MAX + 1)
            if equals < 0:
                raise ExportError("a line without an end")
            self._long = _LongLine(_name(buffer[:equals]))
            del buffer[: equals + 1]
            return True
        equals = buffer.find(b"=", 0, end)
        if equals >= 0:
            value = buffer[equals + 1 : end]
            dropped = max(0, len(value) - FIELD_BYTES_MAX)
            self._put(_name(buffer[:equals]), _said(value[:FIELD_BYTES_MAX], dropped))
            del buffer[: end + 1]
            return True
        head = end + 1 + _SIZE_BYTES
        if len(buffer) < head:
            return False
        size = int.from_bytes(buffer[end + 1 : head], "little")
        self._long = _SizedField(_name(buffer[:end]), size)
        del buffer[:head]
        return True

    def _put(self, name: str, value: bytes) -> None:
        # A field may be there more than once; the first is the one that journalctl shows.
        self._fields.setdefault(name, value)


class _SizedField:
    """A field that says its size."""

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self._missing = size
        self._dropped = max(0, size - FIELD_BYTES_MAX)
        self._value = bytearray()

    def take(self, buffer: bytearray) -> bool:
        """Take of *buffer* what belongs to the field; say whether it is complete."""
        some = min(self._missing, len(buffer))
        self._value += buffer[: min(some, FIELD_BYTES_MAX - len(self._value))]
        self._missing -= some
        del buffer[:some]
        if self._missing or not buffer:
            return False
        if buffer[0] != _NEWLINE:
            raise ExportError("a field is longer than it says")
        del buffer[:1]
        return True

    def value(self) -> bytes:
        """Return it, with a word on what was dropped of it."""
        return _said(self._value, self._dropped)


class _LongLine:
    """A field of one line whose end is far."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._dropped = 0
        self._value = bytearray()

    def take(self, buffer: bytearray) -> bool:
        """Take of *buffer* what belongs to the field; say whether it is complete."""
        end = buffer.find(_NEWLINE)
        some = len(buffer) if end < 0 else end
        kept = min(some, FIELD_BYTES_MAX - len(self._value))
        self._value += buffer[:kept]
        self._dropped += some - kept
        del buffer[: some if end < 0 else end + 1]
        return end >= 0

    def value(self) -> bytes:
        """Return it, with a word on what was dropped of it."""
        return _said(self._value, self._dropped)


def _said(value: bytearray, dropped: int) -> bytes:
    return bytes(value) + (b" [%d bytes more]" % dropped if dropped else b"")


def _name(raw: bytearray) -> str:
    if len(raw) > _NAME_BYTES_MAX or not raw.isascii():
        raise ExportError("not the name of a field")
    return raw.decode()
