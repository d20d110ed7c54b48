"""From flags to a client: which cluster, how it is reached, and for how long."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from c101.core.clock import Clock, SystemClock
from c101.core.config import ClusterAddress, resolve
from c101.core.etcd.client import Client
from c101.core.registry.keyspace import Keyspace

if TYPE_CHECKING:
    from c101.core.registry.registry import Registry
    from c101.core.rpc.channel import Dialer

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The global options."""

    kv: str | None = None
    cluster: str | None = None
    json: bool = False
    prefix: str = "/c101/"
    timeout_seconds: float = 5.0

    def address(self) -> ClusterAddress:
        """Return the cluster that is meant. Raises ConfigError."""
        return resolve(kv=self.kv, cluster=self.cluster, environ=os.environ)


@dataclass(frozen=True, slots=True)
class Session:
    """A client of one cluster, for the length of one command."""

    options: Options
    address: ClusterAddress
    client: Client
    clock: Clock

    @property
    def keyspace(self) -> Keyspace:
        """The cluster's key paths."""
        return Keyspace(self.options.prefix)

    @property
    def registry(self) -> "Registry":
        """The cluster's registry."""
        from c101.core.registry.registry import Registry

        return Registry(self.client, self.keyspace, self.clock)


@asynccontextmanager
async def session(options: Options) -> AsyncIterator[Session]:
    """Open a session on the cluster that *options* mean."""
    address = options.address()
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        dialers = [await _dialer(url, address, clock, stack) for url in address.kv.split(",")]
        client = Client(dialers, clock=clock, timeout_seconds=options.timeout_seconds)
        await stack.enter_async_context(client)
        yield Session(options, address, client, clock)


async def _dialer(
    url: str, address: ClusterAddress, clock: Clock, stack: AsyncExitStack
) -> "Dialer":
    if not url.startswith("ssh://"):
        from c101.core.rpc.dial import dialer_for

        return dialer_for(url)
    from c101.tui.ctl.links import kv_link

    link, command = kv_link(url, address, clock)
    stack.push_async_callback(link.close)
    return link.dialer(command)


def run(options: Options, verb: Callable[[Session], Awaitable[_T]]) -> _T:
    """Run *verb* in a session of its own."""

    async def opened() -> _T:
        async with session(options) as current:
            return await verb(current)

    return asyncio.run(opened())
