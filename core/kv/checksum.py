"""Checksums of rows: what a disk, or somebody's editor, did to them is found when they are read.

Each covers the whole row, its id or name included, so that a row cannot stand in another's place.
CRC-32 sees every damage that lies within 32 bits, and all but one in 2**32 of what is wider. The id
of a change takes part by its lower 32 bits: its upper ones are in the record as mod_revision.
"""

from typing import Final
from zlib import crc32

#: An id goes in as the value to begin with; of an id this is what is left.
LOW_BITS: Final = 0xFFFFFFFF


def log_sum(change: int, key: bytes, record: bytes | None) -> int:
    """Return the checksum of a row of ``log``."""
    return crc32(record or b"", crc32(key, change & LOW_BITS))


def lease_sum(lease_id: int, ttl_seconds: int) -> int:
    """Return the checksum of a row of ``lease``."""
    return crc32(b"%d %d" % (lease_id, ttl_seconds))


def bucket_sum(name: str, key: bytes, value: bytes) -> int:
    """Return the checksum of a row of ``bucket``."""
    return crc32(value, crc32(key, crc32(name.encode())))


def meta_sum(name: str, value: int) -> int:
    """Return the checksum of a row of ``meta``."""
    return crc32(b"%s %d" % (name.encode(), value))
