"""A place in a queue of keys: what locks and elections are made of (etcd: client/v3/concurrency).

Whoever wants a turn puts a key under the queue's name, under a lease of his own, named for the
lease; the oldest key has the turn, and everyone else waits for the key right before his to go. So
one who leaves wakes one, and the order is first come, first served.

The keys are laid out as clientv3, ``etcdctl lock`` and ``etcdctl elect`` and etcd's Lock and
Election services lay them out, so all of these queue up together.
"""

import asyncio
import logging
from types import TracebackType
from typing import TYPE_CHECKING

from c101.core.errors import C101Error
from c101.core.etcd import txn
from c101.core.etcd.errors import CompactedError, LockHeldError, LockLostError
from c101.core.etcd.keys import prefix_end
from c101.core.etcd.lease import REVOKE_SECONDS_MAX, HeldLease
from c101.core.etcd.ranges import Sort
from c101.core.etcd.results import PutResult, RangeResult
from c101.core.etcd.txn import Compare, Delete, Get, Put
from c101.core.model.key_value import KeyValue

if TYPE_CHECKING:
    from c101.core.etcd.client import Client
    from c101.core.etcd.watch import Watch

logger = logging.getLogger(__name__)


class Turn:
    """A key in the queue *name*, from ``join`` to ``leave``.

    The lease under it is *lease*, which whoever gave it ends, or one of its own that lives as long
    as it does. A lease has one place in a queue.
    """

    def __init__(
        self, client: "Client", name: bytes, ttl_seconds: float, lease: HeldLease | None
    ) -> None:
        self.key = b""
        self.revision = 0
        self.lease = lease or HeldLease(client, ttl_seconds)
        self._owns_lease = lease is None
        self._client = client
        self._prefix = name + b"/"

    def held(self) -> Compare:
        """Hold in a transaction exactly while the key is there."""
        return txn.create_revision(self.key).equals(self.revision)

    async def join(self, value: bytes = b"") -> None:
        """Queue up, with *value*; ``key`` and ``revision`` are then set."""
        if self._owns_lease:
            await self.lease.__aenter__()
        self.key = self._prefix + f"{self.lease.id:x}".encode()
        result = await self._client.transaction(
            compare=[txn.create_revision(self.key).equals(0)],
            success=[Put(self.key, value, lease=self.lease.id)],
            failure=[Get(self.key)],
            repeatable=True,
        )
        response = result.responses[0]
        if isinstance(response, PutResult):
            self.revision = result.revision
            return
        # It is there: a first attempt's answer was lost, or the lease is in the queue already.
        assert isinstance(response, RangeResult)
        self.revision = response.kvs[0].create_revision
        if response.kvs[0].value != value:
            await self._client.transaction(
                compare=[self.held()],
                success=[Put(self.key, value, lease=self.lease.id)],
                repeatable=True,
            )

    async def come(self, *, wait: bool = True) -> None:
        """Return when it is our turn.

        Raises:
            LockHeldError: it is somebody else's, and we do not *wait*.
            LockLostError: the lease ended before it came.
        """
        while (ahead := await self._ahead()) is not None:
            predecessor, revision = ahead
            if not wait:
                raise await self._holder(predecessor)
            await self._wait_gone(predecessor.key, revision)
        found = None if self.lease.lost.is_set() else await self._client.get(self.key)
        if found is None or found.create_revision != self.revision:
            raise self._lost()

    async def leave(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        """Give the place up: by revoking the lease, or where others use it by deleting the key."""
        if self._owns_lease:
            if self.lease.id:
                await self.lease.__aexit__(kind, error, traceback)
        elif self.key and not self.lease.lost.is_set():
            try:
                await self._client.within(REVOKE_SECONDS_MAX).transaction(
                    compare=[self.held()], success=[Delete(self.key)], repeatable=True
                )
            except C101Error as exc:
                fields = {"lease_id": self.lease.id, "reason": str(exc)}
                logger.warning("a place in a queue is left to its lease", extra=fields)

    async def _ahead(self) -> tuple[KeyValue, int] | None:
        """Return the key right before ours and the revision at which it stood."""
        found = await self._client.get_range(
            self._prefix,
            prefix_end(self._prefix),
            limit=1,
            sort=Sort.CREATE_REVISION,
            descending=True,
            keys_only=True,
            max_create_revision=self.revision - 1,
        )
        return (found.kvs[0], found.revision) if found.kvs else None

    async def _holder(self, predecessor: KeyValue) -> LockHeldError:
        """Name who has the turn; *predecessor* where he left meanwhile."""
        found = await self._client.get_range(
            self._prefix, prefix_end(self._prefix), limit=1, sort=Sort.CREATE_REVISION
        )
        holder = found.kvs[0] if found.kvs else predecessor
        return LockHeldError(holder.key, holder.create_revision)

    async def _wait_gone(self, key: bytes, revision: int) -> None:
        """Return when *key*, which stood at *revision*, is deleted, or has to be looked for."""
        try:
            async with self._client.watch(key, start_revision=revision + 1, no_put=True) as watch:
                await self._first_event(watch)
        except CompactedError:
            return

    async def _first_event(self, watch: "Watch") -> None:
        lost_event = self.lease.lost
        event = asyncio.ensure_future(anext(watch))
        lost = asyncio.ensure_future(lost_event.wait())
        try:
            await asyncio.wait({event, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (event, lost):
                task.cancel()
            await asyncio.wait({event, lost})
        if lost_event.is_set():
            # Read, lest a failure of the watch be reported as unread.
            _ = event.cancelled() or event.exception()
            raise self._lost()
        event.result()

    def _lost(self) -> LockLostError:
        return LockLostError(f"the lease under {self.key!r} ended while waiting")
