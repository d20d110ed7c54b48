"""A bbolt file from buckets, written front to back.

A tree is laid out so that a parent follows its children::

    leaf leaf leaf branch  leaf leaf branch  branch(root)

Which item is on which leaf depends on lengths only, and the shape above the leaves only on how many
there are: so a pass over the lengths settles every page id, and while pages are written no more is
held than the unfinished branches, one a level. Every page of the file is used: bbolt's own check
takes a page that is neither reached nor free for damage.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from c101.core.kv.snapshot import bbolt_pages as pages
from c101.core.kv.snapshot.bbolt_pages import ELEMENT_BYTES, HEADER_BYTES, Meta

PAGE_BYTES = 4096
#: A branch has at least two children, however long their keys are: it overflows if need be.
CHILDREN_MIN = 2
_FREELIST_PAGE = 2
_FIRST_PAGE = 3

Item = tuple[bytes, bytes]
#: How long a key is, and its value.
Lengths = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """A bucket to be written; both callables start a pass, in the order of the keys.

    ``lengths`` yields how long key and value are, of each item that ``items`` yields
    """

    name: bytes
    lengths: Callable[[], Iterable[Lengths]]
    items: Callable[[], Iterable[Item]]

    @classmethod
    def of(cls, name: bytes, content: dict[bytes, bytes]) -> "Bucket":
        """Return a bucket that is in memory."""
        ordered = sorted(content.items())
        return cls(
            name=name,
            lengths=lambda: ((len(key), len(value)) for key, value in ordered),
            items=lambda: ordered,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Where a bucket's tree will be, from page *first* on, its root at the end.

    ``key_bytes`` is how long a key is at most: it bounds what a branch page must hold.
    """

    first: int
    leaves: int
    leaf_pages: int
    key_bytes: int

    @property
    def children_max(self) -> int:
        """How many children a branch has at most."""
        fit = (PAGE_BYTES - HEADER_BYTES) // (ELEMENT_BYTES + self.key_bytes)
        return max(CHILDREN_MIN, fit)

    @property
    def branch_pages(self) -> int:
        """How many pages long each branch is."""
        full = self.children_max * (ELEMENT_BYTES + self.key_bytes)
        return pages.page_count(HEADER_BYTES + full, PAGE_BYTES)

    @property
    def branches(self) -> list[int]:
        """How many branches each level has, the lowest first."""
        counts: list[int] = []
        below = self.leaves
        while below > 1:
            below = -(-below // self.children_max)
            counts.append(below)
        return counts

    @property
    def end(self) -> int:
        """The page after the tree's last one."""
        return self.first + self.leaf_pages + sum(self.branches) * self.branch_pages

    @property
    def root(self) -> int:
        """The page that the root begins on."""
        return self.end - self.branch_pages if self.leaves > 1 else self.first


class Layout:
    """Every page of a file that will hold *buckets*; reads all their lengths."""

    def __init__(self, buckets: Iterable[Bucket]) -> None:
        self._buckets = sorted(buckets, key=lambda bucket: bucket.name)
        self._trees: list[Tree] = []
        page = _FIRST_PAGE
        for bucket in self._buckets:
            tree = _measure(page, bucket.lengths())
            self._trees.append(tree)
            page = tree.end
        self._root = page
        roots = [(len(bucket.name), pages.BUCKET_HEADER.size) for bucket in self._buckets]
        listing = _measure(page, roots)
        assert listing.leaves == 1, "the buckets are listed on one page"
        self._pages = listing.end

    @property
    def size(self) -> int:
        """How many bytes ``write`` yields in all."""
        return self._pages * PAGE_BYTES

    def write(self) -> Iterator[bytes]:
        """Yield the file: some pages at a time, of which none is ever changed again."""
        for txid in (0, 1):
            meta = Meta(
                page_bytes=PAGE_BYTES,
                root=self._root,
                freelist=_FREELIST_PAGE,
                pages=self._pages,
                txid=txid,
            )
            yield meta.pack(txid)
        yield pages.pack_freelist(_FREELIST_PAGE, PAGE_BYTES)
        for bucket, tree in zip(self._buckets, self._trees, strict=True):
            yield from _TreeWriter(tree).write(bucket.items())
        roots = [
            (bucket.name, pages.BUCKET_HEADER.pack(tree.root, 0))
            for bucket, tree in zip(self._buckets, self._trees, strict=True)
        ]
        yield pages.pack_leaf(self._root, roots, PAGE_BYTES, flags=pages.BUCKET)


def _measure(first: int, lengths: Iterable[Lengths]) -> Tree:
    """Return the tree of items so long, beginning at page *first*."""
    leaves = leaf_pages = longest = 0
    size = HEADER_BYTES
    for key_bytes, value_bytes in lengths:
        length = ELEMENT_BYTES + key_bytes + value_bytes
        longest = max(longest, key_bytes)
        if size + length > PAGE_BYTES and size > HEADER_BYTES:
            leaves += 1
            leaf_pages += pages.page_count(size, PAGE_BYTES)
            size = HEADER_BYTES
        size += length
    return Tree(
        first=first,
        leaves=leaves + 1,
        leaf_pages=leaf_pages + pages.page_count(size, PAGE_BYTES),
        key_bytes=longest,
    )


def _leaves(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield what is on each leaf: as ``_measure`` counts them."""
    leaf: list[Item] = []
    size = HEADER_BYTES
    for item in items:
        length = ELEMENT_BYTES + len(item[0]) + len(item[1])
        if size + length > PAGE_BYTES and leaf:
            yield leaf
            leaf = []
            size = HEADER_BYTES
        leaf.append(item)
        size += length
    yield leaf


class _Level:
    """The branch pages of one level: how many children each takes, and the unfinished one."""

    def __init__(self, children: int, branches: int) -> None:
        self._children = children
        self._branches = branches
        self._done = 0
        self._taken = 0
        self.open: list[tuple[bytes, int]] = []

    def take(self, key: bytes, page: int) -> list[tuple[bytes, int]]:
        """Take a child; return the children of a page that is complete with it, or nothing."""
        self.open.append((key, page))
        self._taken += 1
        # Shared out evenly: a branch with one child is what bbolt never leaves behind.
        if self._taken < self._children * (self._done + 1) // self._branches:
            return []
        self._done += 1
        complete, self.open = self.open, []
        return complete


class _TreeWriter:
    """Writes the pages of one tree in order."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._page = tree.first
        branches = tree.branches
        below = [tree.leaves, *branches]
        self._levels = [_Level(*pair) for pair in zip(below, branches, strict=False)]

    def write(self, items: Iterable[Item]) -> Iterator[bytes]:
        for leaf in _leaves(items):
            page = self._page
            data = pages.pack_leaf(page, leaf, PAGE_BYTES)
            self._page += len(data) // PAGE_BYTES
            yield data
            yield from self._finish(leaf[0][0] if leaf else b"", page)
        assert self._page == self._tree.end, "lengths and items differ"

    def _finish(self, key: bytes, page: int) -> Iterator[bytes]:
        """Write the branches that are complete with the child at *page*."""
        for level in self._levels:
            children = level.take(key, page)
            if not children:
                return
            key, page = children[0][0], self._page
            data = pages.pack_branch(page, children, PAGE_BYTES, span=self._tree.branch_pages)
            self._page += len(data) // PAGE_BYTES
            yield data
