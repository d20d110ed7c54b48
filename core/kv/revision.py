"""Row ids: where a change stands in the history of the store.

A revision counts changes of the store as a whole; a transaction makes one revision, and each
change in it has a sub-revision 0, 1, 2 ... One 63-bit integer carries both and says whether
the change is a deletion::

    revision << 22 | sub << 1 | tombstone

Ids sort as the changes happened, so ``bound(revision)`` splits "up to" from "after": every change
up to and including *revision* has a smaller id. They are the primary key of the log as well.
41 bits of revision last seven years at ten thousand writes a second.
"""

SUB_BITS = 21
SHIFT = SUB_BITS + 1
TOMBSTONE = 1

#: A transaction (or the end of a lease) that would change more keys than this is refused.
CHANGES_PER_REVISION_MAX = 1 << SUB_BITS

#: A fresh store is at revision 1, as etcd's is.
FIRST_REVISION = 1
#: What etcd reports as compact revision before the first compaction.
NEVER_COMPACTED = -1


def change_id(revision: int, sub: int, *, tombstone: bool = False) -> int:
    """Return the id of change number *sub* of *revision*."""
    return revision << SHIFT | sub << 1 | tombstone


def bound(revision: int) -> int:
    """Return the id that is above every change up to *revision*, and below all later ones."""
    return (revision + 1) << SHIFT


def revision_of(change: int) -> int:
    """Return the revision of a change."""
    return change >> SHIFT
