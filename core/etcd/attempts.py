"""The attempts at one request, under one deadline.

An attempt that failed says what became of the request (``retry``): what was not applied is made
again on the next endpoint whatever it does, what may have been applied only if it is
``repeatable``. A repeatable request gives an endpoint that does not answer only its share of the
time, so that one silent server does not use up the time of all.

A token that was refused is replaced and the request made again on the same endpoint.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from c101.core.errors import (
    AuthError,
    C101Error,
    DeadlineExceededError,
    HostKeyError,
    LinkError,
)
from c101.core.etcd.backoff import Backoff
from c101.core.etcd.endpoint import Endpoint
from c101.core.etcd.errors import from_rpc
from c101.core.etcd.reasons import Reasons
from c101.core.etcd.retry import Fate, Rule, rule
from c101.core.rpc.status import RpcError

if TYPE_CHECKING:
    from c101.core.etcd.endpoints import Endpoints
    from c101.core.etcd.metadata import Metadata

#: Tokens that one request may have refused. A fresh one is refused only while users and roles
#: change, or by a member that has not heard of it.
TOKENS_MAX = 5

#: The least that an attempt is given once there is a link: less would be a request sent in vain.
SEND_SECONDS_MIN = 0.001

#: With less time left no further attempt is made: the failure that there is tells more than that
#: there was no answer within no time.
ATTEMPT_SECONDS_LEAST = 0.02

logger = logging.getLogger(__name__)

#: How an attempt may fail that is not a fault of the program.
FAILURES = (RpcError, LinkError, DeadlineExceededError)

#: Sends one request to an endpoint, within so many seconds, and returns the raw answer.
Send = Callable[[Endpoint, float, "Metadata"], Awaitable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a request is made.

    ``timeout_seconds``: all attempts together. ``repeatable``: it may be made again although it may
    have been carried out. ``needs_leader``: a member that has no leader refuses it at once.
    ``only``: it is meant for this endpoint and no other.
    """

    timeout_seconds: float
    repeatable: bool
    needs_leader: bool = True
    only: Endpoint | None = None


class Attempts:
    """The attempts at one request, whose time runs since *since*."""

    __slots__ = (
        "_backoff",
        "_connecting",
        "_count",
        "_deadline",
        "_endpoints",
        "_policy",
        "_reasons",
        "_tokens_refused",
    )

    def __init__(self, endpoints: "Endpoints", policy: Policy, *, since: float) -> None:
        self._endpoints = endpoints
        self._policy = policy
        self._deadline = since + policy.timeout_seconds
        self._connecting = False
        self._count = 0
        self._tokens_refused = 0
        self._backoff: Backoff | None = None
        self._reasons: Reasons | None = None

    async def make(self, send: Send, *, revision: int = 0) -> bytes:
        """Call *send* until it answers. Raises the last failure when no more may be made.

        *revision* is the one that the request asks for, if it does.
        """
        while True:
            endpoint = self._policy.only or self._endpoints.current
            metadata: Metadata | None = None
            try:
                # Whatever fails before the request is sent, nothing was asked.
                self._connecting = True
                await self._endpoints.connect(endpoint, self._share())
                metadata = await self._endpoints.metadata(endpoint, self._share())
                self._connecting = False
                seconds = self._share() if self._policy.repeatable else self._left()
                sent = metadata if self._policy.needs_leader else metadata[1:]
                return await send(endpoint, max(seconds, SEND_SECONDS_MIN), sent)
            except FAILURES as exc:
                await self.failed(exc, endpoint, metadata, revision=revision)

    async def failed(
        self,
        cause: C101Error,
        endpoint: Endpoint,
        metadata: "Metadata | None",
        *,
        revision: int = 0,
    ) -> None:
        """Hear how an attempt on *endpoint* failed; return when the next may be made.

        *metadata* is what it was sent with, ``None`` when it came not so far. Raises what *cause*
        means when no more may be made.
        """
        failure = from_rpc(cause, revision=revision) if isinstance(cause, RpcError) else cause
        found = rule(cause)
        if isinstance(cause, DeadlineExceededError):
            endpoint.suspect()
        if found.fate is Fate.TOKEN_REFUSED and self._takes_another_token(metadata):
            return
        if not self._may_repeat(found):
            if isinstance(failure, LinkError | DeadlineExceededError):
                # Nor will the next request begin with this one, where there is another.
                self._endpoints.leave(endpoint)
            raise failure from cause
        reason = {"link": endpoint.name, "reason": str(failure)}
        logger.debug("attempt failed", extra=reason)
        await self._pause(endpoint, failure, cause)

    async def _pause(self, endpoint: Endpoint, failure: C101Error, cause: C101Error) -> None:
        """Leave *endpoint*; wait once all were tried. Raises *failure* when time is up.

        Where that is a link which failed, and another endpoint answered, its answer is raised. An
        endpoint that refuses us, or shows another key, is not asked twice.
        """
        self._endpoints.leave(endpoint)
        self._count += 1
        delay = 0.0
        candidates = 1 if self._policy.only else len(self._endpoints)
        if self._reasons is None:
            self._reasons = Reasons()
        failure = self._reasons.hear(failure, endpoints=candidates)
        if self._count % candidates == 0:
            refused = isinstance(failure, AuthError | HostKeyError)
            if refused or self._endpoints.is_hopeless(self._count):
                raise failure from _other(cause, failure)
            if self._backoff is None:
                self._backoff = Backoff()
            delay = self._backoff.next()
        if self._left() - delay >= ATTEMPT_SECONDS_LEAST:
            if delay:
                await self._endpoints.clock.sleep(delay)
            # A machine that is busy wakes its sleepers late.
            if self._left() >= ATTEMPT_SECONDS_LEAST:
                return
        raise failure from _other(cause, failure)

    def _takes_another_token(self, metadata: "Metadata | None") -> bool:
        if metadata is None or not self._endpoints.refused(metadata):
            return False
        self._tokens_refused += 1
        return self._tokens_refused < TOKENS_MAX and self._left() > 0

    def _may_repeat(self, found: Rule) -> bool:
        if self._endpoints.closed:
            return False
        if self._connecting:
            return found.fate is not Fate.FINAL
        if found.fate is Fate.UNKNOWN:
            return self._policy.repeatable
        return found.fate is Fate.NOT_APPLIED

    def _left(self) -> float:
        return self._deadline - self._endpoints.clock.monotonic()

    def _share(self) -> float:
        share = self._endpoints.share(self._policy.timeout_seconds)
        return max(min(share, self._left()), SEND_SECONDS_MIN)


def _other(cause: C101Error, failure: C101Error) -> C101Error | None:
    """Return *cause*, where it is not *failure* itself."""
    return None if cause is failure else cause
