"""An election: one leader at a time, who says something, and everyone may know both.

In etcd's own manner (client/v3/concurrency, Election): candidates queue up, and the first leads. As
with a lock, one who was stalled may take himself for the leader when he is no longer: what a leader
writes has to be fenced, by ``leadership.held()`` in its transactions or by
``leadership.revision``.
"""

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

from c101.core.etcd.errors import CompactedError, LockLostError
from c101.core.etcd.keys import Bytes, as_bytes, prefix_end
from c101.core.etcd.lease import HeldLease
from c101.core.etcd.ranges import Sort
from c101.core.etcd.results import RangeResult
from c101.core.etcd.turn import Turn
from c101.core.etcd.txn import Compare, Put
from c101.core.model.key_value import KeyValue

if TYPE_CHECKING:
    from c101.core.etcd.client import Client


class Election:
    """The election *name*: lead by ``campaign``, look on by ``leader`` and ``observe``.

    Example::

        election = client.election("/elections/cron")
        async with election.campaign("host-1", 10) as leadership:
            leader = await election.leader()
            assert leader is not None and leader.value == b"host-1"
            await leadership.proclaim("host-1, busy")
            async for seen in election.observe():
                assert seen.value == b"host-1, busy"
                break
        assert await election.leader() is None
    """

    def __init__(self, client: "Client", name: bytes) -> None:
        self._client = client
        self._name = name
        self._prefix = name + b"/"

    def campaign(
        self, value: Bytes = b"", ttl_seconds: float = 10.0, *, lease: HeldLease | None = None
    ) -> "Leadership":
        """Become leader, saying *value*, and lead while a block runs. See :class:`Leadership`."""
        return Leadership(self._client, self._name, as_bytes(value), ttl_seconds, lease)

    async def leader(self) -> KeyValue | None:
        """Return the leader's key, with what it says as value; ``None`` while nobody leads."""
        found = await self._first()
        return found.kvs[0] if found.kvs else None

    async def observe(self) -> AsyncIterator[KeyValue]:
        """Yield the leader's key, and again whenever the leader or what it says changes.

        Of what changes faster than it is read only the last is given. Nothing is given while nobody
        leads. Raises as :class:`Watch` does.
        """
        seen = 0
        while True:
            found = await self._first()
            leader = found.kvs[0] if found.kvs else None
            if leader is not None and leader.mod_revision != seen:
                seen = leader.mod_revision
                yield leader
            try:
                await self._change(leader, found.revision)
            except CompactedError:
                # Too late for the history: what stands at this moment is read anew.
                continue

    async def _first(self) -> RangeResult:
        return await self._client.get_range(
            self._prefix, prefix_end(self._prefix), limit=1, sort=Sort.CREATE_REVISION
        )

    async def _change(self, leader: KeyValue | None, revision: int) -> None:
        """Return when *leader*, as of *revision*, said something else or went; or the first came.

        Of the queue behind a leader nothing is heard.
        """
        if leader is None:
            await self._client.watch_once(
                self._prefix,
                range_end=prefix_end(self._prefix),
                start_revision=revision + 1,
                no_delete=True,
            )
        else:
            await self._client.watch_once(leader.key, start_revision=revision + 1)


class Leadership:
    """Leading while the block runs: ``async with election.campaign("me", 10) as leadership``.

    Entering waits for it, first come, first served. LockLostError: the lease ended while waiting.
    Leaving resigns. ``lost`` is set when the lease under it ended: the block should then end, for
    somebody else may lead. With ``lease``, a held lease that others use too, it lives and is lost
    with that.

    Example::

        async with client.election("/elections/x").campaign("me", 10) as leadership:
            await leadership.proclaim("me, at work")
            assert (await client.get(leadership.key)).create_revision == leadership.revision
            written = await client.transaction(
                compare=[leadership.held()], success=[]
            )
            assert written.succeeded and not leadership.lost.is_set()
            await leadership.resign()
            assert await client.election("/elections/x").leader() is None
    """

    def __init__(
        self,
        client: "Client",
        name: bytes,
        value: bytes,
        ttl_seconds: float,
        lease: HeldLease | None,
    ) -> None:
        self._client = client
        self._turn = Turn(client, name, ttl_seconds, lease)
        self._value = value
        self._left = False

    @property
    def key(self) -> bytes:
        """The key that leads; empty before the campaign."""
        return self._turn.key

    @property
    def revision(self) -> int:
        """The fence: the store's revision when we queued up. A later leader's is higher."""
        return self._turn.revision

    @property
    def lost(self) -> asyncio.Event:
        """Set when the lease ended."""
        return self._turn.lease.lost

    def held(self) -> Compare:
        """Hold in a transaction exactly while we lead."""
        return self._turn.held()

    async def proclaim(self, value: Bytes) -> None:
        """Say something else. Raises LockLostError: we do not lead any more."""
        put = Put(self.key, value, lease=self._turn.lease.id)
        # Twice the same word is the same word: where an answer is lost it is said again.
        result = await self._client.transaction(
            compare=[self.held()], success=[put], repeatable=True
        )
        if not result.succeeded:
            raise LockLostError(f"{self.key!r} does not lead any more")

    async def resign(self) -> None:
        """Lead no more, before the block ends: the next in the queue does."""
        if not self._left:
            self._left = True
            await self._turn.leave()

    async def __aenter__(self) -> Self:
        try:
            await self._turn.join(self._value)
            await self._turn.come()
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
        await self.resign()
