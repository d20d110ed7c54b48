"""What is chosen when a cluster on this computer is made, and kept: machines, ids, ports."""

import random
import re
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from c101.core.errors import ConfigError

MACHINES_MAX = 64
MACHINES_DEFAULT = 3
#: Below the range that outgoing connections take theirs from (ip_local_port_range).
PORTS = range(20_000, 32_000)
_PORT_TRIES_MAX = 200
_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_VALUE = re.compile(r"[A-Za-z0-9_.:/@+-]{1,128}")
LEASE_TTL_SECONDS = 3
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSettings:
    """One machine. The id is random and stays; the port is where its gateway listens."""

    id: str
    name: str
    ssh_port: int
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """One cluster."""

    kv_port: int
    kv_ssh_port: int
    machines: tuple[MachineSettings, ...]
    lease_ttl_seconds: int = LEASE_TTL_SECONDS


def load(path: Path) -> ClusterSettings | None:
    """Read what was kept; ``None`` where nothing was. Raises ConfigError: it cannot be read."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=ClusterSettings)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{path}: {error}", hint="another --dir makes a new cluster") from error


def store(path: Path, settings: ClusterSettings) -> None:
    """Write *settings* whole or not at all."""
    fresh = path.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(settings))
    fresh.replace(path)


def settle(
    kept: ClusterSettings | None,
    *,
    machines: int | None,
    kv_port: int | None,
    metadata: Sequence[str] = (),
) -> ClusterSettings:
    """Return *kept* brought to *machines* machines and to ports that are free now.

    ``None`` is as many as there are, or three. Ports are kept where they are free. Raises
    ConfigError: *kv_port* was asked for and is taken, the number of machines is out of bounds or
    less than there are, *metadata* is malformed.
    """
    if machines is None:
        machines = len(kept.machines) if kept is not None else MACHINES_DEFAULT
    if not 1 <= machines <= MACHINES_MAX:
        raise ConfigError(f"a cluster here has 1 to {MACHINES_MAX} machines, not {machines}")
    if kv_port is not None and not _is_free(kv_port):
        raise ConfigError(
            f"port {kv_port} of {LOOPBACK} is taken", hint="without --kv-port a free one is found"
        )
    before = kept.machines if kept is not None else ()
    if machines < len(before):
        raise ConfigError(
            f"the cluster in this directory has {len(before)} machines, not {machines}",
            hint="another --dir makes a new cluster",
        )
    labels = _parse_metadata(metadata)
    wanted = kv_port or (kept.kv_port if kept is not None else 0)
    ports = _free_ports(
        [wanted, kept.kv_ssh_port if kept is not None else 0, *(one.ssh_port for one in before)],
        2 + machines,
    )
    known = [replace(one, ssh_port=port) for one, port in zip(before, ports[2:], strict=False)]
    fresh = [
        MachineSettings(
            id=secrets.token_hex(16),
            name=f"m{number + 1}",
            ssh_port=ports[2 + number],
            metadata=_metadata_of(number, labels),
        )
        for number in range(len(known), machines)
    ]
    return ClusterSettings(kv_port=ports[0], kv_ssh_port=ports[1], machines=(*known, *fresh))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_ports(wanted: Sequence[int], count: int) -> list[int]:
    """Return *count* free ports, the wanted ones where they are free (0 wants none)."""
    ports: list[int] = []
    for port in [*wanted[:count], *([0] * (count - len(wanted)))]:
        ports.append(_free_port(port, ports))
    return ports


def _free_port(wanted: int, taken: Sequence[int]) -> int:
    tries = random.sample(PORTS, _PORT_TRIES_MAX)  # which of them does not matter
    for port in [wanted, *tries] if wanted else tries:
        if port not in taken and _is_free(port):
            return port
    raise ConfigError(f"no port of {LOOPBACK} is free between {PORTS.start} and {PORTS.stop}")


def _parse_metadata(texts: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return the metadata by machine name; that of every machine under ``""``."""
    found: dict[str, dict[str, str]] = {}
    for text in texts:
        name, colon, pairs = text.partition(":")
        if not colon or "=" in name:  # a value may hold a colon
            name, pairs = "", text
        for pair in pairs.split(","):
            key, _, value = pair.partition("=")
            if not (_KEY.fullmatch(key) and _VALUE.fullmatch(value)):
                raise ConfigError(f"metadata is [NAME:]K=V,...: {pair!r} is not")
            found.setdefault(name, {})[key] = value
    return found


def _metadata_of(number: int, labels: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    if not labels:
        return {"disk": "ssd" if number == 0 else "hdd"}
    return {**labels.get("", {}), **labels.get(f"m{number + 1}", {})}
