"""Pages of a bbolt file: a header, then elements that point at what follows them.

Everything is little-endian::

    page     id u64, flags u16, count u16, overflow u32    then ``count`` elements
    leaf     flags u32, pos u32, key size u32, value size u32
    branch   pos u32, key size u32, page id u64
    meta     magic u32, version u32, page size u32, flags u32, root page u64, root sequence u64,
             freelist page u64, pages in use u64, transaction id u64, checksum u64

``pos`` counts from the element itself. A page too large for one goes on in ``overflow`` more. A
leaf element with flag BUCKET has a bucket as its value: root page u64 and sequence u64, and where
the root page is 0, a small leaf page itself. Pages 0 and 1 are metas; the valid one with the higher
transaction id counts.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAGIC: Final = 0xED0CDAED
VERSION: Final = 2

BRANCH: Final = 0x01
LEAF: Final = 0x02
META: Final = 0x04
FREELIST: Final = 0x10

#: The flag of a leaf element whose value is a bucket.
BUCKET: Final = 0x01

PAGE_HEADER: Final = struct.Struct("<QHHI")
LEAF_ELEMENT: Final = struct.Struct("<IIII")
BRANCH_ELEMENT: Final = struct.Struct("<IIQ")
BUCKET_HEADER: Final = struct.Struct("<QQ")
META_FIELDS: Final = struct.Struct("<IIIIQQQQQ")
META_CHECKSUM: Final = struct.Struct("<Q")

HEADER_BYTES: Final = PAGE_HEADER.size
#: Elements of both kinds have the same size.
ELEMENT_BYTES: Final = LEAF_ELEMENT.size

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3


def fnv1a(data: bytes) -> int:
    """Return the 64-bit FNV-1a hash of *data*, with which a meta page is sealed."""
    value = _FNV_OFFSET
    for byte in data:
        value = (value ^ byte) * _FNV_PRIME & 0xFFFFFFFFFFFFFFFF
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a meta page says. ``pages`` is how many pages of the file are in use."""

    page_bytes: int
    root: int
    freelist: int
    pages: int
    txid: int

    def pack(self, page: int) -> bytes:
        """Return the meta page *page*."""
        fields = META_FIELDS.pack(
            MAGIC, VERSION, self.page_bytes, 0, self.root, 0, self.freelist, self.pages, self.txid
        )
        body = PAGE_HEADER.pack(page, META, 0, 0) + fields + META_CHECKSUM.pack(fnv1a(fields))
        return body.ljust(self.page_bytes, b"\0")


def page_count(size: int, page_bytes: int) -> int:
    """Return how many pages *size* bytes take, header and elements included."""
    return -(-size // page_bytes)


def pack_leaf(
    page: int, items: Sequence[tuple[bytes, bytes]], page_bytes: int, *, flags: int = 0
) -> bytes:
    """Return leaf page *page* with *items*, as many pages long as it takes."""
    offset = ELEMENT_BYTES * len(items)
    fields: list[int] = []
    contents: list[bytes] = []
    for key, value in items:
        key_bytes, value_bytes = len(key), len(value)
        fields += (flags, offset, key_bytes, value_bytes)
        offset += key_bytes + value_bytes - ELEMENT_BYTES
        contents += (key, value)
    body = struct.pack(f"<{len(fields)}I", *fields) + b"".join(contents)
    return _pack(page, LEAF, len(items), body, page_bytes)


def pack_branch(
    page: int, children: Sequence[tuple[bytes, int]], page_bytes: int, *, span: int
) -> bytes:
    """Return branch page *page*, *span* pages long; *children* are first key and page of each."""
    offset = ELEMENT_BYTES * len(children)
    elements = bytearray()
    for key, child in children:
        elements += BRANCH_ELEMENT.pack(offset, len(key), child)
        offset += len(key) - ELEMENT_BYTES
    body = bytes(elements) + b"".join(key for key, _ in children)
    return _pack(page, BRANCH, len(children), body, page_bytes, span=span)


def pack_freelist(page: int, page_bytes: int) -> bytes:
    """Return freelist page *page*, with no page on it."""
    return _pack(page, FREELIST, 0, b"", page_bytes)


def _pack(
    page: int, kind: int, count: int, body: bytes, page_bytes: int, *, span: int = 0
) -> bytes:
    pages = span or page_count(HEADER_BYTES + len(body), page_bytes)
    assert HEADER_BYTES + len(body) <= pages * page_bytes
    data = PAGE_HEADER.pack(page, kind, count, pages - 1) + body
    return data.ljust(pages * page_bytes, b"\0")
