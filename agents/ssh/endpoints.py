"""From a cluster's address to what is dialled over SSH: the KV's relay, and machines.

``ssh://core@host:22/kv-operator`` names a relay, started by the host's own sshd or by our gateway,
which leads to the socket of that role.
"""

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.user_config import named_hosts
from c101.core.clock import Clock
from c101.core.config import SshAccess, known_hosts_path
from c101.core.errors import ConfigError, LinkError
from c101.core.model.machine import Machine

AGENT_COMMAND = "c101-agent --stdio admin"
KV_COMMAND = "c101-core --stdio admin"
#: What the path of an ``ssh://`` endpoint may be: ``kv-`` and a role.
_KV_PATH = re.compile(r"kv-(?P<role>admin|operator|viewer|agent-[A-Za-z0-9_.-]{1,64})")


def kv_link(url: str, ssh: SshAccess, clock: Clock) -> tuple[SshLink, str]:
    """Return the link for an ``ssh://`` endpoint of the KV, and the command of its relay.

    Raises:
        ConfigError: it names no host, or a role that there is not.
    """
    where, role = _kv(url, ssh)
    return SshLink(where, clock), f"c101-core --stdio {role}"


def kv_endpoint(where: SshTarget) -> str:
    """Return the endpoint of the KV's admin socket on a host, for who reaches it as *where*."""
    return f"{where.name}/kv-admin"


def kv_target(url: str, ssh: SshAccess) -> SshTarget:
    """Return the host of an ``ssh://`` endpoint of the KV. Raises ConfigError."""
    return _kv(url, ssh)[0]


def _kv(url: str, ssh: SshAccess) -> tuple[SshTarget, str]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"endpoint {url!r}: {error}") from error
    path = _KV_PATH.fullmatch(parts.path.strip("/") or "kv-admin")
    if path is None or not parts.hostname:
        raise ConfigError(f"not an endpoint: {url}", hint="ssh://core@host:22/kv-operator")
    return target(ssh, parts.hostname, port, user=parts.username or ""), path["role"]


def machine_target(machine: Machine, ssh: SshAccess) -> SshTarget:
    """Return where *machine* is, pinned to the host keys of its record.

    Who has a ``Host`` of the machine's name in their ``~/.ssh/config`` means that: by it they are
    told how it is reached from where they are, and with which key. The pins hold all the same.

    Raises:
        LinkError: nothing says where it is.
    """
    record = machine.record
    if record is None or not record.addresses:
        raise LinkError(
            f"{machine.name}: no address is known of it",
            hint=f"c101ctl list-machines shows what is known of {machine.name}",
        )
    if not ssh.identity and machine.name in named_hosts():
        return target(ssh, machine.name, None, host_keys=record.host_keys)
    return target(
        ssh,
        record.addresses[0],
        record.ssh_port,
        user=record.ssh_user,
        host_keys=record.host_keys,
    )


def target(
    ssh: SshAccess,
    host: str,
    port: int | None,
    *,
    user: str = "",
    host_keys: tuple[str, ...] = (),
) -> SshTarget:
    """Return *host* as it is logged in to; what *ssh* leaves empty is the user's configuration's.

    Raises:
        ConfigError: no host, port or user.
    """
    return SshTarget(
        host=host,
        port=port,
        user=user or ssh.user or None,
        identity=Path(ssh.identity) if ssh.identity else None,
        known_hosts=(Path(ssh.known_hosts or known_hosts_path(os.environ)),),
        host_keys=host_keys,
    )
