"""A lock among processes, in etcd's own manner (client/v3/concurrency, Mutex).

Whoever wants it puts a key under the lock's name, under a lease of his own; the oldest key holds
the lock, and everyone else waits for the key right before his to go. So a release wakes one, and
the order is first come, first served.

A lock alone cannot keep out a holder that was stalled and wakes up after its lease ended. Where
that matters, fence: put ``lock.held()`` among the compares of the transaction that the lock guards,
or store ``lock.revision``, which only ever grows, with what is written.
"""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from c101.core.etcd import txn
from c101.core.etcd.errors import CompactedError, LockLostError
from c101.core.etcd.keys import prefix_end
from c101.core.etcd.lease import HeldLease
from c101.core.etcd.ranges import Sort
from c101.core.etcd.results import PutResult, RangeResult
from c101.core.etcd.txn import Compare, Get, Put
from c101.core.etcd.watch import Watch
from c101.core.model.key_value import KeyValue

if TYPE_CHECKING:
    from c101.core.etcd.client import Client


class Lock:
    """Held while the block runs: ``async with client.lock("/locks/reboot", 10) as lock``.

    ``key`` and ``revision`` are set once it is held. ``lost`` is set when the lease under it ended:
    the block should then end, for somebody else may hold the lock.
    """

    def __init__(self, client: "Client", name: bytes, ttl_seconds: float) -> None:
        self.key = b""
        self.revision = 0
        self._client = client
        self._prefix = name + b"/"
        self._lease = HeldLease(client, ttl_seconds)

    @property
    def lost(self) -> asyncio.Event:
        """Set when the lease ended."""
        return self._lease.lost

    def held(self) -> Compare:
        """Hold in a transaction exactly while this lock is held."""
        return txn.create_revision(self.key).equals(self.revision)

    async def __aenter__(self) -> Self:
        """Wait for the lock.

        Raises LockLostError: the lease ended while waiting.
        """
        await self._lease.__aenter__()
        try:
            await self._acquire()
        except BaseException:
            # Revoking the lease takes the key away: nobody waits for one who left.
            await self._lease.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Release it, by revoking the lease."""
        await self._lease.__aexit__(kind, error, traceback)

    async def _acquire(self) -> None:
        self.key = self._prefix + f"{self._lease.id:x}".encode()
        self.revision = await self._queue_up()
        while (ahead := await self._ahead()) is not None:
            predecessor, revision = ahead
            await self._wait_gone(predecessor.key, revision)
        if self.lost.is_set() or await self._client.get(self.key) is None:
            raise LockLostError(f"the lease under {self.key!r} ended while waiting for the lock")

    async def _queue_up(self) -> int:
        """Put our key, unless it is there (the answer to a first attempt was lost)."""
        result = await self._client.transaction(
            compare=[txn.create_revision(self.key).equals(0)],
            success=[Put(self.key, b"", lease=self._lease.id)],
            failure=[Get(self.key)],
        )
        response = result.responses[0]
        if isinstance(response, PutResult):
            return result.revision
        assert isinstance(response, RangeResult)
        return response.kvs[0].create_revision

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

    async def _wait_gone(self, key: bytes, revision: int) -> None:
        """Return when *key*, which stood at *revision*, is deleted, or has to be looked for."""
        try:
            async with self._client.watch(key, start_revision=revision + 1, no_put=True) as watch:
                await self._first_event(watch)
        except CompactedError:
            return

    async def _first_event(self, watch: Watch) -> None:
        event = asyncio.ensure_future(anext(watch))
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            await asyncio.wait({event, lost}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (event, lost):
                task.cancel()
            await asyncio.wait({event, lost})
        if self.lost.is_set():
            # Read, lest a failure of the watch be reported as unread.
            _ = event.cancelled() or event.exception()
            raise LockLostError(f"the lease under {self.key!r} ended while waiting for the lock")
        event.result()
