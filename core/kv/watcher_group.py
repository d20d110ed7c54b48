"""Who is interested in a key: found without asking every watcher.

Watches of one key and watches of a prefix (by far the most there are) are looked up; only watches
of other intervals are gone through one distinct interval at a time.
"""

from collections.abc import Iterator
from typing import TypeVar

from c101.core.kv.tree import Interval, contains
from c101.core.kv.watcher import Watcher

# A dict keeps the order in which watches came, which is the order of delivery.
_Members = dict[Watcher, None]
_Key = TypeVar("_Key")


def prefix_end(prefix: bytes) -> bytes | None:
    """Return the end of the interval of all keys that begin with *prefix*; ``None`` for no end."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


class WatcherGroup:
    """The synced watchers of a store."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, _Members] = {}
        self._by_prefix: dict[bytes, _Members] = {}
        self._prefix_lengths: dict[int, int] = {}
        self._by_span: dict[Interval, _Members] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def add(self, watcher: Watcher) -> None:
        """Let *watcher* be found."""
        low, high = watcher.span
        if high == low + b"\0":
            members = self._by_key.setdefault(low, {})
        elif high is not None and high == prefix_end(low):
            members = self._by_prefix.setdefault(low, {})
            if not members:
                self._prefix_lengths[len(low)] = self._prefix_lengths.get(len(low), 0) + 1
        else:
            members = self._by_span.setdefault(watcher.span, {})
        if watcher not in members:
            members[watcher] = None
            self._size += 1

    def remove(self, watcher: Watcher) -> None:
        """Let *watcher* be found no more; nothing happens if it is not here."""
        low, high = watcher.span
        if high == low + b"\0":
            self._remove(self._by_key, low, watcher)
        elif high is not None and high == prefix_end(low):
            if self._remove(self._by_prefix, low, watcher):
                self._prefix_lengths[len(low)] -= 1
                if not self._prefix_lengths[len(low)]:
                    del self._prefix_lengths[len(low)]
        else:
            self._remove(self._by_span, watcher.span, watcher)

    def _remove(self, table: dict[_Key, _Members], key: _Key, watcher: Watcher) -> bool:
        members = table.get(key)
        if members is None or watcher not in members:
            return False
        del members[watcher]
        self._size -= 1
        if members:
            return False
        del table[key]
        return True

    def of(self, key: bytes) -> Iterator[Watcher]:
        """Yield the watchers whose interval has *key*."""
        if key in self._by_key:
            yield from self._by_key[key]
        for length in self._prefix_lengths:
            # A key shorter than that has no such prefix; cut, it would be looked up once more.
            members = self._by_prefix.get(key[:length]) if length <= len(key) else None
            if members is not None:
                yield from members
        for span, members in self._by_span.items():
            if contains(span, key):
                yield from members
