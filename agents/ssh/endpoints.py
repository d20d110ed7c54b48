"""From a cluster's address to what is dialled over SSH: the KV's relay, and machines.

``ssh://core@host:22/kv-operator`` names a relay, started by the host's own sshd or by our gateway,
which leads to the socket of that role.
"""

from pathlib import Path
from urllib.parse import urlsplit

from c101.agents.ssh.dial import SshLink, SshTarget
from c101.core.clock import Clock
from c101.core.config import SshAccess
from c101.core.errors import ConfigError, LinkError
from c101.core.model.machine import Machine

AGENT_COMMAND = "c101-agent --stdio admin"
#: What the path of an ``ssh://`` endpoint may be, and the relay's command.
KV_COMMANDS = {
    f"kv-{role}": f"c101-core --stdio {role}" for role in ("admin", "operator", "viewer")
}
KV_COMMAND = KV_COMMANDS["kv-admin"]


def kv_link(url: str, ssh: SshAccess, clock: Clock) -> tuple[SshLink, str]:
    """Return the link for an ``ssh://`` endpoint of the KV, and the command of its relay.

    Raises:
        ConfigError: it names no host, or a role that there is not.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"endpoint {url!r}: {error}") from error
    command = KV_COMMANDS.get(parts.path.strip("/") or "kv-admin")
    if command is None or not parts.hostname:
        raise ConfigError(f"not an endpoint: {url}", hint="ssh://core@host:22/kv-operator")
    return SshLink(target(ssh, parts.hostname, port, user=parts.username or ""), clock), command


def machine_target(machine: Machine, ssh: SshAccess) -> SshTarget:
    """Return where *machine* is, pinned to the host keys of its record.

    Raises:
        LinkError: nothing says where it is.
    """
    record = machine.record
    if record is None or not record.addresses:
        raise LinkError(
            f"{machine.name}: no address is known of it",
            hint=f"c101ctl list-machines shows what is known of {machine.name}",
        )
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
        known_hosts=(Path(ssh.known_hosts),) if ssh.known_hosts else (),
        host_keys=host_keys,
    )
