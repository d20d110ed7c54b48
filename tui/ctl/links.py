"""Links to hosts: the KV over SSH, and the agents that a journal or a status is asked of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from c101.core.clock import Clock
from c101.core.config import ClusterAddress, SshAccess
from c101.core.errors import ConfigError, LinkError
from c101.core.model.machine import Machine
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import UnixDialer

# Imported by what dials: asyncssh is most of what a command that needs it weighs.
if TYPE_CHECKING:
    from c101.agents.client.agent_client import AgentClient
    from c101.agents.ssh.dial import SshLink, SshTarget

_KV_ROLES = {"kv-admin": "admin", "kv-operator": "operator", "kv-viewer": "viewer"}


def kv_link(url: str, address: ClusterAddress, clock: Clock) -> "tuple[SshLink, str]":
    """Return the link for ``ssh://user@host:22/kv-operator``, and the relay's command."""
    from c101.agents.ssh.dial import SshLink

    parts = urlsplit(url)
    role = _KV_ROLES.get(parts.path.strip("/") or "kv-admin")
    if role is None or not parts.hostname:
        raise ConfigError(f"not an endpoint: {url}", hint="ssh://core@host:22/kv-operator")
    target = _target(address.ssh, parts.hostname, parts.port, parts.username or "", ())
    return SshLink(target, clock), f"c101-core --stdio {role}"


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

    link = SshLink(_machine_target(machine, address), clock)
    channel = Channel(link.dialer("c101-agent --stdio admin"))
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


def _machine_target(machine: Machine, address: ClusterAddress) -> "SshTarget":
    record = machine.record
    if record is None or not record.addresses:
        raise LinkError(
            f"{machine.name}: no address is known of it",
            hint=f"c101ctl list-machines shows what is known of {machine.name}",
        )
    return _target(
        address.ssh, record.addresses[0], record.ssh_port, record.ssh_user, record.host_keys
    )


def _target(
    ssh: SshAccess, host: str, port: int | None, user: str, host_keys: tuple[str, ...]
) -> "SshTarget":
    from c101.agents.ssh.dial import SshTarget

    return SshTarget(
        host=host,
        port=port,
        user=user or ssh.user or None,
        identity=Path(ssh.identity) if ssh.identity else None,
        known_hosts=(Path(ssh.known_hosts),) if ssh.known_hosts else (),
        host_keys=host_keys,
    )
