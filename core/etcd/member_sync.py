"""Endpoints that follow the members: asked for, or by themselves as time passes."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from c101.core.errors import C101Error
from c101.core.etcd.attempts import Policy
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Dialer

if TYPE_CHECKING:
    from c101.core.etcd.endpoints import Endpoints

MEMBER_LIST = "/etcdserverpb.Cluster/MemberList"

#: What a synchronisation that nobody waits for may take.
SYNC_SECONDS_MAX = 10.0

logger = logging.getLogger(__name__)


class MemberSync:
    """Has *endpoints* follow the list of members; *dial* makes a dialer of a member's URL.

    No timer runs: a client that is not used asks nobody anything.
    """

    def __init__(
        self,
        endpoints: "Endpoints",
        dial: Callable[[str], Dialer],
        *,
        every_seconds: float | None,
    ) -> None:
        self._endpoints = endpoints
        self._clock = endpoints.clock
        self._dial = dial
        self._every_seconds = every_seconds
        # The addresses that were given are good until the first interval has passed.
        self._synced_at = self._clock.monotonic()
        self._running: asyncio.Task[None] | None = None

    async def now(self, timeout_seconds: float) -> None:
        """Use the endpoints that the members have. Raises what a read raises."""
        policy = Policy(timeout_seconds=timeout_seconds, repeatable=True, needs_leader=False)
        answer = await self._endpoints.call(
            MEMBER_LIST, rpc_pb2.MemberListRequest(), rpc_pb2.MemberListResponse, policy
        )
        # A member that was added and has not started knows no URL of its own.
        urls = [
            url for member in answer.members if not member.isLearner for url in member.clientURLs
        ]
        # An answer without any would leave us with nobody to ask again.
        if urls:
            self._endpoints.replace([self._dial(url) for url in dict.fromkeys(urls)])
        self._synced_at = self._clock.monotonic()

    def when_due(self) -> None:
        """Begin to synchronise, if it is time; whoever uses the client does not wait for it."""
        every = self._every_seconds
        if every is None or self._running is not None or self._endpoints.closed:
            return
        if self._clock.monotonic() - self._synced_at >= every:
            self._synced_at = self._clock.monotonic()
            self._running = asyncio.create_task(self._quietly(), name="follow the members")

    async def stop(self) -> None:
        """End what runs."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])

    async def _quietly(self) -> None:
        try:
            await self.now(SYNC_SECONDS_MAX)
        except C101Error as exc:
            logger.info("members could not be asked for", extra={"reason": str(exc)})
        finally:
            self._running = None
