"""Keys in order, and the intervals that requests speak of."""

from collections.abc import Iterable

from sortedcontainers import SortedList

from c101.core.kv import refusal
from c101.core.kv.refusal import refuse

#: From the first key up to, not including, the second; ``None`` = no upper end.
Interval = tuple[bytes, bytes | None]


def interval(key: bytes, range_end: bytes) -> Interval:
    r"""Return the interval that *key* and *range_end* of a request mean.

    An empty *range_end* is the single key, ``\\0`` everything from *key* on; a *range_end* at or
    before *key* is an empty interval. Raises RpcError for an empty key.
    """
    if not key:
        raise refuse(refusal.KEY_NOT_PROVIDED)
    if not range_end:
        return key, key + b"\0"
    if range_end == b"\0":
        return key, None
    return key, range_end


def contains(span: Interval, key: bytes) -> bool:
    """Say whether *key* lies in *span*."""
    low, high = span
    return low <= key and (high is None or key < high)


class KeyTree:
    """A set of keys, in order."""

    def __init__(self, keys: Iterable[bytes] = ()) -> None:
        self._keys = SortedList(keys)
        self.add = self._keys.add
        self.remove = self._keys.remove

    def __len__(self) -> int:
        return len(self._keys)

    def discard(self, key: bytes) -> None:
        """Remove *key* if it is there."""
        self._keys.discard(key)

    def _positions(self, span: Interval) -> tuple[int, int]:
        low, high = span
        keys = self._keys
        return keys.bisect_left(low), len(keys) if high is None else keys.bisect_left(high)

    def count(self, span: Interval) -> int:
        """Return how many keys lie in *span*."""
        first, last = self._positions(span)
        return max(0, last - first)

    def within(self, span: Interval, limit: int = 0) -> list[bytes]:
        """Return the keys in *span*, the first *limit* of them unless that is 0."""
        first, last = self._positions(span)
        if last <= first:
            return []
        if limit:
            last = min(last, first + limit)
        return list(self._keys.islice(first, last))
