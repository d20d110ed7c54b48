"""The agent's one lease: everything this machine reports lives and dies with it."""

import asyncio
import logging

from c101.agents.host.publish import Publisher
from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.etcd.client import Client
from c101.core.etcd.errors import LeaseNotFoundError

logger = logging.getLogger(__name__)

#: Wait before another try for a lease, doubled up to the maximum.
RETRY_SECONDS = 0.2
RETRY_SECONDS_MAX = 5.0


class Heart:
    """Holds a lease, and the published keys under it, for as long as the KV lets it."""

    def __init__(
        self, client: Client, publisher: Publisher, clock: Clock, *, ttl_seconds: int
    ) -> None:
        self._client = client
        self._publisher = publisher
        self._clock = clock
        self._ttl_seconds = ttl_seconds

    async def run(self) -> None:
        """Beat until cancelled. The lease is left to its TTL, so that a restart is not a loss."""
        delay = RETRY_SECONDS
        while True:
            try:
                async with self._client.held_lease(self._ttl_seconds, keep=True) as lease:
                    logger.info("lease granted", extra={"lease_id": f"{lease.id:x}"})
                    delay = RETRY_SECONDS
                    await self._publish_until_lost(lease.id, lease.lost)
                    logger.warning("lease lost", extra={"lease_id": f"{lease.id:x}"})
            except* C101Error as errors:
                logger.warning("no lease", extra={"error": str(errors.exceptions[0])})
            await self._clock.sleep(delay)
            delay = min(delay * 2, RETRY_SECONDS_MAX)

    async def _publish_until_lost(self, lease_id: int, lost: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            publishing = group.create_task(self._publish(lease_id, lost), name="publish")
            await lost.wait()
            publishing.cancel()

    async def _publish(self, lease_id: int, lost: asyncio.Event) -> None:
        delay = RETRY_SECONDS
        while not lost.is_set():
            try:
                await self._publisher.run(lease_id)
            except LeaseNotFoundError:
                lost.set()
            except C101Error as error:
                logger.warning("states are not published", extra={"error": str(error)})
            await self._clock.sleep(delay)
            delay = min(delay * 2, RETRY_SECONDS_MAX)
