"""The buckets of a bbolt file that nobody vouches for.

Pages are read one at a time, each at most once, and every number in them is checked before it is
used: so a damaged or a hostile file costs no more work than one walk over its bytes, and no more
memory than its longest page, which has a maximum. What is wrong is said with the page it is on.

The walk holds bbolt's own invariants: each page says its own number, is what its parent expects,
and its keys ascend and lie between its parent's. The free pages are not looked at: what a snapshot
holds is what can be reached.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Self

from c101.core.kv.snapshot import bbolt_pages as pages
from c101.core.kv.snapshot.bbolt_pages import ELEMENT_BYTES, HEADER_BYTES
from c101.core.kv.snapshot.etcd_buckets import SnapshotError

#: The pages that bbolt makes are as large as those of the machine it runs on.
PAGE_BYTES_MIN = 1 << 10
PAGE_BYTES_MAX = 1 << 16
#: A longer page, overflow included, is refused: etcd takes values of 1.5 MiB, or some more if it is
#: told to.
LONG_PAGE_BYTES_MAX = 256 << 20
#: A tree this deep holds more pages than any file.
DEPTH_MAX = 64

Item = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    number: int
    kind: int
    count: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A page to be read: its keys are at least *low* and less than *high* (``None``: any)."""

    number: int
    depth: int
    low: bytes = b""
    high: bytes | None = None


