"""The engine: the one who decides, while it leads.

Any number of engines may run; the one whose name stands under the leader's key leads, and only as
long as the lease under that key lives. Every placement is written by a transaction that compares
the leader's key, the unit's target and its placement: an engine that was stalled and believes that
it leads changes nothing.

One pass is: look (the mirror), judge (the guard), decide (reconcile), write. It follows a change by
a few milliseconds; another one every few seconds would find what an event failed to tell.
Nothing is ever stopped because the KV cannot be reached: without it nothing is written at all.
"""

import asyncio
import logging
from collections.abc import Sequence

from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.etcd import txn
from c101.core.etcd.backoff import Backoff
from c101.core.etcd.client import Client
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.mirror import Mirror
from c101.core.registry.registry import Registry
from c101.core.rpc.dial import Dialer
from c101.core.scheduler.term import Term

#: How long an engine may be silent before another one leads. The KV is asked for a third more.
LEASE_SECONDS = 3
#: A pass that nobody asked for.
PERIODIC_PASS_SECONDS = 5.0
#: Changes that come together are decided on together.
COALESCE_SECONDS = 0.002

logger = logging.getLogger(__name__)


async def run_engine(
    *,
    dialers: Sequence[Dialer],
    keyspace: Keyspace,
    name: str,
    clock: Clock,
    stop: asyncio.Event,
) -> None:
    """Run an engine called *name* until *stop* is set; leadership is given up at once then.

    An unreachable KV is waited for.
    """
    async with Client(dialers, clock=clock) as client, asyncio.TaskGroup() as group:
        engine = Engine(client, keyspace, name=name, clock=clock)
        running = group.create_task(engine.run(), name="engine")
        await stop.wait()
        running.cancel()


class Engine:
    """One engine on one KV. ``leading`` says whether it decides at this moment."""

    def __init__(self, client: Client, keyspace: Keyspace, *, name: str, clock: Clock) -> None:
        self.leading = False
        self._client = client
        self._keyspace = keyspace
        self._name = name
        self._clock = clock
        self._mirror = Mirror(client, keyspace, clock)
        self._registry = Registry(client, keyspace, clock)
        self._term = Term(client, self._registry, keyspace, clock)
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Lead whenever nobody else does, until cancelled."""
        unsubscribe = self._mirror.subscribe(self._woken.set)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._mirror.run(), name="mirror")
                group.create_task(self._lead_whenever_possible(), name="leadership")
        finally:
            unsubscribe()

    async def _lead_whenever_possible(self) -> None:
        backoff = Backoff()
        while True:
            await self._until_vacant()
            try:
                if await self._lead():
                    backoff.reset()
            except C101Error as exc:
                logger.warning("engine cannot lead", extra={"reason": str(exc)})
            await self._clock.sleep(backoff.next())

    async def _until_vacant(self) -> None:
        """Wait until the KV is heard from and no engine leads."""
        while not self._mirror.connected or not self._mirror.synced or self._mirror.state.leader:
            self._woken.clear()
            await self._woken.wait()

    async def _lead(self) -> bool:
        """Lead for as long as the lease lives; return whether it came to that."""
        async with self._client.held_lease(LEASE_SECONDS) as lease:
            key = self._keyspace.engine_leader
            result = await self._client.transaction(
                compare=[txn.create_revision(key).equals(0)],
                success=[txn.Put(key, self._name, lease.id)],
            )
            if not result.succeeded:
                return False
            logger.info("engine leads", extra={"engine": self._name, "revision": result.revision})
            self.leading = True
            try:
                await self._govern(result.revision, lease.lost)
            finally:
                self.leading = False
                logger.info("engine leads no longer", extra={"engine": self._name})
            return True

    async def _govern(self, elected_at: int, lost: asyncio.Event) -> None:
        """Decide until *lost*. A decision under way is broken off: each of its writes is whole."""
        fence = txn.create_revision(self._keyspace.engine_leader).equals(elected_at)
        self._term.begin(fence)
        async with asyncio.TaskGroup() as group:
            deciding = group.create_task(self._decide_when_woken(), name="decide")
            waking = group.create_task(self._wake_periodically(), name="periodic pass")
            await lost.wait()
            deciding.cancel()
            waking.cancel()

    async def _wake_periodically(self) -> None:
        while True:
            self._term.look_again()
            self._woken.set()
            await self._clock.sleep(PERIODIC_PASS_SECONDS)

    async def _decide_when_woken(self) -> None:
        backoff = Backoff()
        while True:
            await self._woken.wait()
            await self._clock.sleep(COALESCE_SECONDS)
            self._woken.clear()
            if not (self._mirror.synced and self._mirror.connected):
                continue
            try:
                await self._term.decide(self._mirror.state, self._mirror.cluster_id)
                backoff.reset()
            except C101Error as exc:
                logger.warning("pass failed", extra={"reason": str(exc)})
                await self._clock.sleep(backoff.next())
                self._term.look_again()
                self._woken.set()
