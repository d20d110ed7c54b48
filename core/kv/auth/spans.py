r"""Key ranges merged: one look-up says whether a request lies within what is permitted.

Worked example: the permissions ``a`` (one key), ``[b, d)`` and ``[c, f)`` merge to ``[a, a\0)`` and
``[b, f)``. A request for ``[b, e)`` is covered though no single permission covers it; ``[a, c)`` is
not, for between ``a\0`` and ``b`` nothing is permitted.
"""

from bisect import bisect_right
from collections.abc import Iterable

from c101.core.kv.tree import Interval


def span_of(key: bytes, range_end: bytes) -> Interval | None:
    r"""Return the interval a permission means: one key, up to *range_end*, or for ``\0`` all after.

    ``None`` for what permits nothing: no *key*, or a *range_end* at or before it. etcd keeps such
    permissions, and so do we.
    """
    if not key:
        return None
    if not range_end:
        return key, key + b"\0"
    if range_end == b"\0":
        return key, None
    return (key, range_end) if key < range_end else None


class KeySpans:
    """The union of *spans*."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, spans: Iterable[Interval]) -> None:
        self._starts: list[bytes] = []
        self._ends: list[bytes | None] = []
        for start, end in sorted(spans, key=lambda span: span[0]):
            last = self._ends[-1] if self._ends else b""
            if self._ends and (last is None or start <= last):
                if last is not None and (end is None or end > last):
                    self._ends[-1] = end
            else:
                self._starts.append(start)
                self._ends.append(end)

    def covers(self, key: bytes, range_end: bytes) -> bool:
        r"""Say whether all of a request's range is permitted.

        The forms of *range_end* are those of a request: empty is the one key, ``\0`` all after it.
        An empty range (*range_end* at or before *key*) is covered where its *key* is.
        """
        at = bisect_right(self._starts, key) - 1
        if at < 0:
            return False
        end = self._ends[at]
        if end is None:
            return True
        return key < end and range_end != b"\0" and range_end <= end
