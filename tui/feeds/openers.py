"""Which cluster the console shows, and how it is made ready. Light: what it loads comes later."""

import asyncio
import importlib
import os
from types import ModuleType
from typing import Protocol

from c101.agents.local.spawn import ThrowAway
from c101.core.clock import SystemClock
from c101.core.config import clusters_dir, is_configured, local_clusters, resolve
from c101.core.kv_tls import KvTls
from c101.tui.feeds.access import ClusterAccess, Say
from c101.tui.feeds.deferred import DeferredAccess

#: The cluster that runs here when nobody names another one.
LOCAL_NAME = "local"


def named(kv: str | None, cluster: str | None, tls: KvTls | None = None) -> DeferredAccess:
    """Return the cluster that is named, configured or running here, else a new one of one machine.

    Opening it raises ConfigError where there is no such cluster.
    """
    environ = os.environ

    async def make(say: Say) -> ClusterAccess:
        module = await _load(say)
        names = (kv, cluster, environ.get("C101_KV"), environ.get("C101_CLUSTER"))
        if any(names) or is_configured(environ) or local_clusters(environ):
            address = resolve(kv=kv, cluster=cluster, environ=environ, tls=tls)
            reached: ClusterAccess = await module.reach(address, SystemClock(), say)
            return reached
        directory = clusters_dir(environ).parent / LOCAL_NAME
        say(f"starting a cluster in {directory}…")
        made: ClusterAccess = await module.run_here(directory, 1, SystemClock())
        return made

    return DeferredAccess(make, name=cluster or kv or LOCAL_NAME)


class _Demo(Protocol):
    async def start(self, say: Say) -> ClusterAccess: ...

    async def end(self) -> None: ...


def demo(cluster: ThrowAway) -> DeferredAccess:
    """Return a cluster that was started for this, with the example application on it."""
    running: list[_Demo] = []

    async def make(say: Say) -> ClusterAccess:
        module = await _load(say)
        demo: _Demo = module.Demo(cluster, SystemClock())
        running.append(demo)
        return await demo.start(say)

    async def end() -> None:
        for demo in running:
            await demo.end()
        await cluster.end(SystemClock())  # where it was left before it was reached

    return DeferredAccess(make, name="demo", application="three-tier", end=end)


async def _load(say: Say) -> ModuleType:
    """Load what speaks to clusters, in a thread: the screen does not wait for it."""
    say("loading…")
    return await asyncio.to_thread(importlib.import_module, "c101.tui.feeds.local_access")
