"""How a verb reaches the KV: with its time limit, in its namespace.

Views of one client (``Client.namespace``, ``Client.within``) are callers of their own over the same
endpoints, so they share links, tokens and what was found out about servers.
"""

from collections.abc import Awaitable
from dataclasses import replace
from typing import TYPE_CHECKING, Self, TypeVar

from google.protobuf.message import Message

from c101.core.clock import Clock
from c101.core.etcd.attempts import Policy
from c101.core.etcd.endpoints import Endpoints

if TYPE_CHECKING:
    from c101.core.etcd.endpoint import Endpoint
    from c101.core.etcd.namespace import Namespace

_M = TypeVar("_M", bound=Message)


class Caller:
    """Makes the calls of a client, or of one of its views (``is_view``)."""

    def __init__(
        self,
        endpoints: Endpoints,
        *,
        timeout_seconds: float,
        namespace: "Namespace | None" = None,
        is_view: bool = False,
    ) -> None:
        self.is_view = is_view
        self.endpoints = endpoints
        self.timeout_seconds = timeout_seconds
        self.namespace = namespace
        self._reads = Policy(timeout_seconds=timeout_seconds, repeatable=True)
        self._writes = Policy(timeout_seconds=timeout_seconds, repeatable=False)
        self._local = replace(self._reads, needs_leader=False)

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self.endpoints.clock

    def within(self, timeout_seconds: float) -> Self:
        """Return a caller whose calls end within *timeout_seconds*."""
        return type(self)(
            self.endpoints,
            timeout_seconds=timeout_seconds,
            namespace=self.namespace,
            is_view=True,
        )

    def inside(self, prefix: bytes) -> Self:
        """Return a caller whose keys all begin with *prefix*, which they do not show."""
        from c101.core.etcd.namespace import Namespace  # noqa: PLC0415

        outer = self.namespace.prefix if self.namespace is not None else b""
        return type(self)(
            self.endpoints,
            timeout_seconds=self.timeout_seconds,
            namespace=Namespace(outer + prefix),
            is_view=True,
        )

    def read(
        self,
        path: str,
        request: Message,
        answer: type[_M],
        *,
        revision: int = 0,
        needs_leader: bool = True,
    ) -> Awaitable[_M]:
        """Make a call that may be repeated. Without *needs_leader*, any member may answer it."""
        policy = self._reads if needs_leader else self._local
        if self.namespace is None:
            return self.endpoints.call(path, request, answer, policy, revision=revision)
        return self._inside(path, request, answer, policy, revision)

    def write(
        self, path: str, request: Message, answer: type[_M], *, revision: int = 0
    ) -> Awaitable[_M]:
        """Make a call that is repeated only when it was certainly not carried out."""
        if self.namespace is None:
            return self.endpoints.call(path, request, answer, self._writes, revision=revision)
        return self._inside(path, request, answer, self._writes, revision)

    async def ask(
        self,
        path: str,
        request: Message,
        answer: type[_M],
        *,
        endpoint: "Endpoint | None",
        repeatable: bool = True,
        revision: int = 0,
    ) -> _M:
        """Make a call that is about one member: the one at *endpoint*, or the one in use."""
        policy = replace(self._local, only=endpoint, repeatable=repeatable)
        return await self.endpoints.call(path, request, answer, policy, revision=revision)

    async def exchange(self, path: str, request: Message, answer: type[_M]) -> _M:
        """Make a call that etcd only has as a stream, and that may be repeated."""
        return await self.endpoints.exchange(path, request, answer, self._reads)

    async def _inside(
        self, path: str, request: Message, answer: type[_M], policy: Policy, revision: int
    ) -> _M:
        assert self.namespace is not None
        self.namespace.outward(request)
        found = await self.endpoints.call(path, request, answer, policy, revision=revision)
        self.namespace.inward(found)
        return found


class Verbs:
    """A group of verbs, made through one caller."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._caller.clock

    @property
    def closed(self) -> bool:
        """Whether the client was closed: then every call fails."""
        return self._caller.endpoints.closed
