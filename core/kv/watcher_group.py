"""Who is interested in a key: found without asking every watcher.

Watches of one key and watches of a prefix (by far the most there are) are looked up; only watches
of other intervals are gone through one distinct interval at a time.
"""

from collections.abc import Iterator
from typing import TypeVar

from c101.core.kv.tree import Interval, contains
from c101.core.kv.watcher import Watcher

# A dict keeps the order in which watches came, which is the order of delivery.
Members = dict[Watcher, None]
_Key = TypeVar("_Key")

#: Watchers found, and intervals looked at, between two chances to let others have a turn.
WATCHERS_PER_CHUNK = 250
SPANS_PER_CHUNK = 2_000


def prefix_end(prefix: bytes) -> bytes | None:
    """Return the end of the interval of all keys that begin with *prefix*; ``None`` for no end."""
    stripped = prefix.rstrip(b"\xff")
    return stripped[:-1] + bytes((stripped[-1] + 1,)) if stripped else None


class WatcherGroup:
    """The synced watchers of a store."""

    def __init__(self) -> None:
        self._by_key: dict[bytes, Members] = {}
        self._by_prefix: dict[bytes, Members] = {}
        self._prefix_lengths: dict[int, int] = {}
        self._by_span: dict[Interval, Members] = {}
        #: the keys of ``_by_span``, listed when they are needed
        self._spans: list[Interval] | None = None
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
            if not members:
                self._spans = None
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
        elif self._remove(self._by_span, watcher.span, watcher):
            self._spans = None

    def _remove(self, table: dict[_Key, Members], key: _Key, watcher: Watcher) -> bool:
        members = table.get(key)
        if members is None or watcher not in members:
            return False
        del members[watcher]
        self._size -= 1
        if members:
            return False
        del table[key]
        return True

    def of(self, key: bytes) -> Iterator[list[Watcher]]:
        """Yield the watchers whose interval has *key*, some at a time; also an empty list.

        Others may have a turn after each list: a watcher that comes meanwhile may be found or not,
        one that leaves may still be found, none is found twice.
        """
        for members in self.members_of(key):
            if members:
                yield from some(members)
            else:
                yield []

    def members_of(self, key: bytes) -> Iterator[Members]:
        """Yield the members of each interval that has *key*; also an empty dict, as ``of`` does.

        They are not to be changed, and change when watchers come and go.
        """
        members = self._by_key.get(key)
        if members is not None:
            yield members
        for length in list(self._prefix_lengths) if self._prefix_lengths else ():
            # A key shorter than that has no such prefix; cut, it would be looked up once more.
            members = self._by_prefix.get(key[:length]) if length <= len(key) else None
            if members is not None:
                yield members
        if self._by_span:
            yield from self._of_spans(key)

    def _of_spans(self, key: bytes) -> Iterator[Members]:
        spans = self._spans
        if spans is None:
            spans = self._spans = list(self._by_span)
        for first in range(0, len(spans), SPANS_PER_CHUNK):
            if first:
                yield {}
            for span in spans[first : first + SPANS_PER_CHUNK]:
                if contains(span, key):
                    members = self._by_span.get(span)
                    if members is not None:
                        yield members


def some(members: Members) -> Iterator[list[Watcher]]:
    """Yield *members* in lists, some at a time."""
    # Listed at once: members come and go between two chunks.
    watchers = list(members)
    if len(watchers) <= WATCHERS_PER_CHUNK:
        yield watchers
    else:
        for first in range(0, len(watchers), WATCHERS_PER_CHUNK):
            yield watchers[first : first + WATCHERS_PER_CHUNK]
