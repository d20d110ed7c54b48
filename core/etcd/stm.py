"""Software transactional memory: read and write as one likes, and have it done as one transaction.

In etcd's own manner (client/v3/concurrency, STM). A run keeps what it read and what it wants to
write; at its end one transaction compares the former and does the latter. When somebody else was
faster, the run is made again.

==========================  ==========================================  ===========================
isolation                   what a run reads                            what is compared at its end
==========================  ==========================================  ===========================
``SERIALIZABLE_SNAPSHOT``   all at the revision of the first read       keys read, and keys written
``SERIALIZABLE``            all at the revision of the first read       keys read
``REPEATABLE_READS``        each as of its first read                   keys read
``READ_COMMITTED``          each as of its first read                   nothing
==========================  ==========================================  ===========================
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, TypeVar

from c101.core.etcd import txn
from c101.core.etcd.errors import CompactedError
from c101.core.etcd.keys import Bytes, as_bytes
from c101.core.etcd.results import RangeResult
from c101.core.etcd.txn import Compare, Delete, Get, Put
from c101.core.model.key_value import KeyValue

if TYPE_CHECKING:
    from c101.core.etcd.kv import KeyVerbs

_T = TypeVar("_T")


class Isolation(Enum):
    """How much of what others do at the same time a run may see: the module has the table."""

    SERIALIZABLE_SNAPSHOT = "serializable snapshot"
    SERIALIZABLE = "serializable"
    REPEATABLE_READS = "repeatable reads"
    READ_COMMITTED = "read committed"


_AT_ONE_REVISION = frozenset({Isolation.SERIALIZABLE_SNAPSHOT, Isolation.SERIALIZABLE})


class Stm:
    """What one run reads and wants to write. A run sees its own writes.

    All of it must fit one transaction: etcd takes 128 comparisons and 128 writes.

    Example::

        from c101.core.etcd.stm import Isolation

        await client.put("/stock", "3")

        async def take(stm):
            left = int(await stm.get("/stock"))
            assert await stm.revision("/stock") > 0 and await stm.get("/order") is None
            stm.put("/stock", str(left - 1))
            stm.put("/order", "1", lease=0)
            stm.delete("/offer")
            return left - 1

        assert await client.stm(take, isolation=Isolation.SERIALIZABLE) == 2
    """

    def __init__(self, verbs: "KeyVerbs", isolation: Isolation, known: "Known") -> None:
        self._verbs = verbs
        self._isolation = isolation
        self._known = known.kvs
        self._reads: dict[bytes, KeyValue | None] = {}
        self._writes: dict[bytes, Put | Delete] = {}
        # Set by the first read. What is known was read at one moment: the rest is read at that.
        self._revision = known.revision

    async def get(self, key: Bytes) -> bytes | None:
        """Return the value of *key*; ``None`` when it does not exist."""
        name = as_bytes(key)
        write = self._writes.get(name)
        if write is not None:
            return as_bytes(write.value) if isinstance(write, Put) else None
        found = await self._read(name)
        return None if found is None else found.value

    async def revision(self, key: Bytes) -> int:
        """Return the revision of the last put of *key* by others; 0 when it does not exist."""
        found = await self._read(as_bytes(key))
        return 0 if found is None else found.mod_revision

    def put(self, key: Bytes, value: Bytes, *, lease: int = 0) -> None:
        """Write *key* at the end."""
        self._writes[as_bytes(key)] = Put(key, value, lease)

    def delete(self, key: Bytes) -> None:
        """Delete *key* at the end."""
        self._writes[as_bytes(key)] = Delete(key)

    async def _read(self, key: bytes) -> KeyValue | None:
        if key not in self._reads:
            self._reads[key] = await self._fetch(key)
        return self._reads[key]

    async def _fetch(self, key: bytes) -> KeyValue | None:
        if key in self._known:
            return self._known[key]
        at = self._revision if self._isolation in _AT_ONE_REVISION else 0
        found = await self._verbs.get_range(key, b"", revision=at)
        self._revision = self._revision or found.revision
        return found.kvs[0] if found.kvs else None


class _Run(Stm):
    """A run as it is ended: what *change* is given does not end itself."""

    async def commit(self) -> "Known | None":
        """Do what the run wants if what it read still holds; otherwise return what is there."""
        result = await self._verbs.transaction(
            compare=self._compares(),
            success=list(self._writes.values()),
            failure=[Get(key) for key in self._reads],
            repeatable=not self._writes,
        )
        if result.succeeded:
            return None
        kvs: dict[bytes, KeyValue | None] = {}
        for key, answer in zip(self._reads, result.responses, strict=True):
            assert isinstance(answer, RangeResult)
            kvs[key] = answer.kvs[0] if answer.kvs else None
        return Known(kvs=kvs, revision=result.revision)

    def _compares(self) -> list[Compare]:
        if self._isolation is Isolation.READ_COMMITTED:
            return []
        compares = [
            txn.mod_revision(key).equals(0 if found is None else found.mod_revision)
            for key, found in self._reads.items()
        ]
        if self._isolation is Isolation.SERIALIZABLE_SNAPSHOT and self._reads:
            # Nobody may have written since what we looked at what we write without having read it.
            compares += [
                txn.mod_revision(key).less(self._revision + 1)
                for key in self._writes
                if key not in self._reads
            ]
        return compares


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a transaction found in place of what its run had read, all as of *revision*.

    The next run begins with it, which saves it a round trip.
    """

    kvs: dict[bytes, KeyValue | None] = field(default_factory=dict)
    revision: int = 0


async def run(
    verbs: "KeyVerbs", change: Callable[[Stm], Awaitable[_T]], isolation: Isolation | None
) -> _T:
    """Run *change* until it holds (``KeyVerbs.stm``)."""
    known = Known()
    while True:
        stm = _Run(verbs, isolation or Isolation.SERIALIZABLE_SNAPSHOT, known)
        try:
            outcome = await change(stm)
            conflict = await stm.commit()
        except CompactedError:
            # The revision of the first read was compacted while the run went on.
            known = Known()
            continue
        if conflict is None:
            return outcome
        known = conflict
