"""From flags to a client: which cluster, how it is reached, and for how long.

What a verb does not need is not imported: a script that reads one key a hundred times loads no
configuration, no registry and no SSH.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from c101.tui.ctl.output import say

if TYPE_CHECKING:
    from c101.core.clock import Clock
    from c101.core.config import ClusterAddress, SshAccess
    from c101.core.etcd.client import Client
    from c101.core.kv_tls import KvTls
    from c101.core.registry.keyspace import Keyspace
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
    tls: "KvTls | None" = None
    #: how hosts are reached, where that is not what the cluster's configuration says
    ssh: "SshAccess | None" = None

    def endpoints(self) -> str:
        """Return the KV's endpoints; no file is read where they are given. Raises ConfigError."""
        # The first of the rules of ``core.config.resolve``, without what the others need.
        given = self.kv or (None if self.cluster else os.environ.get("C101_KV"))
        return given or self.address().kv

    def address(self) -> "ClusterAddress":
        """Return the cluster that is meant. Raises ConfigError."""
        from c101.core.config import resolve

        found = resolve(kv=self.kv, cluster=self.cluster, environ=os.environ, tls=self.tls)
        return found if self.ssh is None else replace(found, ssh=self.ssh)


@dataclass(frozen=True)
class Session:
    """A client of one cluster, for the length of one command."""

    options: Options
    client: "Client"
    clock: "Clock"

    @cached_property
    def address(self) -> "ClusterAddress":
        """The cluster that is meant, and how its hosts are reached."""
        return self.options.address()

    @cached_property
    def keyspace(self) -> "Keyspace":
        """The cluster's key paths."""
        from c101.core.registry.keyspace import Keyspace

        return Keyspace(self.options.prefix)

    @cached_property
    def registry(self) -> "Registry":
        """The cluster's registry."""
        from c101.core.registry.registry import Registry

        return Registry(self.client, self.keyspace, self.clock)

    def tell(self, text: str) -> None:
        """Tell a person how far it is; a script that reads JSON is told by the result."""
        if not self.options.json:
            say(text)


@asynccontextmanager
async def session(options: Options) -> AsyncIterator[Session]:
    """Open a session on the cluster that *options* mean."""
    from c101.core.clock import SystemClock
    from c101.core.etcd.client import Client
    from c101.core.rpc.dial import split_urls

    clock = SystemClock()
    async with AsyncExitStack() as stack:
        dialers = [_dialer(url, options, clock, stack) for url in split_urls(options.endpoints())]
        client = Client(
            dialers, clock=clock, timeout_seconds=options.timeout_seconds, fails_fast=True
        )
        yield Session(options, await stack.enter_async_context(client), clock)


def _dialer(url: str, options: Options, clock: "Clock", stack: AsyncExitStack) -> "Dialer":
    if not url.startswith("ssh://"):
        from c101.core.rpc.dial import TlsOptions, dialer_for

        secure = url.startswith("https://")
        return dialer_for(url, TlsOptions.of(options.address().tls) if secure else None)
    from c101.agents.ssh.endpoints import kv_link

    link, command = kv_link(url, options.address().ssh, clock)
    stack.push_async_callback(link.close)
    return link.dialer(command)


def run(options: Options, verb: Callable[[Session], Awaitable[_T]]) -> _T:
    """Run *verb* in a session of its own."""
    import asyncio

    async def opened() -> _T:
        async with session(options) as current:
            return await verb(current)

    return asyncio.run(opened())
