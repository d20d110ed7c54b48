"""One server of the KV: the channel to it, and whether it is alive."""

import asyncio
import logging

from c101.core.errors import C101Error, DeadlineExceededError, LinkError
from c101.core.rpc.channel import Channel, Dialer

#: A link with open calls that says nothing for so long is asked whether it is alive, and given up
#: when it does not say so in twice that. Questions are three times that apart, which etcd allows:
#: it refuses clients that ask more often than every 5 s.
KEEPALIVE_SECONDS = 2.0

#: What a link that left a request unanswered has for the answer to a PING.
PROBE_SECONDS = 1.0

#: An attempt to connect goes on for so long, for whoever comes to wait for it.
CONNECT_SECONDS_MAX = 20.0

logger = logging.getLogger(__name__)


class Endpoint:
    """One server: its name, which is the address that was dialled, and the channel to it."""

    def __init__(self, dialer: Dialer) -> None:
        self.name = dialer.name
        self.channel = Channel(dialer, keepalive_seconds=KEEPALIVE_SECONDS)
        self._dialer = dialer
        self._connecting: asyncio.Task[float] | None = None
        self._probing: asyncio.Task[None] | None = None

    async def connect(self, timeout_seconds: float) -> None:
        """Have a link that answers; one that stands is taken as it is.

        All who wait share one attempt. Raises LinkError: there is no link, within the time given.
        """
        if self.channel.connected:
            return
        if self._connecting is None:
            attempt = self.channel.ping(CONNECT_SECONDS_MAX)
            self._connecting = asyncio.create_task(attempt, name=f"connect {self.name}")
            self._connecting.add_done_callback(self._connected)
        connecting = self._connecting
        await asyncio.wait([connecting], timeout=timeout_seconds)
        if not connecting.done():
            raise LinkError(f"{self.name} did not answer within {timeout_seconds:.1f} s")
        if connecting.cancelled():
            # Not awaited itself: its cancellation is not that of who waited for it.
            raise LinkError(f"the link to {self.name} was closed")
        connecting.result()

    def suspect(self) -> None:
        """Have the link probed, since a request was not answered; a dead one is replaced.

        A lease would be lost before the channel's own keepalive gave such a link up.
        """
        if self._probing is None and self.channel.connected:
            self._probing = asyncio.create_task(self._probe(), name=f"probe {self.name}")
            self._probing.add_done_callback(self._probed)

    async def close(self) -> None:
        """Close the channel, and give up connecting."""
        await self.channel.close()
        tasks = [task for task in (self._connecting, self._probing) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def retire(self) -> None:
        """Take no more calls, and close once those that run have ended: it is a member no more."""
        self.channel.retire()

    async def _probe(self) -> None:
        suspected = self.channel
        try:
            await suspected.ping(PROBE_SECONDS)
        except DeadlineExceededError:
            self.channel = Channel(self._dialer, keepalive_seconds=KEEPALIVE_SECONDS)
            await suspected.close()
        except C101Error as exc:
            logger.debug("probe ended early", extra={"link": self.name, "reason": str(exc)})

    def _probed(self, _: asyncio.Task[None]) -> None:
        self._probing = None

    def _connected(self, attempt: asyncio.Task[float]) -> None:
        self._connecting = None
        # Read here too, lest a failure that nobody waits for any more be reported as unread.
        if not attempt.cancelled():
            attempt.exception()
