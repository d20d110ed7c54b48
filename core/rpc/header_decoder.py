"""HPACK decoding with the full dynamic table (RFC 7541).

The static table and Huffman decoding come from ``hpack``; the rest is ours because its decoder is
four times slower on blocks that move the dynamic table, and grpc-go moves it with every call that
has a deadline.
"""

from collections import deque
from typing import Final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from c101.core.rpc.frames import ConnectionFailure, ErrorCode
from c101.core.rpc.limits import HEADER_TABLE_BYTES_MAX

Field = tuple[bytes, bytes]

#: What RFC 7541, 4.1 adds to the size of each field.
FIELD_OVERHEAD_BYTES: Final = 32

#: Huffman strings remembered by their bytes; when full the memory is emptied.
_STRINGS_MAX: Final = 256
_STRING_BYTES_REMEMBERED_MAX: Final = 128

#: An integer may take this many continuation bytes: 28 bits are more than any length here.
_INTEGER_SHIFT_MAX: Final = 28

_STATIC: Final[tuple[Field, ...]] = tuple((name, value) for name, value in HeaderTable.STATIC_TABLE)
_STATIC_SIZE: Final = len(_STATIC)


class HeaderDecoder:
    """Decodes the header blocks of one connection, in the order in which they came.

    ``moved`` says whether the last block changed the table: what was remembered by the bytes of
    a block is then void, and the block itself must not be remembered.

    Example (RFC 7541, C.2.1): the block ``40 0a custom-key 0d custom-header`` decodes to
    ``[(b"custom-key", b"custom-header")]``, sets ``moved`` and makes that field index 62.
    """

    __slots__ = ("_list_bytes_max", "_size", "_size_max", "_strings", "_table", "moved")

    def __init__(self, list_bytes_max: int) -> None:
        self._list_bytes_max = list_bytes_max
        self._table: deque[Field] = deque()
        self._size = 0
        self._size_max = HEADER_TABLE_BYTES_MAX
        self._strings: dict[bytes, bytes] = {}
        self.moved = False

    def decode(self, block: bytes) -> list[Field] | None:
        """Decode one whole header block.

        Returns ``None`` for a list over the limit: the table is then still in step, so only the
        call is lost, not the connection. Memory stays bounded while that is found out.

        Raises:
            ConnectionFailure: COMPRESSION_ERROR, the block cannot be decoded.
        """
        self.moved = False
        try:
            return self._decode(block)
        except IndexError as error:
            raise _broken("header block ends too early or names no entry") from error

    def _decode(self, block: bytes) -> list[Field] | None:
        fields: list[Field] = []
        room = self._list_bytes_max
        at = 0
        size = len(block)
        while at < size:
            first = block[at]
            if first & 0x80:
                index, at = self._integer(block, at, 0x7F)
                field = self._entry(index)
            elif first & 0x40:
                field, at = self._literal(block, at, 0x3F)
                self._insert(field)
            elif first & 0x20:
                if fields or room != self._list_bytes_max:
                    raise _broken("table size update after a field")
                at = self._resize(block, at)
                continue
            else:
                field, at = self._literal(block, at, 0x0F)
            room -= len(field[0]) + len(field[1]) + FIELD_OVERHEAD_BYTES
            if room >= 0:
                fields.append(field)
        return fields if room >= 0 else None

    def _entry(self, index: int) -> Field:
        if index <= _STATIC_SIZE:
            if not index:
                raise _broken("index 0")
            return _STATIC[index - 1]
        return self._table[index - _STATIC_SIZE - 1]

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
        huffman = block[at] & 0x80
        length, at = self._integer(block, at, 0x7F)
        end = at + length
        value = block[at:end]
        if len(value) != length:
            raise _broken("string longer than its block")
        if not huffman:
            return value, end
        decoded = self._strings.get(value)
        if decoded is None:
            decoded = self._huffman(value)
        return decoded, end

    def _huffman(self, value: bytes) -> bytes:
        try:
            decoded = bytes(decode_huffman(value))
        except HPACKDecodingError as error:
            raise _broken("invalid Huffman string") from error
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


def _broken(reason: str) -> ConnectionFailure:
    return ConnectionFailure(ErrorCode.COMPRESSION_ERROR, reason)
