"""All feeds of one console, started together and ended together."""

import asyncio

from c101.core.clock import Clock
from c101.tui.feeds.access import ClusterAccess
from c101.tui.feeds.cluster import ClusterFeed
from c101.tui.feeds.coalesce import Coalescer, Emit
from c101.tui.feeds.keep import keep
from c101.tui.feeds.keys import KeysFeed
from c101.tui.feeds.machines import MachineFeeds
from c101.tui.store.console_store import ConsoleStore


class Feeds:
    """Opens the cluster and takes its streams into the store until it is cancelled.

    *emit* is called with the name of a pane (or ``header``) whose store has changed.
    """

    def __init__(
        self, access: ClusterAccess, store: ConsoleStore, emit: Emit, clock: Clock
    ) -> None:
        self._access = access
        self._store = store
        self._clock = clock
        self.panes = Coalescer(emit, clock)
        self.machines = MachineFeeds(store, self.panes, access, clock)
        self.keys = KeysFeed(store, self.panes, access, clock)
        self.cluster = ClusterFeed(
            store,
            self.panes,
            clock,
            machines_changed=self.machines.look_again,
            link_changed=self.keys.report_link,
        )

    async def run(self) -> None:
        """Open the cluster, then follow it for ever.

        Raises:
            C101Error: it could not be opened.
        """
        try:
            await self._access.open(self._say)
            self._say("")
            async with asyncio.TaskGroup() as group:
                streams = (
                    keep(self._access.cluster, self.cluster.take, self.cluster.report, self._clock),
                    keep(self._access.keys, self.keys.take, self.keys.report, self._clock),
                    self.keys.learn_leases(),
                    self.machines.run(),
                )
                for stream in streams:
                    group.create_task(stream)
        finally:
            self.panes.close()

    def _say(self, progress: str) -> None:
        self._store.progress = progress
        self.panes.mark("header")
