"""One unit as the runtime holds it: what is on disk, what its keeper said last."""

import asyncio
from dataclasses import dataclass, field

from c101.agents.runtime.process.keeper import processes
from c101.agents.runtime.process.keeper.spec import Spec
from c101.agents.runtime.process.keeper.status import Status
from c101.agents.runtime.process.keeper_link import KeeperLink
from c101.agents.runtime.process.unit_directory import UnitDirectory
from c101.agents.runtime.unit_manager import LoadedUnit

#: CLD_EXITED and what comes after it: the main process has ended.
_ENDED = (1, 2, 3)


@dataclass(slots=True, kw_only=True)
class HeldUnit:
    """``lock`` serialises what changes the unit; ``losses`` counts keepers lost in a row."""

    name: str
    directory: UnitDirectory
    spec: Spec
    status: Status
    link: KeeperLink | None = None
    lost_at: float = 0.0
    losses: int = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    def describe(self, table: dict[int, tuple[int, str]] | None = None) -> LoadedUnit:
        """Return the unit in systemd's words, with its processes as far as they are in *table*.

        A unit without a keeper is at rest, whatever was written down before the keeper was lost.
        """
        status, lost = self.status, self.link is None and not self.status.at_rest
        keeper = status.keeper_pid if self.link is not None else 0
        return LoadedUnit(
            name=self.name,
            load="loaded",
            active="inactive" if lost else status.active,
            sub="dead" if lost else status.state,
            hash=self.spec.hash,
            since=self.lost_at if lost else status.since,
            result="keeper-lost" if lost else status.result,
            exit_status=status.exit_status if status.exit_code in _ENDED else None,
            main_pid=None if lost else status.main_pid or None,
            restarts=status.restarts,
            # What a lost run answered has to be answered again.
            restart="" if lost else status.restart,
            description=self.spec.description,
            status_text=status.status_text,
            ignored=tuple(self.spec.ignored),
            pids=tuple(processes.descendants(keeper, table)) if table and keeper else (),
        )


def describe_gone(name: str) -> LoadedUnit:
    """Return what is said once of a unit that was unloaded."""
    return LoadedUnit(name=name, load="not-found", active="inactive", sub="dead", hash="", since=0)
