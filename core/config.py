"""Which cluster a command means, and how its parts are reached.

First ``--kv`` or ``C101_KV``; then ``--cluster`` or ``C101_CLUSTER``, a name in the configuration
file or of a cluster on this computer; then the file's ``default``; then the cluster on this
computer that was started last. Files::

    ~/.config/c101/config.yaml              clusters: {prod: {kv: …, ssh: {…}, tls: {…}}},
                                            default: prod
    ~/.config/c101/clusters/NAME.yaml       one cluster, {kv: …, ssh: …}: what ``init`` writes
    ~/.config/c101/known_hosts              host keys that ``c101ctl hosts trust`` accepted
    ~/.local/state/c101/clusters/NAME.json  written by ``c101ctl local up``, removed by ``down``
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from c101.core.errors import ConfigError
from c101.core.kv_tls import KvTls

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SshAccess:
    """How hosts are logged in to. Empty fields are left to the user's ssh configuration."""

    user: str = ""
    identity: str = ""
    known_hosts: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KVGateway:
    """Where a KV is reached over SSH: the relay's host and port."""

    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalKV:
    """The KV of a cluster on this computer."""

    unix: str
    http: str = ""
    ssh: KVGateway | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalMachine:
    """A machine of a cluster on this computer."""

    id: str
    name: str
    ssh_host: str
    ssh_port: int
    socket_dir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCluster:
    """What ``c101ctl local up`` prints and writes down (see docs/commands.md)."""

    kv: LocalKV
    ssh: SshAccess
    machines: tuple[LocalMachine, ...] = ()
    lease_ttl_s: float = 3
    dir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfiguredCluster:
    """A cluster in the configuration file."""

    kv: str
    ssh: SshAccess = field(default_factory=SshAccess)
    tls: KvTls = field(default_factory=KvTls)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """The configuration file."""

    clusters: Mapping[str, ConfiguredCluster] = field(default_factory=dict)
    default: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterAddress:
    """A cluster as a command uses it. ``kv`` holds one endpoint URL or more, comma-separated."""

    name: str
    kv: str
    ssh: SshAccess = field(default_factory=SshAccess)
    tls: KvTls = field(default_factory=KvTls)
    local: LocalCluster | None = None


def resolve(
    *,
    kv: str | None,
    cluster: str | None,
    environ: Mapping[str, str],
    tls: KvTls | None = None,
) -> ClusterAddress:
    """Say which cluster is meant by the flags, the environment and the files, in that order.

    What *tls* gives goes before the files. Raises ConfigError: no cluster is meant, or a file
    cannot be read.
    """
    found = _resolve(kv, cluster, environ)
    return found if tls is None else replace(found, tls=tls.over(found.tls))


def _resolve(kv: str | None, cluster: str | None, environ: Mapping[str, str]) -> ClusterAddress:
    kv = kv or (None if cluster else environ.get("C101_KV"))
    if kv:
        return _by_endpoint(kv, environ)
    name = cluster or environ.get("C101_CLUSTER")
    configured = _config(environ)
    name = name or configured.default
    if name:
        return _by_name(name, configured, environ)
    found = local_clusters(environ)
    if found:
        name, local = found[0]
        return _local(name, local)
    if len(configured.clusters) == 1:
        (only,) = configured.clusters
        return _by_name(only, configured, environ)
    if configured.clusters:
        raise ConfigError(
            f"several clusters are configured: {', '.join(sorted(configured.clusters))}",
            hint=f"--cluster NAME says which, or `default: NAME` in {config_path(environ)}",
        )
    raise ConfigError(
        "no cluster is named, and none runs on this computer",
        hint="c101ctl local up --dir DIR starts one; --kv URL or --cluster NAME names one",
    )


def clusters_dir(environ: Mapping[str, str]) -> Path:
    """Return where clusters on this computer write themselves down."""
    state = environ.get("XDG_STATE_HOME") or _home(environ) / ".local" / "state"
    return Path(state) / "c101" / "clusters"


