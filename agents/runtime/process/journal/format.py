"""How journal entries lie in a file: blocks of lines, framed at both ends and checksummed.

A file is a header and then blocks; all numbers are little-endian::

    header   magic 8 | last sequence number before this file u64 | first one in it u64
             | made, realtime in µs u64
    block    magic u32 | length u32 | crc32 u32 | count u32 | first sequence number u64
             | realtime, µs u64 | pid u32 | identifier length u8 | 3 zeros
             | identifier | count times (length u32 | priority u8 | message) | length u32

``length`` is that of the whole block; it stands at the end too, so that a file can be read
backwards. The checksum covers all that follows it but the last four bytes: what a power cut tore
is found and skipped. Entries of one block share time, process and identifier; their sequence
numbers are consecutive.

Standard library only: the keeper imports this.
"""

from __future__ import annotations

import binascii
import struct

#: A file is closed and the next one begun before it would grow over this.
FILE_BYTES_MAX = 8 * 1024 * 1024
#: Files kept of one unit; the oldest is removed when there is one more.
FILES_MAX = 4
#: No writer makes a longer block; a reader takes a longer one for damage.
BLOCK_BYTES_MAX = 512 * 1024

FILE_MAGIC = b"C101JNL1"
BLOCK_MAGIC = 0xC101B10C
FILE_HEADER = struct.Struct("<8sQQQ")
BLOCK_HEADER = struct.Struct("<IIIIQQIB3x")
ENTRY_HEADER = struct.Struct("<IB")
TRAILER = struct.Struct("<I")
BLOCK_MAGIC_BYTES = struct.pack("<I", BLOCK_MAGIC)
BLOCK_BYTES_MIN = BLOCK_HEADER.size + TRAILER.size
_CRC_END = 12


class FormatError(Exception):
    """Bytes that are no file or block of a journal."""


def file_name(first_seq: int) -> str:
    """Return the name of the file that begins with the entry *first_seq*."""
    return f"{first_seq:020d}"


def is_file_name(name: str) -> bool:
    """Say whether *name* is that of a journal file."""
    return len(name) == 20 and name.isdecimal() and name.isascii()


def pack_file_header(previous_seq: int, first_seq: int, realtime_us: int) -> bytes:
    """Return the head of a file; *previous_seq* is the unit's last entry before it, 0 for none."""
    return FILE_HEADER.pack(FILE_MAGIC, previous_seq, first_seq, realtime_us)


def unpack_length(tail: bytes | memoryview) -> int:
    """Return the length of the block that ends with *tail*. Raises FormatError."""
    if len(tail) != TRAILER.size:
        raise FormatError("torn trailer")
    return int(TRAILER.unpack(tail)[0])


def unpack_file_header(head: bytes) -> tuple[int, int, int]:
    """Return (previous_seq, first_seq, realtime_us). Raises FormatError."""
    if len(head) < FILE_HEADER.size:
        raise FormatError("torn file header")
    magic, previous_seq, first_seq, realtime_us = FILE_HEADER.unpack_from(head)
    if magic != FILE_MAGIC:
        raise FormatError("no journal file")
    return previous_seq, first_seq, realtime_us


def pack_entry(priority: int, message: bytes) -> bytes:
    """Return one entry of a block's body."""
    return ENTRY_HEADER.pack(len(message), priority) + message


def pack_block(
    body: bytes, count: int, origin: tuple[int, bytes], first_seq: int, realtime_us: int
) -> bytes:
    """Return a block of *count* packed entries. *origin* is (pid, identifier of ≤ 255 bytes)."""
    pid, identifier = origin
    length = BLOCK_HEADER.size + len(identifier) + len(body) + TRAILER.size
    head = BLOCK_HEADER.pack(
        BLOCK_MAGIC, length, 0, count, first_seq, realtime_us, pid, len(identifier)
    )
    crc = binascii.crc32(head[_CRC_END:])
    crc = binascii.crc32(body, binascii.crc32(identifier, crc))
    return b"".join(
        (head[:8], TRAILER.pack(crc), head[_CRC_END:], identifier, body, TRAILER.pack(length))
    )


class BlockHead:
    """The head of one block: ``end_seq`` is one past its last entry."""

    __slots__ = ("count", "crc", "end_seq", "first_seq", "identifier", "length", "pid", "realtime")

    length: int
    crc: int
    count: int
    first_seq: int
    realtime: int
    pid: int
    identifier: int

    def __init__(self, buffer: bytes | memoryview, offset: int = 0) -> None:
        """Read it from *buffer*. Raises FormatError when no whole head is there."""
        if len(buffer) - offset < BLOCK_HEADER.size:
            raise FormatError("torn block header")
        fields = BLOCK_HEADER.unpack_from(buffer, offset)
        magic, self.length, self.crc, self.count, self.first_seq, self.realtime = fields[:6]
        self.pid, self.identifier = fields[6:]
        if magic != BLOCK_MAGIC or not BLOCK_BYTES_MIN <= self.length <= BLOCK_BYTES_MAX:
            raise FormatError("no block")
        self.end_seq = self.first_seq + self.count


def check_block(head: BlockHead, block: bytes | memoryview) -> None:
    """Raise FormatError unless *block* is whole and its checksum is right."""
    if len(block) != head.length:
        raise FormatError("torn block")
    if TRAILER.unpack_from(block, head.length - TRAILER.size)[0] != head.length:
        raise FormatError("block ends without its length")
    if binascii.crc32(block[_CRC_END : head.length - TRAILER.size]) != head.crc:
        raise FormatError("wrong checksum")


def unpack_entries(head: BlockHead, block: bytes | memoryview) -> list[tuple[int, bytes]]:
    """Return (priority, message) of each entry of a checked block. Raises FormatError."""
    entries = []
    position = BLOCK_HEADER.size + head.identifier
    end = head.length - TRAILER.size
    for _ in range(head.count):
        if position + ENTRY_HEADER.size > end:
            raise FormatError("entries beyond their block")
        length, priority = ENTRY_HEADER.unpack_from(block, position)
        position += ENTRY_HEADER.size
        if position + length > end:
            raise FormatError("entry beyond its block")
        entries.append((priority, bytes(block[position : position + length])))
        position += length
    return entries


def identifier_of(head: BlockHead, block: bytes | memoryview) -> bytes:
    """Return the identifier that the entries of *block* share."""
    return bytes(block[BLOCK_HEADER.size : BLOCK_HEADER.size + head.identifier])
