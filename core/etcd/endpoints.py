"""Where a request goes.

One channel an endpoint, one endpoint in use: the first, until it fails; then the next in order,
and so on in a circle. All that the client does shares it, so a dead server is found out once.

Who lives long waits for a server that is down to come up. Who was called by a person or a script
``fails_fast``: as long as nothing was ever reached, each endpoint is tried once.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import DecodeError, Message

from c101.core.clock import Clock
from c101.core.errors import ConfigError, LinkLostError, ProtocolError
from c101.core.etcd.attempts import FAILURES, Attempts, Policy
from c101.core.etcd.endpoint import Endpoint
from c101.core.etcd.metadata import WITH_LEADER, Metadata
from c101.core.rpc.channel import ClientStream, Dialer

if TYPE_CHECKING:
    from c101.core.etcd.member_sync import MemberSync
    from c101.core.etcd.tokens import Tokens

#: The least time an attempt is given, however many endpoints share the deadline.
ATTEMPT_SECONDS_MIN = 0.25

_M = TypeVar("_M", bound=Message)


class Endpoints:
    """The servers of one KV, in order of preference.

    ``sync``, where it is known how a member is dialled, has them follow the list of members.
    """

    def __init__(
        self,
        dialers: Sequence[Dialer],
        *,
        clock: Clock,
        fails_fast: bool = False,
        tokens: "Tokens | None" = None,
    ) -> None:
        assert dialers, "a client needs an endpoint"
        self.clock = clock
        self.sync: MemberSync | None = None
        self._waits = not fails_fast
        self._tokens = tokens
        self._all = [Endpoint(dialer) for dialer in dialers]
        self._retired: list[Endpoint] = []
        self.current = self._all[0]
        self.closed = False

    def __len__(self) -> int:
        return len(self._all)

    @property
    def all(self) -> tuple[Endpoint, ...]:
        """Every endpoint, in order."""
        return tuple(self._all)

    def named(self, name: str) -> Endpoint:
        """Return the endpoint whose address is *name*. Raises ConfigError."""
        for endpoint in self._all:
            if endpoint.name == name:
                return endpoint
        known = ", ".join(endpoint.name for endpoint in self._all)
        raise ConfigError(f"{name!r} is no endpoint of this client", hint=f"there are: {known}")

    def share(self, timeout_seconds: float) -> float:
        """Return what one endpoint may use of *timeout_seconds* before the next is tried."""
        return max(timeout_seconds / len(self._all), ATTEMPT_SECONDS_MIN)

    async def connect(self, endpoint: Endpoint, timeout_seconds: float) -> None:
        """Have a link to *endpoint* (``Endpoint.connect``), and remember that there was one."""
        if self.sync is not None:
            self.sync.when_due()
        if not endpoint.channel.connected:
            await endpoint.connect(timeout_seconds)
        self._waits = True

    async def metadata(self, endpoint: Endpoint, timeout_seconds: float) -> Metadata:
        """Return what goes with a request; a token is asked for where there is a user.

        Raises AuthenticationError: user or password is wrong; and what a call raises.
        """
        if self._tokens is None:
            return WITH_LEADER
        return await self._tokens.metadata(endpoint.channel, timeout_seconds)

    def refused(self, metadata: Metadata) -> bool:
        """Hear that a token was refused; return whether another can be had."""
        if self._tokens is None:
            return False
        self._tokens.refused(metadata)
        return True

    def is_hopeless(self, failures: int) -> bool:
        """Say whether trying again, after so many failures, is of no use to who fails fast."""
        return not self._waits and failures >= len(self._all)

    def leave(self, endpoint: Endpoint) -> None:
        """Go on to the one after *endpoint*, unless somebody else has."""
        if self.current is endpoint:
            index = self._all.index(endpoint)
            self.current = self._all[(index + 1) % len(self._all)]

    def replace(self, dialers: Sequence[Dialer]) -> None:
        """Have these endpoints from here on; one of the same name keeps its link.

        What runs on an endpoint that is not among them ends there in its own time.
        """
        assert dialers, "a client needs an endpoint"
        known = {endpoint.name: endpoint for endpoint in self._all}
        wanted = [known.get(dialer.name) or Endpoint(dialer) for dialer in dialers]
        self._retired = [endpoint for endpoint in self._retired if endpoint.channel.busy]
        for endpoint in self._all:
            if endpoint not in wanted:
                endpoint.retire()
                self._retired.append(endpoint)
        self._all = wanted
        if self.current not in wanted:
            self.current = wanted[0]

    async def close(self) -> None:
        """Close every channel. What is under way, and all that follows, fails with LinkError."""
        self.closed = True
        if self.sync is not None:
            await self.sync.stop()
        for endpoint in (*self._all, *self._retired):
            await endpoint.close()

    async def call(
        self,
        path: str,
        request: Message,
        answer: type[_M],
        policy: Policy,
        *,
        revision: int = 0,
    ) -> _M:
        """Send *request* and return its answer, from whichever endpoint gives one.

        Raises:
            LinkError: no endpoint answered in time.
            LinkLostError: the link ended and the request, not repeatable, may have been carried
                out.
            DeadlineExceededError: an endpoint took the request and did not answer in time.
            KVError: the KV refused.
        """
        raw = request.SerializeToString()
        since = self.clock.monotonic()
        attempts: Attempts | None = None
        endpoint = policy.only or self.current
        metadata = self._ready(endpoint)
        if metadata is not None:
            # Nearly always there is a link and a token, and all that is left to do is to send it.
            sent = metadata if policy.needs_leader else metadata[1:]
            seconds = policy.timeout_seconds
            if policy.repeatable and len(self._all) > 1:
                seconds = self.share(seconds)
            try:
                return decode(
                    answer, await endpoint.channel.unary(path, raw, timeout=seconds, metadata=sent)
                )
            except FAILURES as exc:
                attempts = Attempts(self, policy, since=since)
                await attempts.failed(exc, endpoint, metadata, revision=revision)

        async def send(endpoint: Endpoint, seconds: float, metadata: Metadata) -> bytes:
            return await endpoint.channel.unary(path, raw, timeout=seconds, metadata=metadata)

        attempts = attempts or Attempts(self, policy, since=since)
        return decode(answer, await attempts.make(send, revision=revision))

    def _ready(self, endpoint: Endpoint) -> Metadata | None:
        """Return what goes with a request, if nothing has to be waited for before it is sent."""
        if self.sync is not None:
            self.sync.when_due()
        if not endpoint.channel.connected:
            return None
        return WITH_LEADER if self._tokens is None else self._tokens.current

    async def exchange(self, path: str, request: Message, answer: type[_M], policy: Policy) -> _M:
        """Send one message on a stream of its own and return the first answer.

        For calls that etcd only has as streams. Raises as ``call``.
        """
        raw = request.SerializeToString()

        async def send(endpoint: Endpoint, seconds: float, metadata: Metadata) -> bytes:
            channel = endpoint.channel
            async with channel.stream(path, metadata=metadata, timeout=seconds) as stream:
                stream.send(raw)
                stream.end()
                async for message in stream:
                    return message
            raise LinkLostError(f"{endpoint.name} ended the stream without an answer")

        return decode(answer, await Attempts(self, policy, since=self.clock.monotonic()).make(send))

    def stream(
        self, endpoint: Endpoint, path: str, metadata: Metadata
    ) -> AbstractAsyncContextManager[ClientStream]:
        """Open a stream on *endpoint*, which has no end of its own."""
        return endpoint.channel.stream(path, metadata=metadata)


def decode(kind: type[_M], raw: bytes) -> _M:
    """Read a message. Raises ProtocolError."""
    try:
        return kind.FromString(raw)
    except DecodeError as exc:
        raise ProtocolError(f"the KV sent no {kind.DESCRIPTOR.name}") from exc
