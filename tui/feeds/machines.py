"""What each agent tells: how its machine fares, and what its units print."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace

from c101.core.clock import Clock
from c101.core.model.host import JournalBatch, LinkPhase, LinkState, MachineUsage
from c101.core.model.journal import JournalEntry
from c101.core.model.machine import MachineState
from c101.tui.feeds.access import ClusterAccess
from c101.tui.feeds.coalesce import Coalescer
from c101.tui.feeds.keep import keep
from c101.tui.render.sanitise import sanitise
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.journal import REORDER_SECONDS, JournalLine
from c101.tui.store.pane_status import Freshness, PaneStatus
from c101.tui.store.rows import Delta

#: Cells of a line of the journal that are kept.
LINE_CELLS_MAX = 1_024


class MachineFeeds:
    """Two streams a machine, for every machine that is known, from when it is first seen."""

    def __init__(
        self, store: ConsoleStore, panes: Coalescer, access: ClusterAccess, clock: Clock
    ) -> None:
        self._store = store
        self._panes = panes
        self._access = access
        self._clock = clock
        self._cursors: dict[str, str] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._journals: dict[str, Freshness] = {}
        self._more = asyncio.Event()
        self._flush: asyncio.TimerHandle | None = None

    def look_again(self) -> None:
        """Machines came, went, or came back: one that is there is worth another try at once."""
        self._more.set()
        for machine_id, wake in self._wakes.items():
            row = self._store.machines.list.rows.get(machine_id)
            if row is not None and row.state is not MachineState.LOST:
                wake.set()

    async def run(self) -> None:
        """Follow every machine, for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    for machine_id in self._store.machines.list.rows.keys() - self._wakes.keys():
                        self._follow(group, machine_id)
                    await self._more.wait()
                    self._more.clear()
        finally:
            if self._flush is not None:
                self._flush.cancel()

    def _follow(self, group: asyncio.TaskGroup, machine_id: str) -> None:
        if not self._access.reaches(machine_id):
            return
        wake = self._wakes[machine_id] = asyncio.Event()
        now = self._clock.time()
        link = LinkState(host=machine_id, phase=LinkPhase.CONNECTING, since=now)
        self._tell(self._store.machines.apply_link(machine_id, link))

        def open_usage() -> AsyncGenerator[MachineUsage, None]:
            return self._access.usage(machine_id)

        def open_journal() -> AsyncGenerator[JournalBatch, None]:
            return self._access.journal(machine_id, self._cursors.get(machine_id, ""))

        def take_usage(sample: MachineUsage) -> None:
            self._take_usage(machine_id, sample)

        def take_journal(update: JournalBatch) -> None:
            self._take_journal(machine_id, update)

        def report_usage(status: PaneStatus) -> None:
            self._report_link(machine_id, status)

        def report_journal(status: PaneStatus) -> None:
            self._report_journal(machine_id, status)

        group.create_task(
            keep(open_usage, take_usage, report_usage, self._clock, wake),
            name=f"usage {machine_id}",
        )
        group.create_task(
            keep(open_journal, take_journal, report_journal, self._clock, wake),
            name=f"journal {machine_id}",
        )

    def _take_usage(self, machine_id: str, sample: MachineUsage) -> None:
        self._tell(self._store.machines.apply_usage(machine_id, sample))
        trip = self._access.round_trip(machine_id)
        row = self._store.machines.list.rows.get(machine_id)
        link = row.link if row is not None else None
        if link is not None and link.phase is LinkPhase.UP and link.rtt_seconds != trip:
            fresh = replace(link, rtt_seconds=trip)
            self._tell(self._store.machines.apply_link(machine_id, fresh))

    def _report_link(self, machine_id: str, status: PaneStatus) -> None:
        up = status.freshness is Freshness.LIVE
        link = LinkState(
            host=machine_id,
            phase=LinkPhase.UP if up else LinkPhase.DOWN,
            since=status.since,
            rtt_seconds=self._access.round_trip(machine_id) if up else None,
            reason=status.message,
        )
        self._tell(self._store.machines.apply_link(machine_id, link))

    def _take_journal(self, machine_id: str, update: JournalBatch) -> None:
        journal = self._store.journal
        journal.gaps += update.gap
        if update.entries:
            self._cursors[machine_id] = update.entries[-1].cursor
            row = self._store.machines.list.rows.get(machine_id)
            name = row.name if row is not None else machine_id[:8]
            lines = [_line(entry, name) for entry in update.entries]
            journal.push(lines, self._clock.monotonic())
            self._flush_soon()

    def _report_journal(self, machine_id: str, status: PaneStatus) -> None:
        self._journals[machine_id] = status.freshness
        # One machine that is gone does not make the other journals stale.
        any_live = Freshness.LIVE in self._journals.values()
        shown = status
        if any_live:
            missing = sum(state is not Freshness.LIVE for state in self._journals.values())
            words = f"{missing} of {len(self._journals)} machines not reached" if missing else ""
            shown = PaneStatus(Freshness.LIVE, status.since, words)
        self._store.statuses["journal"] = shown
        self._panes.mark("journal", frozenset())

    def _flush_soon(self) -> None:
        if self._flush is None:
            loop = asyncio.get_running_loop()
            self._flush = loop.call_later(REORDER_SECONDS, self._release)

    def _release(self) -> None:
        self._flush = None
        journal = self._store.journal
        if journal.release(self._clock.monotonic()):
            self._panes.mark("journal", frozenset())
        if journal.waiting:
            self._flush_soon()

    def _tell(self, delta: Delta) -> None:
        if delta.reordered:
            self._panes.mark("machines")
        elif delta:
            self._panes.mark("machines", delta.keys)


def _line(entry: JournalEntry, machine: str) -> JournalLine:
    return JournalLine(
        realtime_us=entry.realtime_us,
        machine_id=entry.machine_id,
        machine=machine,
        unit=sanitise(entry.unit, width_max=256),
        priority=entry.priority,
        text=sanitise(entry.message, width_max=LINE_CELLS_MAX),
    )
