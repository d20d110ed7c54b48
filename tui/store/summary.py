"""Is all well? The few figures of the header."""

from collections.abc import Iterable
from dataclasses import dataclass

from c101.core.model.machine import MachineState
from c101.tui.store.health import Health
from c101.tui.store.machines import MachineRow
from c101.tui.store.pane_status import PaneStatus
from c101.tui.store.units import UnitRow

_STARTING = PaneStatus()


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The cluster in one line. ``units_total`` counts what is wanted to run."""

    application: str = ""
    cluster: str = ""
    machines_ready: int = 0
    machines_total: int = 0
    units_good: int = 0
    units_total: int = 0
    pending: int = 0
    failed: int = 0
    revision: int = 0
    leader: str = ""
    link: PaneStatus = _STARTING
    round_trip: float | None = None
    progress: str = ""


def count_units(rows: Iterable[UnitRow]) -> tuple[int, int, int, int]:
    """Return how many rows are good, wanted to run, pending and failed.

    A unit that is off on purpose is not counted: it is neither well nor ill.
    """
    good = total = pending = failed = 0
    for row in rows:
        if row.health is Health.OFF:
            continue
        total += 1
        good += row.health is Health.GOOD
        pending += row.health is Health.PENDING
        failed += row.health is Health.BAD
    return good, total, pending, failed


def count_machines(rows: Iterable[MachineRow]) -> tuple[int, int]:
    """Return how many machines are there, and how many are known."""
    ready = total = 0
    for row in rows:
        total += 1
        ready += row.state is not MachineState.LOST
    return ready, total
