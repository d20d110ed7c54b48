"""Whether the rows of a log make one possible history, each looked at once, in order.

What holds of every log, whatever was compacted::

    a record decodes, and has the key and the revision of its row
    a put follows a put of its key with the next version and the same create revision,
    and a deletion, or nothing, with version 1
    a deletion follows a put
    after the compact revision, revisions and the changes of each follow one another without a gap

Up to the compact revision the oldest rows of a key may be missing.
"""

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from c101.core.kv.revision import CHANGES_PER_REVISION_MAX, FIRST_REVISION, SHIFT, TOMBSTONE
from c101.core.proto import kv_pb2

_SUB_MASK: Final = CHANGES_PER_REVISION_MAX - 1


@dataclass(slots=True)
class _Last:
    """The last change of a key; ``version`` 0 for a deletion."""

    create: int
    version: int
    lease: int


class HistoryCheck:
    """Takes the rows of a log one by one; what it holds grows with the keys, not with the rows."""

    def __init__(self, compact_revision: int) -> None:
        self._compacted = compact_revision
        self._last: dict[bytes, _Last] = {}
        self._revision = max(FIRST_REVISION, compact_revision)
        self._sub = 0
        self.rows = 0

    @property
    def revision(self) -> int:
        """The revision that the rows so far lead to."""
        return self._revision

    def take(self, change: int, key: bytes, record: bytes | None) -> str | None:
        """Say what is wrong with the next row; ``None``: nothing.

        *key* of a deletion, whose record is ``None``, is all that there is of it.
        """
        self.rows += 1
        gap = self._place(change >> SHIFT, change >> 1 & _SUB_MASK)
        wrong = self._delete(change, key) if record is None else self._put(change, key, record)
        return wrong or gap

    def leases(self) -> dict[int, list[bytes]]:
        """Return the keys that exist and have a lease, by lease."""
        found: dict[int, list[bytes]] = {}
        for key, last in self._last.items():
            if last.version and last.lease:
                found.setdefault(last.lease, []).append(key)
        return found

    @property
    def keys(self) -> int:
        """How many keys exist after the last row."""
        return sum(1 for last in self._last.values() if last.version)

    def _place(self, revision: int, sub: int) -> str | None:
        """Say whether a row is missing between this one and the one before."""
        if revision <= self._compacted:
            return None
        before, last_sub = self._revision, self._sub
        first_of_its_revision = revision > before
        self._revision, self._sub = revision, sub
        if first_of_its_revision:
            if revision != before + 1:
                return f"of {before + 1}, the revision after the one before it, nothing is there"
            return None if not sub else f"its revision begins with change {sub}"
        return None if sub == last_sub + 1 else f"change {last_sub + 1} of its revision is missing"

    def _put(self, change: int, key: bytes, record: bytes) -> str | None:
        try:
            kv = kv_pb2.KeyValue.FromString(record)
        except DecodeError:
            return "its record is no KeyValue"
        last = self._last.get(key)
        revision = change >> SHIFT
        self._last[key] = _Last(kv.create_revision, kv.version, kv.lease)
        if change & TOMBSTONE:
            return "it is a deletion, and has a record"
        if kv.key != key or not key:
            return f"its record is of key {kv.key!r}"
        if kv.mod_revision != revision:
            return f"its record is of revision {kv.mod_revision}"
        return self._follows(revision, kv.create_revision, kv.version, last)

    def _follows(self, revision: int, create: int, version: int, last: _Last | None) -> str | None:
        """Say whether a put with *create* and *version* cannot come after *last*."""
        if last is not None and last.version:
            wanted = (last.create, last.version + 1)
        elif last is None and revision <= self._compacted and version > 1 and create < revision:
            # What came before was compacted away.
            return None
        else:
            wanted = (revision, 1)
        if (create, version) == wanted:
            return None
        return (
            f"it is version {version}, created at {create}: what is there before it makes that"
            f" version {wanted[1]}, created at {wanted[0]}"
        )

    def _delete(self, change: int, key: bytes) -> str | None:
        last = self._last.get(key)
        self._last[key] = _Last(0, 0, 0)
        if not change & TOMBSTONE:
            return "it is a put, and has no record"
        if not key:
            return "it names no key"
        if last is None and change >> SHIFT <= self._compacted:
            return None
        return None if last is not None and last.version else "it deletes a key that is not there"
