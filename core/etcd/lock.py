"""A lock among processes, in etcd's own manner (client/v3/concurrency, Mutex): a turn in a queue.

A lock alone cannot keep out a holder that was stalled and wakes up after its lease ended. Where
that matters, fence it. For what is kept in the KV, put ``lock.held()`` among the compares of the
transaction that the lock guards: it is carried out while the lock is held, or not at all. For what
is kept elsewhere, send ``lock.revision`` along, which only ever grows, and have the other side
refuse a number lower than one it has seen.
"""

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING, Self

from c101.core.etcd.lease import HeldLease
from c101.core.etcd.turn import Turn
from c101.core.etcd.txn import Compare

if TYPE_CHECKING:
    from c101.core.etcd.client import Client


class Lock:
    """Held while the block runs: ``async with client.lock("/locks/reboot", 10) as lock``.

    Entering waits for it, first come, first served; with ``wait=False`` it raises LockHeldError
    where somebody else has it. LockLostError: the lease ended while waiting.

    ``ttl_seconds`` is how long it stays held by one who died. ``lost`` is set when the lease under
    it ended: the block should then end, for somebody else may hold the lock. With ``lease``, a held
    lease that others use too, it lives and is lost with that; a lease holds a lock of one name
    once, so the same lock taken twice with one lease is the same lock.

    ``key`` and ``revision``, the fence, are set once it is held.

    Example::

        from c101.core.etcd.errors import LockHeldError
        from c101.core.etcd.txn import Put

        async with client.lock("/locks/report", 10) as lock:
            done = await client.transaction(
                compare=[lock.held()], success=[Put("/report", "written by the holder")]
            )
            assert done.succeeded and not lock.lost.is_set()
            assert (await client.get(lock.key)).create_revision == lock.revision
            try:
                async with client.lock("/locks/report", wait=False):
                    raise AssertionError("two hold one lock")
            except LockHeldError as held:
                assert held.revision == lock.revision

        late = await client.transaction(
            compare=[lock.held()], success=[Put("/report", "too late")]
        )
        assert not late.succeeded
    """

    def __init__(
        self,
        client: "Client",
        name: bytes,
        ttl_seconds: float,
        *,
        wait: bool = True,
        lease: HeldLease | None = None,
    ) -> None:
        self._turn = Turn(client, name, ttl_seconds, lease)
        self._wait = wait

    @property
    def key(self) -> bytes:
        """The key that holds the lock; empty before it was asked for."""
        return self._turn.key

    @property
    def revision(self) -> int:
        """The fence: the store's revision when we queued up. A later holder's is higher."""
        return self._turn.revision

    @property
    def lost(self) -> asyncio.Event:
        """Set when the lease ended."""
        return self._turn.lease.lost

    def held(self) -> Compare:
        """Hold in a transaction exactly while this lock is held."""
        return self._turn.held()

    async def __aenter__(self) -> Self:
        try:
            await self._turn.join()
            await self._turn.come(wait=self._wait)
        except BaseException:
            # Nobody waits for one who left.
            await self._turn.leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._turn.leave(kind, error, traceback)
