"""The history of one key: the ids of its changes, oldest first.

A history is an ``int`` for a key that was written once, as most are, and an ``array('q')`` from
the second change on: eight bytes a change. Values are not kept here: an id finds them in the log.

Worked example, a key put at 2, put at 4, deleted at 6, put again at 9 (ids written as
revision, ``t`` for a tombstone)::

    history                       [2, 4, 6t, 9]
    newest before bound(5)        4
    newest before bound(7)        6t: the key does not exist at 7
    compact(3)  keeps [2, 4, 6t, 9]    2 is what a read at 3 needs
    compact(4)  keeps [4, 6t, 9]       drops 2
    compact(6)  keeps [6t, 9]          a tombstone exactly at the compact revision stays: a watch
                                       may start there and must see the deletion
    compact(7)  keeps [9]              drops 6t: nobody can ask for the time before it
"""

from array import array
from bisect import bisect_left
from typing import Union

from c101.core.kv.revision import TOMBSTONE, bound, revision_of

History = Union[int, "array[int]"]


def append(history: History | None, change: int) -> History:
    """Return *history* with *change* at its end; an array is extended in place."""
    if history is None:
        return change
    if isinstance(history, int):
        return array("q", (history, change))
    history.append(change)
    return history


def newest(history: History) -> int:
    """Return the last change."""
    return history if isinstance(history, int) else history[-1]


def newest_before(history: History, limit: int) -> int | None:
    """Return the last change below the id *limit*, a tombstone included; ``None`` for none."""
    if isinstance(history, int):
        return history if history < limit else None
    position = bisect_left(history, limit)
    return history[position - 1] if position else None


def changes_between(history: History, start: int, limit: int) -> list[int]:
    """Return the changes from id *start* up to, not including, *limit*."""
    if isinstance(history, int):
        return [history] if start <= history < limit else []
    return list(history[bisect_left(history, start) : bisect_left(history, limit)])


def compact(history: History, revision: int) -> tuple[History | None, list[int]]:
    """Return what of *history* a compaction at *revision* keeps, and the ids it drops."""
    changes = [history] if isinstance(history, int) else history
    position = bisect_left(changes, bound(revision))
    if not position:
        return history, []
    last = changes[position - 1]
    if not last & TOMBSTONE or revision_of(last) == revision:
        position -= 1
    if not position:
        return history, []
    dropped = list(changes[:position])
    kept = changes[position:]
    if not kept:
        return None, dropped
    return (kept[0] if len(kept) == 1 else array("q", kept)), dropped
