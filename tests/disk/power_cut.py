"""A KV process whose kill is a power cut: what was not synced is lost, or left in part."""

import random
import shutil
from pathlib import Path

from tests.disk.journal import POLICIES, Content, Disk, contents, read_journal, write_state
from tests.disk.shim import Shim
from tests.processes import OwnKVProcess


class PowerCutKV(OwnKVProcess):
    """``c101-core kv`` on a simulated disk; ``kill`` cuts its power, each time in another way."""

    def __init__(self, directory: Path, library: Path, seed: int) -> None:
        super().__init__(directory)
        self._root = directory / "disk"
        self.data = self._root / "data"
        self._root.mkdir(parents=True)
        self._random = random.Random(seed)
        self._shim = Shim(library, self._root, directory / "journal")
        self._before: dict[str, Content | str] = {}
        self._cuts = 0

    def start(self) -> None:
        """Start it with an empty journal."""
        self._before = contents(self._root)
        self._shim.journal.unlink(missing_ok=True)
        self.environment = self._shim.environment
        super().start()

    def kill(self) -> None:
        """Kill it, and leave of its files what a power cut may leave."""
        super().kill()
        if not self._shim.journal.exists():
            return
        disk = Disk(self._root, self._before)
        for record in read_journal(self._shim.journal):
            disk.do(record)
        policy = POLICIES[self._cuts % len(POLICIES)]
        self._cuts += 1
        state = disk.crashed(self._random, policy)
        shutil.rmtree(self._root)
        write_state(state, self._root, self._root)
        self._shim.journal.unlink()


class UnsyncedPowerCutKV(PowerCutKV):
    """The same, and SQLite is told not to sync: what is acknowledged is lost."""

    module = "tests.disk.unsynced"
