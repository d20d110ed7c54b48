"""Keys as a tree of directories, cut at ``/``, with rows only for what is open.

A directory is a prefix that ends in ``/``; it knows its entries, the keys and the
directories right under it, as one sorted list. Its rows are ranges of that list, split where a
directory among them is open, so opening a directory of a million keys makes one range and no rows::

    keys       /a/1  /a/2  /b  /c/x/1  /c/y          open: /c/

    row  0     /a/   ▸ 2     range 0…2 of ""     (entries /a/ /b /c/)
         1     /b
         2     /c/   ▾ 2
         3       x/  ▸ 1     range 0…2 of "/c/"  (entries /c/x/ /c/y)
         4       y

A ``/`` at the very beginning of a key is part of its first name: ``/a/1`` is in ``/a/``, and that
is at the top, as is the directory ``a/`` of keys without it. A key may itself end in ``/``; it
is then the nameless entry of the directory of that name.

Costs, with n entries in a directory and e open directories: a row O(log e); open and close
O(e log n); insert and delete one memory move of up to 8n bytes (0.3 ms at a million) and, once for
any number of them, what opening costs.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Final, NamedTuple

SEPARATOR: Final = "/"

#: ``open_all`` opens directories until there are this many rows.
OPEN_ALL_ROWS_MAX: Final = 2_000


@dataclass(frozen=True, slots=True)
class Node:
    """One row: a key, or a directory (its ``path`` ends in ``/``).

    ``count`` is how many keys are below a directory, at any depth; 0 for a key.
    """

    path: str
    name: str
    depth: int
    is_directory: bool = False
    is_open: bool = False
    count: int = 0


class _Directory:
    __slots__ = ("count", "entries")

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.count = 0


class _Block(NamedTuple):
    """Rows ``row``… are the entries ``low`` to ``high`` of the directory ``prefix``."""

    row: int
    prefix: str
    low: int
    high: int
    depth: int


def parent_of(path: str) -> str:
    """Return the directory that a key, or a directory below the top, is in; ``""`` is the top.

    >>> parent_of("/services/web/1"), parent_of("/services/")
    ('/services/', '')
    """
    end = len(path) - 1 if path.endswith(SEPARATOR) else len(path)
    return path[: path.rfind(SEPARATOR, 1, end) + 1]


def _directory_of_key(key: str) -> str:
    return key[: key.rfind(SEPARATOR, 1) + 1]


class KeyTree:
    """A set of keys and which of their directories are open."""

    def __init__(self, keys: Iterable[str] = (), opened: Iterable[str] = ()) -> None:
        self._directories: dict[str, _Directory] = {"": _Directory()}
        self._open: set[str] = {path for path in opened if path}
        self._blocks: list[_Block] | None = None
        self._starts: list[int] = []
        self._blocks_of: dict[str, list[int]] = {}
        self._row_count = 0
        self._load(keys)

    def __len__(self) -> int:
        """Return how many keys there are."""
        return self._directories[""].count

    def __contains__(self, key: str) -> bool:
        """Say whether there is such a key."""
        directory = self._directories.get(_directory_of_key(key))
        return directory is not None and _position(directory.entries, key) is not None

    @property
    def opened(self) -> frozenset[str]:
        """The directories that are open, or will be once they are there again."""
        return frozenset(self._open)

    # Keys.

    def _load(self, keys: Iterable[str]) -> None:
        """Fill an empty tree: one pass over the sorted keys, no search for each."""
        ordered = sorted(set(keys))
        for prefix, group in groupby(ordered, _directory_of_key):
            entries = list(group)
            self._ensure(prefix).entries.extend(entries)
            self._count(prefix, len(entries))
        for directory in self._directories.values():
            directory.entries.sort()  # runs of sorted entries: linear

    def insert(self, key: str) -> bool:
        """Add *key*; say whether it was not there yet."""
        prefix = _directory_of_key(key)
        entries = self._ensure(prefix).entries
        if _position(entries, key) is not None:
            return False
        insort(entries, key)
        self._count(prefix, 1)
        self._blocks = None
        return True

    def delete(self, key: str) -> bool:
        """Remove *key*, and the directories that are empty without it; say if it was there."""
        prefix = _directory_of_key(key)
        directory = self._directories.get(prefix)
        at = None if directory is None else _position(directory.entries, key)
        if directory is None or at is None:
            return False
        del directory.entries[at]
        self._count(prefix, -1)
        while prefix and not self._directories[prefix].entries:
            del self._directories[prefix]
            above = parent_of(prefix)
            siblings = self._directories[above].entries
            del siblings[bisect_left(siblings, prefix)]
            prefix = above
        self._blocks = None
        return True

    def _ensure(self, prefix: str) -> _Directory:
        """Return the directory, made with those above it if need be."""
        directory = self._directories.get(prefix)
        if directory is not None:
            return directory
        directory = self._directories[prefix] = _Directory()
        made = prefix
        while made:
            above = parent_of(made)
            known = above in self._directories
            siblings = self._directories.setdefault(above, _Directory()).entries
            insort(siblings, made)
            made = "" if known else above
        return directory

    def _count(self, prefix: str, change: int) -> None:
        while True:
            self._directories[prefix].count += change
            if not prefix:
                return
            prefix = parent_of(prefix)

    # Open and closed.

    def is_directory(self, path: str) -> bool:
        """Say whether *path* is a directory that has keys."""
        return path != "" and path in self._directories

    def open(self, path: str) -> None:
        """Show what is in a directory, and that directory itself: those above it open too."""
        while path and path not in self._open:
            self._open.add(path)
            path = parent_of(path)
        self._blocks = None

    def close(self, path: str) -> None:
        """Hide what is in a directory; what was open in it is so again when it opens."""
        self._open.discard(path)
        self._blocks = None

    def open_all(self, rows_max: int = OPEN_ALL_ROWS_MAX) -> None:
        """Open directories from the top down, until there are *rows_max* rows."""
        rows = len(self._directories[""].entries)
        queue = [""]
        for prefix in queue:
            for entry in self._directories[prefix].entries:
                if not self._is_subdirectory(prefix, entry):
                    continue
                rows += len(self._directories[entry].entries)
                if rows > rows_max:
                    self._blocks = None
                    return
                self._open.add(entry)
                queue.append(entry)
        self._blocks = None

    def close_all(self) -> None:
        """Close every directory."""
        self._open.clear()
        self._blocks = None

    def _is_subdirectory(self, prefix: str, entry: str) -> bool:
        return entry.endswith(SEPARATOR) and entry != prefix and entry in self._directories

    # Rows.

    @property
    def row_count(self) -> int:
        """How many rows there are: the entries of the top and of every directory in sight."""
        self._lay_out()
        return self._row_count

    def row(self, index: int) -> Node:
        """Return the row at *index*, from 0."""
        blocks = self._lay_out()
        block = blocks[bisect_right(self._starts, index) - 1]
        entry = self._directories[block.prefix].entries[block.low + index - block.row]
        name = entry[len(block.prefix) :]
        if not self._is_subdirectory(block.prefix, entry):
            return Node(entry, name, block.depth)
        count = self._directories[entry].count
        return Node(
            entry, name, block.depth, is_directory=True, is_open=entry in self._open, count=count
        )

    def row_of(self, path: str, *, is_directory: bool) -> int | None:
        """Return the row of a key or a directory; None if it is not there or not in sight."""
        blocks = self._lay_out()
        prefix = parent_of(path) if is_directory else _directory_of_key(path)
        directory = self._directories.get(prefix)
        at = None if directory is None else _position(directory.entries, path)
        if at is None or self._is_subdirectory(prefix, path) != is_directory:
            return None
        for index in self._blocks_of.get(prefix, ()):
            block = blocks[index]
            if block.low <= at < block.high:
                return block.row + at - block.low
        return None

    def _lay_out(self) -> list[_Block]:
        """Cut the rows into blocks; done once after any number of changes."""
        if self._blocks is None:
            self._blocks = blocks = _blocks(self._directories, self._open)
            self._starts = [block.row for block in blocks]
            self._blocks_of = {}
            for index, block in enumerate(blocks):
                self._blocks_of.setdefault(block.prefix, []).append(index)
            last = blocks[-1] if blocks else _Block(0, "", 0, 0, 0)
            self._row_count = last.row + last.high - last.low
        return self._blocks


def _position(entries: list[str], entry: str) -> int | None:
    at = bisect_left(entries, entry)
    return at if at < len(entries) and entries[at] == entry else None


def _blocks(directories: dict[str, _Directory], opened: Collection[str]) -> list[_Block]:
    open_in: dict[str, list[str]] = {}
    for path in sorted(opened):
        if path in directories:
            open_in.setdefault(parent_of(path), []).append(path)
    blocks: list[_Block] = []
    row = 0
    # (directory, the entries of it that are placed, its open ones that are placed, depth)
    stack = [("", 0, 0, 0)]
    while stack:
        prefix, low, opened_done, depth = stack.pop()
        entries = directories[prefix].entries
        open_here = open_in.get(prefix, [])
        if opened_done < len(open_here):
            child = open_here[opened_done]
            high = bisect_left(entries, child) + 1
            stack.append((prefix, high, opened_done + 1, depth))
            stack.append((child, 0, 0, depth + 1))
        else:
            high = len(entries)
        if high > low:
            blocks.append(_Block(row, prefix, low, high, depth))
            row += high - low
    return blocks
