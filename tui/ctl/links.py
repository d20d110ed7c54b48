"""Links to the agents that a journal or a status is asked of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from c101.core.clock import Clock
from c101.core.config import ClusterAddress
from c101.core.model.machine import Machine
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import UnixDialer

# Imported by what dials: asyncssh is most of what a command that needs it weighs.
if TYPE_CHECKING:
    from c101.agents.client.agent_client import AgentClient


@asynccontextmanager
async def agent_of(
    machine: Machine, address: ClusterAddress, clock: Clock
) -> "AsyncIterator[AgentClient]":
    """Open the agent of *machine*: its socket where that is on this computer, else over SSH.

    Raises LinkError: nothing says how the machine is reached.
    """
    from c101.agents.client.agent_client import AgentClient

    socket = _socket(machine, address)
    if socket is not None:
        channel = Channel(UnixDialer(str(socket)))
        try:
            yield AgentClient(channel)
        finally:
            await channel.close()
        return
    from c101.agents.ssh.dial import SshLink
    from c101.agents.ssh.endpoints import AGENT_COMMAND, machine_target

    link = SshLink(machine_target(machine, address.ssh), clock)
    channel = Channel(link.dialer(AGENT_COMMAND))
    try:
        yield AgentClient(channel)
    finally:
        await channel.close()
        await link.close()


def _socket(machine: Machine, address: ClusterAddress) -> Path | None:
    if address.local is None:
        return None
    for one in address.local.machines:
        if one.id == machine.id and one.socket_dir:
            return Path(one.socket_dir) / "agent-admin.sock"
    return None
