"""What etcd keeps in its database: which buckets, under which keys, in which form.

``key`` has a row for every change: revision as key, KeyValue as value. ``lease`` has an entry a
lease. ``meta`` says how far the raft log was applied and what was compacted. ``cluster``,
``members`` and ``members_removed`` describe the cluster that the file comes from: no other takes
them over. The rest is small and copied as it is.
"""

import json
import struct
from dataclasses import dataclass
from typing import Final

from c101.core.errors import C101Error
from c101.core.kv.record import length_delimited, varint
from c101.core.kv.revision import CHANGES_PER_REVISION_MAX, SHIFT, SUB_BITS, TOMBSTONE

KEY: Final = b"key"
LEASE: Final = b"lease"
META: Final = b"meta"
AUTH: Final = b"auth"
#: Buckets that hold the same in etcd's database as in the table ``bucket`` of ours.
MIRRORED: Final = (b"alarm", AUTH, b"authRoles", b"authUsers")
AUTH_REVISION: Final = b"authRevision"
CONSISTENT_INDEX: Final = b"consistent_index"
SCHEDULED_COMPACTION: Final = b"scheduledCompactRev"
FINISHED_COMPACTION: Final = b"finishedCompactRev"

INDEX: Final = struct.Struct(">Q")
_REVISION: Final = struct.Struct(">QcQ")
_SEPARATOR: Final = b"_"
_MARK: Final = b"t"
_TAG_KEY: Final = b"\x0a"
REVISION_BYTES: Final = _REVISION.size
#: A later revision has no row id here.
REVISION_MAX: Final = (1 << (63 - SHIFT)) - 1
_SUB_MASK: Final = CHANGES_PER_REVISION_MAX - 1

_INT64_BYTES_MAX: Final = 10

#: What a single member of ours is called, and the version of the API that it speaks.
MEMBER_NAME: Final = "c101"
CLUSTER_VERSION: Final = "3.4.0"


class SnapshotError(C101Error):
    """A file is no snapshot of an etcd, or a damaged one; it says what is wrong and where."""

    code = "snapshot"


def pack_revision(main: int, sub: int) -> bytes:
    """Return a revision as etcd writes it."""
    return _REVISION.pack(main, _SEPARATOR, sub)


def revision_key(change: int) -> bytes:
    """Return the key of a change in the bucket ``key``."""
    revision = _REVISION.pack(change >> SHIFT, _SEPARATOR, change >> 1 & _SUB_MASK)
    return revision + _MARK if change & TOMBSTONE else revision


def change_value(key: bytes, record: bytes | None) -> bytes:
    """Return the value there: the encoded KeyValue, of a deletion with nothing but its key."""
    return length_delimited(_TAG_KEY, key) if record is None else record


def tombstone_bytes(key_bytes: int) -> int:
    """Return how long ``change_value`` is of a deletion whose key has *key_bytes*."""
    return len(_TAG_KEY) + len(varint(key_bytes)) + key_bytes


def change_of(key: bytes) -> int:
    """Return the id of the change that *key* of the bucket ``key`` stands for."""
    mark = key[REVISION_BYTES:]
    if len(key) < REVISION_BYTES or mark not in (b"", _MARK):
        raise SnapshotError(f"{key.hex()} in bucket key is no revision")
    main, sub = unpack_revision(key[:REVISION_BYTES])
    return main << SHIFT | sub << 1 | (TOMBSTONE if mark else 0)


def unpack_revision(data: bytes) -> tuple[int, int]:
    """Return main and sub of a revision that etcd wrote."""
    if len(data) != REVISION_BYTES:
        raise SnapshotError(f"{data.hex()} is no revision")
    main, separator, sub = _REVISION.unpack(data)
    if separator != _SEPARATOR:
        raise SnapshotError(f"{data.hex()} is no revision")
    if main > REVISION_MAX or sub >> SUB_BITS:
        raise SnapshotError(
            f"revision {main}, change {sub}, is out of range",
            hint=f"a store goes up to {REVISION_MAX}, with {CHANGES_PER_REVISION_MAX} changes each",
        )
    return main, sub


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """A lease as etcd keeps it (leasepb.Lease).

    ``remaining``: seconds that were left at its last checkpoint; 0 without one.
    """

    id: int
    ttl: int
    remaining: int = 0

    @property
    def key(self) -> bytes:
        """Its key in the bucket ``lease``."""
        return INDEX.pack(self.id & 0xFFFFFFFFFFFFFFFF)

    def pack(self) -> bytes:
        """Return its value in the bucket ``lease``."""
        numbered = ((1, self.id), (2, self.ttl), (3, self.remaining))
        return b"".join(bytes((field << 3,)) + varint(value) for field, value in numbered if value)

    @classmethod
    def unpack(cls, data: bytes) -> "LeaseRecord":
        """Read the value of an entry. Raises SnapshotError."""
        found = {1: 0, 2: 0, 3: 0}
        rest = memoryview(data)
        while rest:
            # Three fields, each an int64: a table of messages would be longer than this.
            tag, rest = _varint(rest, data)
            value, rest = _varint(rest, data)
            if tag & 7 or tag >> 3 not in found:
                raise SnapshotError(f"{data.hex()} in bucket lease is no lease")
            found[tag >> 3] = value - (1 << 64) if value >> 63 else value
        return cls(id=found[1], ttl=found[2], remaining=found[3])


def _varint(data: memoryview, whole: bytes) -> tuple[int, memoryview]:
    value = 0
    for position, byte in enumerate(data[:_INT64_BYTES_MAX]):
        value |= (byte & 127) << (7 * position)
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, data[position + 1 :]
    raise SnapshotError(f"{whole.hex()} in bucket lease is no lease")


def of_the_cluster(member_id: int) -> dict[bytes, dict[bytes, bytes]]:
    """Return, by name, the buckets that describe a cluster of one member, which is called c101."""
    member = {"id": member_id, "peerURLs": None, "name": MEMBER_NAME}
    return {
        b"cluster": {b"clusterVersion": CLUSTER_VERSION.encode()},
        b"members": {b"%x" % member_id: json.dumps(member, separators=(",", ":")).encode()},
        b"members_removed": {},
    }
