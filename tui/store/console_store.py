"""Everything the console knows, in one place."""

from collections import deque
from dataclasses import dataclass, field

from c101.tui.store.command_log import CommandLog
from c101.tui.store.journal import JournalModel
from c101.tui.store.keys import KeysModel
from c101.tui.store.machines import MachinesModel
from c101.tui.store.pane_status import PaneStatus
from c101.tui.store.summary import Summary, count_machines, count_units
from c101.tui.store.units import UnitRow, UnitsModel

#: Changes of units remembered, over all units; the oldest go first.
HISTORY_MAX = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A unit changed before our eyes, at a wall clock time in seconds."""

    at: float
    unit: str
    text: str


@dataclass(slots=True)
class ConsoleStore:
    """The models of all panes, and how fresh each is."""

    units: UnitsModel
    machines: MachinesModel = field(default_factory=MachinesModel)
    keys: KeysModel = field(default_factory=KeysModel)
    journal: JournalModel = field(default_factory=JournalModel)
    commands: CommandLog = field(default_factory=CommandLog)
    statuses: dict[str, PaneStatus] = field(default_factory=dict)
    history: deque[Happening] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))
    progress: str = ""

    def status(self, pane: str) -> PaneStatus:
        """Return how fresh a pane is."""
        return self.statuses.get(pane, PaneStatus())

    def history_of(self, unit: str) -> list[Happening]:
        """Return what was seen of one unit, oldest first."""
        return [item for item in self.history if item.unit == unit]

    def note_change(self, before: UnitRow | None, after: UnitRow, now: float) -> None:
        """Remember what is worth remembering of a unit that changed."""
        text = _difference(before, after)
        if text:
            self.history.append(Happening(at=now, unit=after.unit, text=text))

    def summary(self, *, application: str, cluster: str, round_trip: float | None) -> Summary:
        """Return the header's figures."""
        good, total, pending, failed = count_units(self.units.all_rows())
        ready, known = count_machines(self.machines.list.rows.values())
        state = self.units.cluster
        return Summary(
            application=application,
            cluster=cluster,
            machines_ready=ready,
            machines_total=known,
            units_good=good,
            units_total=total,
            pending=pending,
            failed=failed,
            revision=max(state.revision, self.keys.revision),
            leader=state.leader,
            link=self.status("units"),
            round_trip=round_trip,
            progress=self.progress,
        )


def _difference(before: UnitRow | None, after: UnitRow) -> str:
    if before is None:
        where = f" on {after.machine}" if after.machine else ""
        return f"{after.target.value}{where}, {after.active or 'not reported'}"
    parts: list[str] = []
    if before.target is not after.target:
        parts.append(f"target {before.target.value} → {after.target.value}")
    if before.machine_id != after.machine_id:
        parts.append(f"{before.machine or 'nowhere'} → {after.machine or 'nowhere'}")
    words = (before.active, before.sub), (after.active, after.sub)
    if words[0] != words[1]:
        parts.append(f"{_words(*words[0])} → {_words(*words[1])}")
    if after.reason and after.reason != before.reason:
        parts.append(after.reason)
    return ", ".join(parts)


def _words(active: str, sub: str) -> str:
    return f"{active} ({sub})" if active else "not reported"