def local_clusters(environ: Mapping[str, str]) -> list[tuple[str, LocalCluster]]:
    """Return the clusters on this computer by name, the one started last first."""
    files = []
    for path in clusters_dir(environ).glob("*.json"):
        try:
            files.append((path.stat().st_mtime, path.stem, _read_local(path)))
        except FileNotFoundError:
            continue  # it was just ended
    return [(name, local) for _, name, local in sorted(files, key=lambda one: -one[0])]


def _read_local(path: Path) -> LocalCluster:
    import msgspec  # noqa: PLC0415 - only where there is a file to read

    try:
        return msgspec.json.decode(path.read_bytes(), type=LocalCluster)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: {error}", hint="remove it if that cluster is gone") from error


def _local(name: str, local: LocalCluster) -> ClusterAddress:
    return ClusterAddress(name=name, kv=local.kv.unix, ssh=local.ssh, local=local)


def _by_endpoint(kv: str, environ: Mapping[str, str]) -> ClusterAddress:
    for name, local in local_clusters(environ):
        if kv in {local.kv.unix, local.kv.http}:
            return ClusterAddress(name=name, kv=kv, ssh=local.ssh, local=local)
    return ClusterAddress(name=short_name(kv), kv=kv)


def short_name(kv: str) -> str:
    """Return what a cluster without a name is called: its first endpoint, and how many follow.

    ``http://a:2379,http://b:2379,http://c:2379`` is ``a:2379 +2``.
    """
    first, *others = (url.strip() for url in kv.split(","))
    place = first.partition("://")[2] or first
    return f"{place} +{len(others)}" if others else place


def _by_name(name: str, configured: ConfigFile, environ: Mapping[str, str]) -> ClusterAddress:
    for found, local in local_clusters(environ):
        if found == name:
            return _local(name, local)
    cluster = configured.clusters.get(name)
    if cluster is None:
        known = sorted({*configured.clusters, *(found for found, _ in local_clusters(environ))})
        raise ConfigError(
            f"no cluster is called {name}",
            hint="known are " + ", ".join(known) if known else f"{config_path(environ)} names none",
        )
    return ClusterAddress(name=name, kv=cluster.kv, ssh=cluster.ssh, tls=cluster.tls)


def is_configured(environ: Mapping[str, str]) -> bool:
    """Say whether the user's configuration may name a cluster."""
    own = cluster_path(environ, "*")
    return config_path(environ).exists() or any(own.parent.glob(own.name))


def config_dir(environ: Mapping[str, str]) -> Path:
    """Return where the user's configuration is."""
    base = environ.get("XDG_CONFIG_HOME") or _home(environ) / ".config"
    return Path(base) / "c101"


def config_path(environ: Mapping[str, str]) -> Path:
    """Return where the configuration file is looked for."""
    return config_dir(environ) / "config.yaml"


def known_hosts_path(environ: Mapping[str, str]) -> Path:
    """Return where host keys are that were accepted for c101."""
    return config_dir(environ) / "known_hosts"


def cluster_path(environ: Mapping[str, str], name: str) -> Path:
    """Return where a cluster called *name* has a file of its own."""
    return config_dir(environ) / "clusters" / f"{name}.yaml"


def _config(environ: Mapping[str, str]) -> ConfigFile:
    main = _read_yaml(config_path(environ), ConfigFile) or ConfigFile()
    own = cluster_path(environ, "*")
    found: dict[str, ConfiguredCluster] = {}
    for path in sorted(own.parent.glob(own.name)):
        cluster = _read_yaml(path, ConfiguredCluster)
        if cluster is not None:
            found[path.stem] = cluster
    return replace(main, clusters={**found, **main.clusters})


def _read_yaml(path: Path, kind: type[_T]) -> _T | None:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    import msgspec  # noqa: PLC0415

    try:
        return msgspec.yaml.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path}: {error}") from error


def _home(environ: Mapping[str, str]) -> Path:
    return Path(environ.get("HOME") or os.path.expanduser("~"))  # noqa: PTH111 - no HOME: passwd
