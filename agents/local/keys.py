"""SSH keys made on the spot: one for the user, one for each gateway, and the files that name them.

Each gateway's authorized_keys gives the user's key exactly one relay.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from c101.agents.local.layout import Layout
from c101.agents.local.settings import LOOPBACK, ClusterSettings
from c101.agents.ssh.keys import ensure_key
from c101.core.errors import ConfigError

AGENT_RELAY = "c101-agent --stdio admin"
KV_RELAY = "c101-core --stdio admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayFiles:
    """The files of one gateway."""

    host_key: Path
    authorized_keys: Path

    @classmethod
    def of(cls, layout: Layout, name: str) -> Self:
        """Return where those of machine *name*, or of ``kv``, are."""
        return cls(
            host_key=layout.ssh / f"{name}_host_ed25519_key",
            authorized_keys=layout.ssh / f"{name}_authorized_keys",
        )


def make_keys(layout: Layout, settings: ClusterSettings) -> dict[str, str]:
    """Make what is missing, write the files anew; return host keys by machine, or ``kv``.

    Raises ConfigError: something cannot be written.
    """
    user = ensure_key(layout.identity).line
    lines = {"kv": _gateway(layout, "kv", KV_RELAY, user)}
    ports = {"kv": settings.kv_ssh_port}
    for machine in settings.machines:
        lines[machine.name] = _gateway(layout, machine.name, AGENT_RELAY, user)
        ports[machine.name] = machine.ssh_port
    known = [f"[{LOOPBACK}]:{port} {lines[name]}\n" for name, port in ports.items()]
    _write(layout.known_hosts, "".join(known))
    return lines


def _gateway(layout: Layout, name: str, relay: str, user: str) -> str:
    files = GatewayFiles.of(layout, name)
    line = ensure_key(files.host_key).line
    _write(files.authorized_keys, f'restrict,command="{relay}" {user}\n')
    return line


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    try:
        fresh.write_text(text)
        fresh.chmod(0o600)
        fresh.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
