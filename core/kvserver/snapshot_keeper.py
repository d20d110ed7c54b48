"""Snapshots in a directory, one every so often, the old ones removed.

A snapshot has its name when it is whole, on disk, and has been read back; only then are older ones
removed. What goes wrong is logged and tried again: the KV is not concerned. How long ago the last
one was is told by its name, so that a KV that is restarted often has its snapshots all the same.
"""

import asyncio
import hashlib
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from c101.core.clock import Clock
from c101.core.kv.snapshot.bbolt_reader import BoltFile
from c101.core.kv.snapshot.etcd_buckets import SnapshotError
from c101.core.kv.snapshot.export import Export
from c101.core.kv.snapshot.snapshot_file import HASH_BYTES, PARTIAL, verify_hash, whole_file

logger = logging.getLogger(__name__)

#: A snapshot that failed is tried again after this, or after the interval if that is shorter.
RETRY_SECONDS = 60.0

_TIME = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(r"kv-(\d{8}T\d{6}Z)-r\d+\.db")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotPlan:
    """Where snapshots go, how often one is taken, and how many are kept."""

    directory: Path
    every_seconds: float
    keep: int


class SnapshotKeeper:
    """Takes the snapshots of the store whose file is *database*."""

    def __init__(self, database: Path, plan: SnapshotPlan, clock: Clock) -> None:
        self._database = database
        self._plan = plan
        self._clock = clock
        self._stopped = threading.Event()

    async def run(self) -> None:
        """Take snapshots for ever."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="kv-snapshots")
        loop = asyncio.get_running_loop()
        try:
            await self._clock.sleep(self._seconds_left())
            while True:
                taken = await loop.run_in_executor(thread, self.take)
                retry = min(RETRY_SECONDS, self._plan.every_seconds)
                await self._clock.sleep(self._plan.every_seconds if taken else retry)
        finally:
            # What it writes is given up at the next piece, and removed.
            self._stopped.set()
            thread.shutdown(wait=False)

    def take(self) -> bool:
        """Take one, and remove those that are too many; blocks. Returns whether it succeeded."""
        try:
            path, size = self._write()
            self._prune()
        except (SnapshotError, OSError) as exc:
            if not self._stopped.is_set():
                logger.error("snapshot failed", extra={"reason": str(exc)})  # noqa: TRY400 it is told
            return False
        logger.info("snapshot taken", extra={"path": str(path), "bytes": size})
        return True

    def _write(self) -> tuple[Path, int]:
        directory = self._plan.directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in directory.glob(f"kv-*.db.*{PARTIAL}"):
            # Of a process that was killed: this one writes one at a time.
            left.unlink(missing_ok=True)
        with Export(self._database) as export:
            at = datetime.fromtimestamp(self._clock.time(), UTC).strftime(_TIME)
            path = directory / f"kv-{at}-r{export.revision}.db"
            found = hashlib.sha256()
            with whole_file(path, verify=self._verify) as file:
                for piece in export.pieces():
                    self._check_going_on()
                    file.write(piece)
                    found.update(piece)
                file.write(found.digest())
            return path, export.plan() + HASH_BYTES

    def _verify(self, path: Path) -> None:
        """Read back all of what was written. Raises SnapshotError."""
        verify_hash(path, lambda _done, _of: self._check_going_on())
        with BoltFile(path, trailer_bytes=HASH_BYTES) as file:
            for bucket in file.buckets:
                for _ in file.items(bucket):
                    pass

    def _check_going_on(self) -> None:
        if self._stopped.is_set():
            raise SnapshotError("the KV stops")

    def _prune(self) -> None:
        for old in self.kept()[: -self._plan.keep]:
            old.unlink(missing_ok=True)

    def kept(self) -> list[Path]:
        """Return the snapshots that there are, the oldest first."""
        found = self._plan.directory.glob("kv-*.db")
        return sorted(path for path in found if _NAME.fullmatch(path.name))

    def _seconds_left(self) -> float:
        """Return after how many seconds the next one is due."""
        try:
            kept = self.kept()
        except OSError:
            return 0.0
        if not kept:
            return 0.0
        match = _NAME.fullmatch(kept[-1].name)
        assert match is not None
        last = datetime.strptime(match[1], _TIME).replace(tzinfo=UTC).timestamp()
        # A clock that was set back must not put it off for longer than one interval.
        due = last + self._plan.every_seconds - self._clock.time()
        return max(0.0, min(due, self._plan.every_seconds))
