"""Clusters on this computer: one that goes on running, and the demo's, which ends with the console.

Importing this loads what ``ssh_access`` loads: do it after the first paint, in a thread.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from c101 import examples
from c101.agents.local import cli
from c101.agents.local.spawn import ThrowAway
from c101.core.clock import Clock
from c101.core.config import ClusterAddress, LocalCluster
from c101.core.errors import C101Error, ConfigError, LinkError
from c101.core.model.unit import TargetState
from c101.core.registry.registry import Registry
from c101.tui.feeds.access import Say
from c101.tui.feeds.ssh_access import SshAccess
from c101.tui.feeds.ssh_verbs import Power

logger = logging.getLogger(__name__)

#: The demo's ports are moved by these until all of them are free.
PORT_SHIFTS = range(0, 10_000, 1_000)


async def reach(address: ClusterAddress, clock: Clock, say: Say) -> SshAccess:
    """Return the way to a cluster that is named; one on this computer is started if it is down.

    Raises:
        ConfigError, DeadlineExceededError: it cannot be started.
    """
    local = address.local
    if local is None or not local.dir:
        return SshAccess(address, clock)
    say(f"starting the cluster in {local.dir}…")
    return await run_here(Path(local.dir), max(1, len(local.machines)), clock)


async def run_here(directory: Path, machines: int, clock: Clock) -> SshAccess:
    """Start a cluster of this computer, unless it runs, and return the way to it."""
    return _way(await cli.up(directory, machines=machines, clock=clock), clock)


def _way(document: Mapping[str, Any], clock: Clock) -> SshAccess:
    try:
        local = msgspec.convert(document, LocalCluster)
    except msgspec.MsgspecError as exc:
        raise ConfigError(f"what describes the cluster is not understood: {exc}") from exc
    address = ClusterAddress(
        name=str(document["name"]), kv=local.kv.unix, ssh=local.ssh, local=local
    )
    return SshAccess(address, clock, power=_power(document))


def _power(document: Mapping[str, Any]) -> Power:
    directory = Path(str(document["dir"]))
    names = {str(one["id"]): str(one["name"]) for one in document["machines"]}

    async def power(machine_id: str, on: bool) -> None:  # noqa: FBT001 - the switch itself
        name = names.get(machine_id, machine_id)
        await (cli.start if on else cli.kill)(directory, name)

    return power


class Demo:
    """The cluster made for this console, with the example application on it; ends with both."""

    def __init__(self, cluster: ThrowAway, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._launching: asyncio.Task[None] | None = None

    async def start(self, say: Say) -> SshAccess:
        """Reach it as soon as its KV answers.

        While it is being looked at its machines join, and the application is launched.
        """
        say("starting a cluster of three machines…")
        layout, supervisor = self._cluster.layout, self._cluster.supervisor
        document = await cli.reach(layout, supervisor, "answering", self._clock)
        access = _way(document, self._clock)
        shift = await asyncio.to_thread(_free_shift)
        access.application = "three-tier"
        access.address = f"http://127.0.0.1:{examples.LB_PORT + shift}"
        self._launching = asyncio.create_task(self._launch(access, shift), name="launch")
        return access

    async def _launch(self, access: SshAccess, shift: int) -> None:
        """Launch the application once every machine is there, so that it is spread over them.

        What fails is in the log, and seen in the panes.
        """
        layout, supervisor = self._cluster.layout, self._cluster.supervisor
        try:
            await _submit(access.registry, shift)
            await cli.reach(layout, supervisor, "joined", self._clock)
            async with asyncio.TaskGroup() as group:
                for name in examples.UNITS:
                    group.create_task(access.registry.set_target(name, TargetState.LAUNCHED))
        except* C101Error as failed:
            for exc in failed.exceptions:
                logger.warning("application not launched", extra={"reason": str(exc)})

    async def end(self) -> None:
        """End the cluster, and leave nothing of it."""
        if self._launching is not None:
            self._launching.cancel()
            await asyncio.wait({self._launching})
        with contextlib.suppress(LinkError):  # it has ended already
            await cli.down(self._cluster.layout.directory, clock=self._clock)
        await self._cluster.end(self._clock)


async def _submit(registry: Registry, shift: int) -> None:
    async with asyncio.TaskGroup() as group:
        for name, text in examples.unit_files(port_shift=shift).items():
            if name in examples.UNITS or "@." in name:
                group.create_task(registry.submit(name, text, replace=True))
    async with asyncio.TaskGroup() as group:
        for name in examples.UNITS:
            group.create_task(registry.instantiate(name))


def _free_shift() -> int:
    """Return a shift that moves every port of the application to one that is free.

    Raises:
        ConfigError: there is none.
    """
    for shift in PORT_SHIFTS:
        if all(_is_free(port + shift) for port in examples.PORTS):
            return shift
    raise ConfigError("no ports are free for the example application", hint=str(examples.PORTS))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
