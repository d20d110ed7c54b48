"""The cluster's state into units, machines and the header."""

from collections.abc import Callable

from c101.core.clock import Clock
from c101.tui.feeds.access import ClusterUpdate
from c101.tui.feeds.coalesce import Coalescer
from c101.tui.feeds.keep import Report
from c101.tui.render.sanitise import sanitise
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.pane_status import Freshness, PaneStatus
from c101.tui.store.rows import Delta


class ClusterFeed:
    """Takes each state of the cluster, and tells the panes which rows differ."""

    def __init__(
        self,
        store: ConsoleStore,
        panes: Coalescer,
        clock: Clock,
        *,
        machines_changed: Callable[[], None],
        link_changed: Report,
    ) -> None:
        self._store = store
        self._panes = panes
        self._clock = clock
        self._machines_changed = machines_changed
        self._link_changed = link_changed
        self._link = (True, "")

    def take(self, update: ClusterUpdate) -> None:
        """Take in one state."""
        store, now = self._store, self._clock.time()
        before = dict(store.units.list.rows)
        known = {key: row.state for key, row in store.machines.list.rows.items()}
        units = store.units.apply(update.cluster)
        machines = store.machines.apply(update.cluster, now)
        if before:
            for key in units.keys & store.units.list.rows.keys():
                store.note_change(before.get(key), store.units.list.rows[key], now)
        self._tell("units", units)
        self._tell("machines", machines)
        states = {key: row.state for key, row in store.machines.list.rows.items()}
        if machines and known != states:
            self._machines_changed()
        if units or machines:
            self._panes.mark("header")
        self._take_link(update, now)

    def _take_link(self, update: ClusterUpdate, now: float) -> None:
        link = (update.connected, sanitise(update.problem))
        if link == self._link:
            return
        since = now
        if not update.connected and not self._link[0]:
            # Another reason for the same old picture: it is as old as it was.
            since = self._store.status("units").since
        self._link = link
        freshness = Freshness.LIVE if update.connected else Freshness.RECONNECTING
        status = PaneStatus(freshness, since, link[1])
        self.report(status)
        self._link_changed(status)

    def report(self, status: PaneStatus) -> None:
        """Say how fresh what units and machines show is."""
        # Where no machine prints anything the journal is as fresh as the list of machines.
        self._store.statuses.setdefault("journal", status)
        self._panes.mark("journal")
        for pane in ("units", "machines"):
            self._store.statuses[pane] = status
            self._panes.mark(pane)
        self._panes.mark("header")

    def _tell(self, pane: str, delta: Delta) -> None:
        if delta.reordered:
            self._panes.mark(pane)
        elif delta:
            self._panes.mark(pane, delta.keys)
