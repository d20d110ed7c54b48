"""The cluster state, kept current by one watch.

A snapshot, then everything after it: when the link is lost the watch resumes by itself and no
change is missed; when the KV has compacted what would come next, or another KV answers, a new
snapshot replaces all. Meanwhile the last state stays readable, and ``connected`` says that it is
old. Whether a state that was replaced may be acted on is for the reader to judge: ``cluster_id``
and ``state.revision`` say what it came from.

Events are applied when somebody looks. A reader that wakes up after a thousand changes pays for
one copy of each map that changed, not for a thousand (see ``view``).
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AsyncExitStack

from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.etcd.backoff import Backoff
from c101.core.etcd.client import Client
from c101.core.etcd.errors import CompactedError, HistoryChangedError
from c101.core.etcd.events import WatchBatch, WatchEvent
from c101.core.etcd.watch import Watch
from c101.core.model.cluster import ClusterState
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.snapshot import read_view
from c101.core.registry.view import View, apply

#: Events held for the next reader; at this many they are applied though nobody looks.
PENDING_EVENTS_MAX = 1_024

logger = logging.getLogger(__name__)


class Mirror:
    """The state of the cluster as of the latest change that was heard of.

    ``run`` does the work, for as long as it is not cancelled. ``synced`` is false until the first
    snapshot: until then ``state`` is empty and means nothing.
    """

    def __init__(self, client: Client, keyspace: Keyspace, clock: Clock) -> None:
        self._client = client
        self._keyspace = keyspace
        self._clock = clock
        self._view = View()
        self._pending: list[WatchEvent] = []
        self._revision = 0
        self._cluster_id = 0
        self._synced = False
        self._connected = False
        self._changed_at = clock.monotonic()
        self._heard_at = clock.monotonic()
        self._problem: C101Error | None = None
        self._watch: Watch | None = None
        self._changed = asyncio.Event()
        self._subscribers: dict[int, Callable[[], None]] = {}
        self._subscriptions = 0

    @property
    def state(self) -> ClusterState:
        """The cluster as of the latest change. What did not change is the same object as before."""
        self._fold()
        return self._view.cluster

    @property
    def cluster_id(self) -> int:
        """The id of the KV that the state came from; 0 before the first snapshot."""
        return self._cluster_id

    @property
    def synced(self) -> bool:
        """Whether there has been a snapshot."""
        return self._synced

    @property
    def connected(self) -> bool:
        """Whether changes are being heard of at this moment."""
        return self._connected

    @property
    def problem(self) -> C101Error | None:
        """Why it is not connected, where that is known."""
        if self._connected:
            return None
        return self._problem or (self._watch.problem if self._watch is not None else None)

    @property
    def changed_at(self) -> float:
        """When the state last changed, on the monotonic clock."""
        return self._changed_at

    @property
    def heard_at(self) -> float:
        """Until when the state is known to hold, on the monotonic clock."""
        return self._clock.monotonic() if self._connected else self._heard_at

    async def next_change(self, after_revision: int) -> ClusterState:
        """Return the state once its revision is another than *after_revision*.

        At once when it is already; several changes come as one. A snapshot that replaces the state
        (compaction, another KV) always counts as a change, even where its revision is lower.
        """
        if not self._synced or self._revision == after_revision:
            await self._changed.wait()
        return self.state

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have *callback* called on every change of the state, ``connected`` or ``problem``.

        It must be quick and must not raise: mark something dirty, read ``state`` later. Returns
        what ends the subscription.
        """
        self._subscriptions += 1
        number = self._subscriptions
        self._subscribers[number] = callback

        def unsubscribe() -> None:
            self._subscribers.pop(number, None)

        return unsubscribe

    async def run(self) -> None:
        """Keep the state current, until cancelled.

        Failures are not raised: they end up in ``connected`` and ``problem``, and are tried again.
        """
        try:
            await self._follow_forever()
        finally:
            if self._connected:
                self._link_changed(connected=False)

    async def _follow_forever(self) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._follow(backoff)
            except (CompactedError, HistoryChangedError) as exc:
                # A compaction that keeps overtaking the snapshot must not become a busy loop.
                self._lose(exc)
                logger.warning("taking a new snapshot", extra={"reason": str(exc)})
                await self._clock.sleep(backoff.next())
            except C101Error as exc:
                if self._problem is None or str(exc) != str(self._problem):
                    logger.warning("mirror cannot read the KV", extra={"reason": str(exc)})
                self._lose(exc)
                await self._clock.sleep(backoff.next())

    async def _follow(self, backoff: Backoff) -> None:
        """Take a snapshot and follow the changes after it."""
        prefix = self._keyspace.prefix
        view, cluster_id = await read_view(self._client, self._keyspace, prefix)
        revision = view.cluster.revision
        async with AsyncExitStack() as stack:
            watch = await stack.enter_async_context(
                self._client.watch_prefix(
                    prefix,
                    start_revision=revision + 1,
                    on_link=self._link_changed,
                    on_problem=lambda _: self._notify(),
                )
            )
            self._watch = watch
            if watch.cluster_id != cluster_id:
                raise HistoryChangedError("another KV answers since the snapshot was taken")
            self._replace(view, cluster_id)
            backoff.reset()
            async for batch in watch:
                self._take(batch)

    def _replace(self, view: View, cluster_id: int) -> None:
        self._view = view
        self._pending.clear()
        self._cluster_id = cluster_id
        self._synced = True
        self._advance(view.cluster.revision)

    def _take(self, batch: WatchBatch) -> None:
        self._pending += batch.events
        self._advance(batch.revision)
        if len(self._pending) >= PENDING_EVENTS_MAX:
            self._fold()

    def _advance(self, revision: int) -> None:
        self._revision = revision
        self._changed_at = self._clock.monotonic()
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
        self._notify()

    def _fold(self) -> None:
        if self._pending:
            self._view = apply(self._view, self._keyspace, self._pending, self._revision)
            self._pending = []

    def _link_changed(self, connected: bool) -> None:  # noqa: FBT001 - as the watch calls it
        if not connected:
            self._heard_at = self._clock.monotonic()
        self._connected = connected
        if connected:
            self._problem = None
        self._notify()

    def _lose(self, problem: C101Error) -> None:
        known, self._problem = self._problem, problem
        if self._connected:
            self._link_changed(connected=False)
        elif known is None or str(known) != str(problem):
            self._notify()

    def _notify(self) -> None:
        for callback in list(self._subscribers.values()):
            callback()
