"""HPACK decoding with the full dynamic table (RFC 7541).

It is ours because the decoder of the ``hpack`` package is four times slower on blocks that move the
dynamic table, and grpc-go moves it with every call that has a deadline.
"""

from collections import deque
from typing import Final

from c101.core.rpc import huffman
from c101.core.rpc.frames import ConnectionFailure, ErrorCode
from c101.core.rpc.limits import HEADER_TABLE_BYTES_MAX
from c101.core.rpc.static_table import STATIC_TABLE

Field = tuple[bytes, bytes]

#: What RFC 7541, 4.1 adds to the size of each field.
FIELD_OVERHEAD_BYTES: Final = 32

#: Huffman strings remembered by their bytes; when full the memory is emptied. Short ones (every
#: timeout is) are decoded as fast as they would be remembered.
_STRINGS_MAX: Final = 256
_STRING_BYTES_REMEMBERED_MIN: Final = 10
_STRING_BYTES_REMEMBERED_MAX: Final = 128

#: An integer may take this many continuation bytes: 28 bits are more than any length here.
_INTEGER_SHIFT_MAX: Final = 28

#: The index where the dynamic table begins.
_DYNAMIC_START: Final = len(STATIC_TABLE)


class HeaderDecoder:
    """Decodes the header blocks of one connection, in the order in which they came.

    ``moved`` says whether the last block changed the table: what was remembered by the bytes of
    a block is then void, and the block itself must not be remembered.

    Example (RFC 7541, C.2.1): the block ``40 0a custom-key 0d custom-header`` decodes to
    ``[(b"custom-key", b"custom-header")]``, sets ``moved`` and makes that field index 62.
    """

    __slots__ = ("_size", "_size_max", "_strings", "_table", "moved")

    def __init__(self) -> None:
        self._table: deque[Field] = deque()
        self._size = 0
        self._size_max = HEADER_TABLE_BYTES_MAX
        self._strings: dict[bytes, bytes] = {}
        self.moved = False

    def decode(self, block: bytes) -> list[Field]:
        """Decode one whole header block.

        The list may stand for far more bytes than the block has, since fields are shared: it is
        for the caller to ask ``list_bytes``. It takes memory in proportion to the block.

        Raises:
            ConnectionFailure: COMPRESSION_ERROR, the block cannot be decoded.
        """
        self.moved = False
        try:
            return self._decode(block)
        except IndexError as error:
            raise _broken("header block ends too early or names no entry") from error
        except ValueError as error:
            raise _broken("invalid Huffman string") from error

    def _decode(self, block: bytes) -> list[Field]:
        fields: list[Field] = []
        table = self._table
        at = 0
        size = len(block)
        while at < size:
            first = block[at]
            if 0x80 < first < 0xFF:
                # An index of one byte: most fields of most blocks.
                at += 1
                index = first & 0x7F
                fields.append(
                    STATIC_TABLE[index] if index < _DYNAMIC_START else table[index - _DYNAMIC_START]
                )
            elif first & 0x80:
                index, at = self._integer(block, at, 0x7F)
                fields.append(self._entry(index))
            elif first & 0x40:
                field, at = self._literal(block, at, 0x3F)
                self._insert(field)
                fields.append(field)
            elif first & 0x20:
                if fields:
                    raise _broken("table size update after a field")
                at = self._resize(block, at)
            else:
                field, at = self._literal(block, at, 0x0F)
                fields.append(field)
        return fields

    def _entry(self, index: int) -> Field:
        if index < _DYNAMIC_START:
            if not index:
                raise _broken("index 0")
            return STATIC_TABLE[index]
        return self._table[index - _DYNAMIC_START]

    def _integer(self, block: bytes, at: int, top: int) -> tuple[int, int]:
        value = block[at] & top
        at += 1
        if value < top:
            return value, at
        shift = 0
        while True:
            byte = block[at]
            at += 1
            value += (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
            if shift > _INTEGER_SHIFT_MAX:
                raise _broken("integer too long")

    def _string(self, block: bytes, at: int) -> tuple[bytes, int]:
        first = block[at]
        length = first & 0x7F
        at += 1
        if length == 0x7F:
            length, at = self._integer(block, at - 1, 0x7F)
        end = at + length
        value = block[at:end]
        if len(value) != length:
            raise _broken("string longer than its block")
        if not first & 0x80:
            return value, end
        if length < _STRING_BYTES_REMEMBERED_MIN:
            return huffman.decode(value), end
        return self._strings.get(value) or self._huffman(value), end

    def _huffman(self, value: bytes) -> bytes:
        decoded = huffman.decode(value)
        if len(value) <= _STRING_BYTES_REMEMBERED_MAX:
            if len(self._strings) >= _STRINGS_MAX:
                self._strings.clear()
            self._strings[value] = decoded
        return decoded

    def _literal(self, block: bytes, at: int, top: int) -> tuple[Field, int]:
        index, at = self._integer(block, at, top)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = self._string(block, at)
        value, at = self._string(block, at)
        return (name, value), at

    def _insert(self, field: Field) -> None:
        self.moved = True
        self._table.appendleft(field)
        self._size += len(field[0]) + len(field[1]) + FIELD_OVERHEAD_BYTES
        if self._size > self._size_max:
            # A field larger than the table empties it (RFC 7541, 4.4): it falls out last.
            self._evict(self._size_max)

    def _evict(self, size_max: int) -> None:
        while self._size > size_max:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + FIELD_OVERHEAD_BYTES

    def _resize(self, block: bytes, at: int) -> int:
        size_max, at = self._integer(block, at, 0x1F)
        if size_max > HEADER_TABLE_BYTES_MAX:
            raise _broken("table larger than allowed")
        self.moved = True
        self._size_max = size_max
        self._evict(size_max)
        return at


def list_bytes(fields: list[Field]) -> int:
    """Return the size of a header list as RFC 9113, 6.5.2 counts it."""
    size = FIELD_OVERHEAD_BYTES * len(fields)
    return size + sum([len(name) + len(value) for name, value in fields])


def _broken(reason: str) -> ConnectionFailure:
    return ConnectionFailure(ErrorCode.COMPRESSION_ERROR, reason)
