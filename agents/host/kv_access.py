"""How the agent reaches the KV: unix, http, https, or ssh by a key that opens one socket there.

asyncssh is loaded by the first dial of an ``ssh://`` endpoint and by nobody else.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from c101.agents.ssh.endpoints import kv_link
from c101.core.clock import Clock
from c101.core.config import SshAccess
from c101.core.kv_tls import KvTls
from c101.core.rpc.dial import Dialer, TlsOptions, dialer_for, split_urls


@dataclass(frozen=True, slots=True, kw_only=True)
class KvAccess:
    """Endpoints of the KV, comma-separated, and what is shown and trusted on the way."""

    urls: str
    tls: KvTls
    ssh: SshAccess


@asynccontextmanager
async def kv_dialers(access: KvAccess, clock: Clock) -> AsyncIterator[list[Dialer]]:
    """Make a dialer an endpoint. Raises ConfigError for one that cannot be dialled."""
    async with AsyncExitStack() as stack:
        dialers: list[Dialer] = []
        tls = TlsOptions.of(access.tls)
        for url in split_urls(access.urls):
            if url.startswith("ssh://"):
                link, command = kv_link(url, access.ssh, clock)
                stack.push_async_callback(link.close)
                dialers.append(link.dialer(command))
            else:
                dialers.append(dialer_for(url, tls))
        yield dialers
