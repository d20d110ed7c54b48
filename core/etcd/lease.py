"""Leases: as they are granted, and one that keeps itself alive and knows when it no longer does.

The promise of a held lease is to whoever is silent for less than ``ttl_seconds``: stopped by a
signal, starved of CPU, cut off. A renewal is sent every third of that, so at the moment the silence
begins the last one may be that old already. Therefore the KV is asked for a third more
than ``ttl_seconds``::

    ttl_seconds 3, renewed every 1 s, granted by the KV for 4 s
    renewal ... 0.9 s ... SIGSTOP ... 2.9 s ... SIGCONT: 3.8 s after the renewal, the lease stands

``lost`` is judged here, on the monotonic clock, from the moment the last renewal that was answered
had been *sent*: the KV counts from a later one, so whoever heeds ``lost`` stops before the KV gives
what he held to another. No answer is waited for: after a stall that was too long, it is set as soon
as the loop runs again.
"""

import asyncio
import logging
import math
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Self

from c101.core.errors import C101Error
from c101.core.etcd.backoff import Backoff
from c101.core.etcd.errors import LeaseNotFoundError

if TYPE_CHECKING:
    from c101.core.etcd.lease_verbs import LeaseVerbs

#: Renewals in one ``ttl_seconds``: two may be lost before the lease is.
RENEWALS = 3

#: What leaving the block may take where the KV does not answer; the lease then ends by itself.
REVOKE_SECONDS_MAX = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A lease as granted; ``ttl`` in seconds may be more than was asked for."""

    id: int
    ttl: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseInfo:
    """A lease at this moment. ``ttl`` is what is left of ``granted_ttl``, in whole seconds."""

    id: int
    ttl: int
    granted_ttl: int
    keys: tuple[bytes, ...] = ()


class HeldLease:
    """A lease that is renewed while the block runs and revoked when it is left.

    ``lost`` is set when the lease ended, or must be taken to have: the block should then end. It is
    never unset, and the KV may hold the lease a little longer. With ``keep`` (an argument, and an
    attribute that may be set in the block) leaving does not revoke: what is under the lease stays
    until its time is over.

    Example::

        async with client.held_lease(10) as lease:
            await client.put("/presence", "here", lease=lease.id)
            assert lease.remaining_seconds > 9 and not lease.lost.is_set()
            async with client.lock("/locks/a", lease=lease):
                async with client.election("/elections/a").campaign("me", lease=lease):
                    assert len((await client.get_lease_info(lease.id, keys=True)).keys) == 3
            lease.keep = True
    """

    def __init__(self, client: "LeaseVerbs", ttl_seconds: float, *, keep: bool = False) -> None:
        assert ttl_seconds > 0
        self.id = 0
        self.lost = asyncio.Event()
        self.keep = keep
        self._client = client
        self._clock = client.clock
        self._ttl_seconds = ttl_seconds
        self._interval = ttl_seconds / RENEWALS
        self._deadline = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def remaining_seconds(self) -> float:
        """How long the lease stands if it is not renewed again; not positive once it is lost."""
        return self._deadline - self._clock.monotonic()

    async def __aenter__(self) -> Self:
        """Have the lease granted. Raises what ``Client.lease`` raises."""
        asked = self._clock.monotonic()
        granted = await self._client.lease(math.ceil(self._ttl_seconds + self._interval))
        self.id = granted.id
        self._deadline = asked + granted.ttl
        self._tasks = [
            asyncio.create_task(self._renew_forever(), name=f"renew lease {self.id:x}"),
            asyncio.create_task(self._watch_deadline(), name=f"deadline of lease {self.id:x}"),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop renewing, and revoke unless the lease is to be kept."""
        for task in self._tasks:
            task.cancel()
        # Not gather: its own cancellation would leave the tasks unawaited.
        await asyncio.wait(self._tasks)
        if self.keep or self.lost.is_set():
            return
        try:
            await self._client.revoke_lease(self.id, timeout_seconds=REVOKE_SECONDS_MAX)
        except LeaseNotFoundError:
            pass
        except C101Error as exc:
            logger.info("lease left to expire", extra={"lease_id": self.id, "reason": str(exc)})

    async def _watch_deadline(self) -> None:
        while self.remaining_seconds > 0:
            await self._clock.sleep(self.remaining_seconds)
        self._lose("no renewal was answered in time")

    async def _renew_forever(self) -> None:
        backoff = Backoff()
        delay = self._interval
        while not self.lost.is_set():
            await self._clock.sleep(delay)
            sent = self._clock.monotonic()
            try:
                seconds = await self._client.refresh_lease(
                    self.id, timeout_seconds=max(self._interval, 0.5)
                )
            except LeaseNotFoundError:
                self._lose("the KV does not know it")
            except C101Error as exc:
                delay = backoff.next()
                fields = {"lease_id": self.id, "reason": str(exc), "left": self.remaining_seconds}
                logger.info("lease not renewed", extra=fields)
            else:
                backoff.reset()
                self._deadline = max(self._deadline, sent + seconds)
                # From when this one was sent, so that a slow answer does not stretch the interval.
                delay = max(self._interval - (self._clock.monotonic() - sent), 0)

    def _lose(self, reason: str) -> None:
        if not self.lost.is_set():
            logger.warning("lease lost", extra={"lease_id": self.id, "reason": reason})
            self.lost.set()
