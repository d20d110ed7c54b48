"""Automatic compaction: by time or by number of revisions, with etcd's rhythm.

*By time*: the revision is noted ten times an hour, or ten times a retention that is shorter; once
the retention has passed, what was current that long ago, or a tenth longer, is compacted every
hour or every retention. *By revisions*: every five minutes all but the newest are. What was noted
is not kept over a restart: the retention then runs anew.
"""

import logging
from collections import deque

from c101.core.clock import Clock
from c101.core.kv import refusal
from c101.core.kvserver.context import Context
from c101.core.kvserver.options import Retention
from c101.core.rpc.status import RpcError

logger = logging.getLogger(__name__)

#: A longer retention is compacted this often; a shorter one as often as it is long.
INTERVAL_SECONDS_MAX = 3_600.0
#: How often in an interval the revision is noted, and a compaction that failed is tried again.
NOTES_PER_INTERVAL = 10
#: How often all but the newest revisions are compacted.
REVISIONS_INTERVAL_SECONDS = 300.0


class AutoCompaction:
    """Compacts the store of *context* to *retention*."""

    def __init__(self, context: Context, clock: Clock, retention: Retention) -> None:
        self._store = context.store
        self._compactor = context.compactor
        self._clock = clock
        self._retention = retention

    async def run(self) -> None:
        """Compact, for ever."""
        if self._retention.revisions:
            await self._keep_revisions(self._retention.revisions)
        else:
            await self._keep_seconds(self._retention.seconds)

    async def _keep_seconds(self, seconds: float) -> None:
        interval = min(seconds, INTERVAL_SECONDS_MAX)
        tick = interval / NOTES_PER_INTERVAL
        # Half a tick more or less is rounding.
        notes = deque[int](maxlen=1 + int(seconds / tick + 0.001))
        wait, before = seconds, self._clock.monotonic()
        while True:
            notes.append(self._store.revision)
            await self._clock.sleep(tick)
            if self._clock.monotonic() - before < wait - tick / 2:
                continue
            wait = interval
            if await self._compact(notes[0]):
                before = self._clock.monotonic()

    async def _keep_revisions(self, revisions: int) -> None:
        while True:
            await self._clock.sleep(REVISIONS_INTERVAL_SECONDS)
            revision = self._store.revision - revisions
            if revision > 0:
                await self._compact(revision)

    async def _compact(self, revision: int) -> bool:
        """Compact at *revision*; return whether that is done, by us or by somebody else."""
        if revision <= self._store.compact_revision:
            return True
        try:
            await self._compactor.compact(revision)
        except RpcError as exc:
            if exc.message == refusal.COMPACTED[1]:
                return True
            logger.warning(
                "automatic compaction failed",
                extra={"revision": revision, "reason": exc.message},
            )
            return False
        return True
