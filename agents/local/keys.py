"""SSH keys made on the spot: one for the user, one for each gateway, and the files that name them.

Each gateway's authorized_keys gives the user's key exactly one relay.
"""

from dataclasses import dataclass
from pathlib import Path

from c101.agents.local.layout import Layout
from c101.agents.local.settings import LOOPBACK, ClusterSettings
from c101.agents.ssh.keys import ensure_key
from c101.core.errors import ConfigError

AGENT_RELAY = "c101-agent --stdio admin"
KV_RELAY = "c101-core --stdio admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFiles:
    """The files of one gateway, and the line of its host key."""

    host_key: Path
    authorized_keys: Path
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterKeys:
    """Every gateway's files: the KV's, and the machines' by name."""

    kv: GatewayFiles
    machines: dict[str, GatewayFiles]


def make_keys(layout: Layout, settings: ClusterSettings) -> ClusterKeys:
    """Make what is missing and write the files anew. Raises ConfigError: it cannot be written."""
    user = ensure_key(layout.identity).line
    kv = _gateway(layout, "kv", KV_RELAY, user)
    machines = {
        one.name: _gateway(layout, one.name, AGENT_RELAY, user) for one in settings.machines
    }
    ports = {settings.kv_ssh_port: kv} | {
        one.ssh_port: machines[one.name] for one in settings.machines
    }
    lines = [f"[{LOOPBACK}]:{port} {files.line}" for port, files in ports.items()]
    _write(layout.known_hosts, "\n".join(lines) + "\n")
    return ClusterKeys(kv=kv, machines=machines)


def _gateway(layout: Layout, name: str, relay: str, user: str) -> GatewayFiles:
    host_key = layout.ssh / f"{name}_host_ed25519_key"
    authorized_keys = layout.ssh / f"{name}_authorized_keys"
    line = ensure_key(host_key).line
    _write(authorized_keys, f'restrict,command="{relay}" {user}\n')
    return GatewayFiles(host_key=host_key, authorized_keys=authorized_keys, line=line)


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_text(text)
        fresh.chmod(0o600)
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