class BoltFile:
    """An open bbolt file; raises SnapshotError for one that is none. ``with`` it.

    ``buckets`` names what there is; ``items`` may be called once for each of them, since no page
    is read twice. ``size`` is what bbolt takes for its size: the pages in use.
    """

    def __init__(self, path: Path, *, trailer_bytes: int = 0) -> None:
        self._path = path
        self._file = open_file(path)
        try:
            self._length = os.fstat(self._file.fileno()).st_size - trailer_bytes
            self._meta = self._choose_meta()
            self.size = self._meta.pages * self._meta.page_bytes
            self._check_length()
            self._seen = bytearray(self._meta.pages)
            self._roots = self._read_roots()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    @property
    def buckets(self) -> list[bytes]:
        """The names of the buckets, in order."""
        return list(self._roots)

    def items(self, bucket: bytes) -> Iterator[Item]:
        """Yield keys and values of *bucket* in order; nothing for one that is not there.

        Raises SnapshotError where the file is damaged.
        """
        for flags, key, value in self._elements(self._roots.get(bucket, b"")):
            if flags & pages.BUCKET:
                raise self._wrong(f"bucket {_name(bucket)} holds another bucket: no etcd wrote it")
            yield key, value

    # ---- the file ----

    def _wrong(self, text: str, page: int | None = None) -> SnapshotError:
        where = "" if page is None else f"page {page}: "
        return SnapshotError(f"{self._path}: {where}{text}")

    def _check_length(self) -> None:
        if self.size > self._length:
            raise self._wrong(
                f"cut off: {self._meta.pages} pages of {self._meta.page_bytes} bytes are in use,"
                f" and it has {max(self._length, 0)} bytes"
            )

    def _read(self, offset: int, size: int) -> bytes:
        try:
            data = os.pread(self._file.fileno(), size, offset)
        except OSError as exc:
            raise self._wrong(f"{exc.strerror} at byte {offset}") from exc
        if len(data) < size:
            raise self._wrong(f"cut off: {size} bytes are missing at byte {offset}")
        return data

    def _choose_meta(self) -> pages.Meta:
        """Return the valid meta with the higher transaction id.

        Where the first one is damaged nothing says how large a page is: each size is tried.
        """
        first = self._meta_at(0)
        sizes = [first.page_bytes] if first else []
        size = PAGE_BYTES_MIN
        while not first and size <= PAGE_BYTES_MAX:
            sizes.append(size)
            size *= 2
        found = [self._meta_at(one) for one in sizes]
        valid = [meta for meta in (first, *found) if meta is not None]
        if not valid:
            raise SnapshotError(
                f"{self._path}: neither of its two meta pages is valid: no etcd database, or a"
                " damaged one"
            )
        return max(valid, key=lambda meta: meta.txid)

    def _meta_at(self, offset: int) -> pages.Meta | None:
        length = HEADER_BYTES + pages.META_FIELDS.size + pages.META_CHECKSUM.size
        if offset + length > self._length:
            return None
        data = self._read(offset, length)
        body = data[HEADER_BYTES:-8]
        (checksum,) = pages.META_CHECKSUM.unpack(data[-8:])
        magic, version, page_bytes, _, root, _, freelist, count, txid = pages.META_FIELDS.unpack(
            body
        )
        right_size = PAGE_BYTES_MIN <= page_bytes <= PAGE_BYTES_MAX
        if (
            (magic, version) != (pages.MAGIC, pages.VERSION)
            or checksum != pages.fnv1a(body)
            or not right_size
            or page_bytes & (page_bytes - 1)
            or offset not in (0, page_bytes)
        ):
            return None
        return pages.Meta(
            page_bytes=page_bytes, root=root, freelist=freelist, pages=count, txid=txid
        )

    def _read_page(self, due: _Due) -> _Page:
        """Read a page with all it overflows into; it must not have been read before."""
        number, page_bytes = due.number, self._meta.page_bytes
        if not 2 <= number < self._meta.pages:
            raise self._wrong(f"page {number} is referred to: there are {self._meta.pages}")
        if due.depth > DEPTH_MAX:
            raise self._wrong(f"more than {DEPTH_MAX} pages deep", number)
        header = self._read(number * page_bytes, HEADER_BYTES)
        found, kind, count, overflow = pages.PAGE_HEADER.unpack(header)
        if found != number:
            raise self._wrong(f"it says that it is page {found}", number)
        end = number + 1 + overflow
        if end > self._meta.pages:
            raise self._wrong(f"it goes on for {overflow} pages, past the last one", number)
        length = (1 + overflow) * page_bytes
        if length > LONG_PAGE_BYTES_MAX:
            raise self._wrong(f"it is {length} bytes long: too long to be etcd's", number)
        if self._seen.find(1, number, end) >= 0:
            raise self._wrong("it is reached twice", number)
        self._seen[number:end] = b"\1" * (end - number)
        if kind not in (pages.LEAF, pages.BRANCH):
            raise self._wrong(f"it is of kind {kind:#x}, not a branch or a leaf", number)
        data = self._read(number * page_bytes, length)
        return self._checked(_Page(number=number, kind=kind, count=count, data=data))

    def _checked(self, page: _Page) -> _Page:
        if HEADER_BYTES + page.count * ELEMENT_BYTES > len(page.data):
            raise self._wrong(f"{page.count} elements do not fit on it", page.number)
        if page.kind == pages.BRANCH and not page.count:
            raise self._wrong("it is a branch without children", page.number)
        return page

    # ---- trees ----

    def _read_roots(self) -> dict[bytes, bytes]:
        """Return the header (and the page, if it is inline) of each bucket, by name."""
        roots: dict[bytes, bytes] = {}
        for flags, name, value in self._tree(self._meta.root):
            if not flags & pages.BUCKET or len(value) < pages.BUCKET_HEADER.size:
                raise self._wrong(f"{_name(name)} is not a bucket: no etcd wrote it")
            roots[name] = value
        return roots

    def _elements(self, bucket: bytes) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield flags, key and value of all leaf elements of a bucket, in order."""
        if not bucket:
            return
        root, _ = pages.BUCKET_HEADER.unpack_from(bucket)
        if root:
            yield from self._tree(root)
        else:
            yield from self._leaf(self._inline(bucket[pages.BUCKET_HEADER.size :]), b"", None)

    def _tree(self, root: int) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield flags, key and value of all leaf elements below the page *root*, in order."""
        due = [_Due(number=root, depth=1)]
        while due:
            one = due.pop()
            page = self._read_page(one)
            if page.kind == pages.BRANCH:
                due += reversed(self._branch(page, one))
            else:
                yield from self._leaf(page, one.low, one.high)

    def _inline(self, data: bytes) -> _Page:
        """Return the page that a bucket without pages of its own has in its value."""
        if len(data) < HEADER_BYTES:
            raise self._wrong("a bucket within its parent's page is cut off")
        _, kind, count, _ = pages.PAGE_HEADER.unpack_from(data)
        if kind != pages.LEAF:
            raise self._wrong(f"a bucket within its parent's page is of kind {kind:#x}")
        return self._checked(_Page(number=0, kind=kind, count=count, data=data))

    def _branch(self, page: _Page, due: _Due) -> list[_Due]:
        """Return the children of a branch page, with the keys that each may hold."""
        elements: list[tuple[bytes, int]] = []
        left = self._room(page)
        for index in range(page.count):
            at = HEADER_BYTES + index * ELEMENT_BYTES
            position, key_bytes, child = pages.BRANCH_ELEMENT.unpack_from(page.data, at)
            left -= key_bytes
            start = at + position
            self._check_element(page, index, start, start + key_bytes, left)
            elements.append((page.data[start : start + key_bytes], child))
        keys = [key for key, _ in elements]
        self._check_order(page, keys, due.low, due.high)
        bounds = [*keys[1:], due.high]
        return [
            _Due(number=child, depth=due.depth + 1, low=key, high=high)
            for (key, child), high in zip(elements, bounds, strict=True)
        ]

    def _leaf(
        self, page: _Page, low: bytes, high: bytes | None
    ) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield the elements of a leaf page after a look at all of them."""
        elements: list[tuple[int, bytes, bytes]] = []
        left = self._room(page)
        data = page.data
        unpack = pages.LEAF_ELEMENT.unpack_from
        for index in range(page.count):
            at = HEADER_BYTES + index * ELEMENT_BYTES
            flags, position, key_bytes, value_bytes = unpack(data, at)
            left -= key_bytes + value_bytes
            start = at + position
            middle = start + key_bytes
            end = middle + value_bytes
            self._check_element(page, index, start, end, left)
            elements.append((flags, data[start:middle], data[middle:end]))
        self._check_order(page, [key for _, key, _ in elements], low, high)
        yield from elements

    @staticmethod
    def _room(page: _Page) -> int:
        """Return how many bytes keys and values of a page may have in all: none lie over others."""
        return len(page.data) - HEADER_BYTES - page.count * ELEMENT_BYTES

    def _check_element(self, page: _Page, index: int, start: int, end: int, left: int) -> None:
        if end > len(page.data) or left < 0 or start < HEADER_BYTES + page.count * ELEMENT_BYTES:
            raise self._wrong(f"element {index} lies outside of it", page.number)

    def _check_order(self, page: _Page, keys: list[bytes], low: bytes, high: bytes | None) -> None:
        for index, (one, after) in enumerate(pairwise(keys)):
            if one >= after:
                raise self._wrong(f"elements {index} and {index + 1} are out of order", page.number)
        if keys and (keys[0] < low or (high is not None and keys[-1] >= high)):
            raise self._wrong("its keys do not lie where its parent says", page.number)


def open_file(path: Path) -> BinaryIO:
    """Open a snapshot for reading. Raises SnapshotError."""
    try:
        return path.open("rb")
    except OSError as exc:
        raise SnapshotError(f"{path}: {exc.strerror}") from exc


def _name(bucket: bytes) -> str:
    return bucket.decode("utf-8", "backslashreplace")
