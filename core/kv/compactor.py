"""Compaction: old revisions leave, in small steps, while everything else goes on.

The compact revision is made durable first; from that commit on, older revisions are refused. What
nobody can ask for any more is then dropped key by key: from the histories in memory, and by small
deletions that join the commits of other writes. When all is gone that is noted too; a
crash in between is resumed at the next start.
"""

import asyncio
import logging

from c101.core.clock import Clock
from c101.core.kv import refusal
from c101.core.kv.refusal import refuse
from c101.core.kv.store import Store
from c101.core.rpc.status import RpcError

logger = logging.getLogger(__name__)

#: Keys looked at before other work gets a turn, and rows deleted in one commit.
KEYS_PER_STEP = 500
ROWS_PER_COMMIT = 1_000
#: Pause between two steps that delete, so that compaction takes a fraction of the disk only.
PAUSE_SECONDS = 0.01
#: How long a compaction that found no room waits before it goes on.
RETRY_SECONDS = 1.0


class Compactor:
    """Compacts a store; ``run`` must be running for anything to be dropped."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wanted = asyncio.Event()
        self._finished_at = store.storage.finished_compaction
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        # Ids that are forgotten and still in the log, oldest of each key first.
        self._dropped: list[int] = []
        if self._finished_at < store.compact_revision:
            self._wanted.set()

    async def compact(self, revision: int) -> None:
        """Compact at *revision*: it is durable, and what it drops begins to go.

        Raises RpcError for a revision that is compacted already or not there yet.
        """
        self._store.admit()
        try:
            self.schedule(revision)
        finally:
            # A refusal, too: it may tell of a compaction that is only staged.
            await self._store.durable()
        self.begin()

    def schedule(self, revision: int) -> None:
        """Stage the compaction at *revision*; the caller answers with the batch.

        Raises RpcError for a revision that is compacted already or not there yet.
        """
        if revision <= self._store.staged_compaction:
            raise refuse(refusal.COMPACTED)
        if revision > self._store.revision:
            raise refuse(refusal.FUTURE_REVISION)
        self._store.stage_compaction(revision)

    def begin(self) -> None:
        """Start dropping: a compaction was committed."""
        self._wanted.set()

    async def finished(self, revision: int) -> None:
        """Wait until nothing is left of what a compaction at *revision* drops."""
        if self._finished_at >= revision:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((revision, future))
        await future

    async def run(self) -> None:
        """Drop what was compacted, for ever."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            revision = self._store.compact_revision
            if revision <= self._finished_at:
                continue
            try:
                await self._compact(revision)
            except RpcError as exc:
                # What is left in the log goes with the next attempt, or the next start.
                logger.warning(
                    "compaction interrupted", extra={"revision": revision, "reason": exc.message}
                )
                self._tell(revision, exc)
                if self._store.writable:
                    await self._clock.sleep(RETRY_SECONDS)
                    self._wanted.set()

    async def _compact(self, revision: int) -> None:
        while self._store.pinned_below(revision):
            await self._clock.sleep(PAUSE_SECONDS)
        index = self._store.index
        after: bytes | None = None
        dropped = self._dropped
        total = 0
        while keys := index.keys_after(after, KEYS_PER_STEP):
            after = keys[-1]
            dropped += index.compact(keys, revision)
            while len(dropped) >= ROWS_PER_COMMIT:
                await self._delete(dropped[:ROWS_PER_COMMIT])
                del dropped[:ROWS_PER_COMMIT]
                total += ROWS_PER_COMMIT
                await self._clock.sleep(PAUSE_SECONDS)
            await self._clock.sleep(0)
        total += len(dropped)
        await self._delete(dropped, finished=revision)
        self._dropped = []
        self._finished_at = revision
        logger.info("compaction finished", extra={"revision": revision, "rows": total})
        self._tell(revision, None)

    async def _delete(self, dropped: list[int], *, finished: int | None = None) -> None:
        self._store.admission.check_working()
        self._store.stage_cleaning(dropped, finished=finished)
        await self._store.durable()

    def _tell(self, revision: int, error: RpcError | None) -> None:
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if wanted > revision:
                self._waiting.append((wanted, future))
            elif future.done():
                continue
            elif error is None:
                future.set_result(None)
            else:
                future.set_exception(error)
