"""A member of etcd on this host: may it be one, its service, the KV's data, how it fares.

It is Debian's etcd, as a service of ours that asks everybody for a certificate: the other members,
and its clients. Debian's own service is not used, and not started by the installation.
"""

import gzip
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from c101.agents.host.service_unit import ETCD_NAME, etcd_unit
from c101.agents.host.setup.host import Host
from c101.agents.host.setup.places import Places
from c101.agents.host.setup.spec import EtcdSite, EtcdSpec, EtcdStatus
from c101.core.errors import C101Error, ConfigError

CLIENT_PORT: Final = 2379
PEER_PORT: Final = 2380
#: etcd speaks the whole API since this version.
_VERSION_MIN: Final = (3, 4)
_APT: Final = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "--yes")
_PACKAGES: Final = ("etcd-server", "etcd-client")
_SPARE_BYTES: Final = 200 << 20
_CONNECT_SECONDS: Final = 3.0
#: A mirror that is far away, and a host that is slow.
_INSTALL_SECONDS_MAX: Final = 300.0
#: A member that has ended so often will not come up.
_RESTARTS_MAX: Final = 3
#: One day of history; without it the database would only grow.
_HISTORY: Final = "24h"


class EtcdMember:
    """The member of this host, whose things are at *places*."""

    def __init__(self, places: Places, host: Host) -> None:
        self._places = places
        self._host = host

    @property
    def _data(self) -> Path:
        return self._places.etcd_state / "data"

    def wrong(self, site: EtcdSite) -> Iterator[str]:
        """Say what is in the way of becoming a member."""
        if shutil.which("etcd") is None or shutil.which("etcdctl") is None:
            if not self._is_to_be_had():
                yield "etcd is not installed, and apt-get knows no etcd-server"
        elif (version := _version()) < _VERSION_MIN:
            yield f"its etcd is {'.'.join(map(str, version))}; 3.4 or later is needed"
        if self._data.exists():
            yield f"{self._data} has the data of another etcd"
        else:
            yield from _taken(site.address)
        for name, address in site.members.items():
            if address != site.address and (reason := _unreachable(address)):
                yield f"it does not reach {name} at {address}: {reason}"
        free = shutil.disk_usage(self._places.etcd_state.parent).free
        if free < 3 * site.bytes + _SPARE_BYTES:
            yield f"{free >> 20} MiB are free below /var/lib"

    def install(self, spec: EtcdSpec) -> None:
        """Have etcd, and a service of it that is not started yet. Raises C101Error."""
        self._packages()
        host, folder = self._host, self._places.etcd
        host.ensure_group("etcd")
        host.ensure_user("etcd", self._places.etcd_state)
        changed = False
        for name, text in (("ca.pem", spec.ca), ("member.pem", spec.certificate)):
            changed |= host.write(folder / name, text)
        if host.write(folder / "member.key", spec.key, mode=0o600):
            shutil.chown(folder / "member.key", "etcd", "etcd")
            changed = True
        # What is secret in there is so by the modes of the files.
        for directory in (self._places.etc, folder):
            directory.chmod(0o711)
        for name, text in (
            ("ca.key", spec.ca_key),
            ("client.pem", spec.client_certificate),
            ("client.key", spec.client_key),
        ):
            host.write(folder / name, text, mode=0o600)
        changed |= host.write(self._places.units / ETCD_NAME, etcd_unit(self._argv(spec)))
        if changed:
            host.run("systemctl", "daemon-reload")

    def start(self, spec: EtcdSpec) -> None:
        """Begin with what was shipped here, unless it has begun. Raises C101Error."""
        moving = self._places.moving
        if not self._data.exists():
            whole = moving.with_suffix("")
            try:
                with gzip.open(moving) as source, whole.open("wb") as out:
                    shutil.copyfileobj(source, out)
                self._restore(spec, whole)
            except (OSError, EOFError) as error:
                raise ConfigError(f"{moving} cannot be read: {error}") from error
            finally:
                whole.unlink(missing_ok=True)
            self._host.changed.append(f"restored the KV to {self._data}")
        self._host.run("systemctl", "enable", "--quiet", ETCD_NAME)
        # It is ready when a quorum is, which is not waited for here.
        self._host.run("systemctl", "start", "--no-block", ETCD_NAME)
        moving.unlink(missing_ok=True)

    def _restore(self, spec: EtcdSpec, snapshot: Path) -> None:
        # Made beside its place: what was cut off is begun anew.
        fresh = self._data.with_name("data.new")
        shutil.rmtree(fresh, ignore_errors=True)
        peers = [f"{name}={_url(address, PEER_PORT)}" for name, address in spec.members.items()]
        tool = "etcdutl" if shutil.which("etcdutl") else "etcdctl"
        self._etcdctl(
            "snapshot", "restore", str(snapshot), "--data-dir", str(fresh), "--name", spec.name,
            "--initial-cluster", ",".join(peers), "--initial-cluster-token", spec.token,
            "--initial-advertise-peer-urls", _url(spec.address, PEER_PORT), tool=tool,
        )  # fmt: skip
        self._host.run("chown", "-R", "etcd:etcd", str(self._places.etcd_state))
        fresh.replace(self._data)

    def broken(self) -> str:
        """Say that the member ends again and again, and what it said; "" if it does not."""
        ended = self._host.run("systemctl", "show", "--value", "--property=NRestarts", ETCD_NAME)
        if int(ended or 0) < _RESTARTS_MAX:
            return ""
        # Its own words: --unit would give the service manager's as well.
        own = f"_SYSTEMD_UNIT={ETCD_NAME}"
        said = self._host.run("journalctl", own, "--lines=1", "--output=cat", check=False)
        return f"{ETCD_NAME} ends again and again: {said}"

    def status(self) -> EtcdStatus:
        """Return how it fares. Raises C101Error: it does not answer."""
        endpoint = f"https://127.0.0.1:{CLIENT_PORT}"
        (status,) = self._asked("endpoint", "status", endpoint=endpoint)
        found = status["Status"]
        members = self._asked("member", "list", endpoint=endpoint)["members"]
        return EtcdStatus(
            cluster_id=int(found["header"]["cluster_id"]),
            revision=int(found["header"]["revision"]),
            leader=bool(found.get("leader")),
            # One that has not come up yet has no name.
            members=sum(1 for one in members if one.get("clientURLs")),
        )

    def drop(self) -> None:
        """Have no member here, and nothing of it."""
        host, places = self._host, self._places
        host.stop(ETCD_NAME)
        host.remove(places.units / ETCD_NAME)
        host.run("systemctl", "daemon-reload")
        for path in (places.etcd, places.etcd_state, places.moving):
            host.remove(path)

    # ---- parts ----

    def _is_to_be_had(self) -> bool:
        if shutil.which("apt-get") is None:
            return False
        for refresh in (False, True):
            if refresh:  # a host that was just made has no lists
                self._host.run(*_APT, "update", check=False, seconds=_INSTALL_SECONDS_MAX)
            said = self._host.run("apt-cache", "policy", _PACKAGES[0], check=False)
            if "Candidate:" in said and "Candidate: (none)" not in said:
                return True
        return False

    def _packages(self) -> None:
        if shutil.which("etcd") and shutil.which("etcdctl"):
            return
        # Debian starts a service that it installs, unless that is masked.
        self._host.run("systemctl", "mask", "--quiet", "etcd.service")
        install = (*_APT, "install", "--no-install-recommends", *_PACKAGES)
        try:
            self._host.run(*_APT, "update", check=False, seconds=_INSTALL_SECONDS_MAX)
            self._host.run(*install, seconds=_INSTALL_SECONDS_MAX)
        finally:
            self._host.run("systemctl", "unmask", "--quiet", "etcd.service")
        self._host.run("systemctl", "disable", "--quiet", "etcd.service", check=False)
        self._host.changed.append("installed etcd")

    def _argv(self, spec: EtcdSpec) -> list[str]:
        folder = self._places.etcd
        peer, client = _url(spec.address, PEER_PORT), _url(spec.address, CLIENT_PORT)
        members = (f"{name}={_url(where, PEER_PORT)}" for name, where in spec.members.items())
        own = {
            "cert-file": folder / "member.pem",
            "key-file": folder / "member.key",
            "trusted-ca-file": folder / "ca.pem",
        }
        options = {
            "name": spec.name,
            "data-dir": self._data,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "listen-client-urls": f"{client},https://127.0.0.1:{CLIENT_PORT}",
            "advertise-client-urls": client,
            "initial-cluster": ",".join(members),
            "initial-cluster-token": spec.token,
            "auto-compaction-mode": "periodic",
            "auto-compaction-retention": _HISTORY,
            **own,
            **{f"peer-{name}": value for name, value in own.items()},
        }
        flags = ("--client-cert-auth", "--peer-client-cert-auth", "--logger=zap")
        program = shutil.which("etcd") or "/usr/bin/etcd"
        return [program, *(f"--{name}={value}" for name, value in options.items()), *flags]

    def _asked(self, *arguments: str, endpoint: str) -> Any:
        said = self._etcdctl(*arguments, "--write-out=json", f"--endpoints={endpoint}")
        try:
            return msgspec.json.decode(said)
        except msgspec.MsgspecError as error:
            raise C101Error(f"etcdctl {' '.join(arguments)}: {error}") from error

    def _etcdctl(self, *arguments: str, tool: str = "etcdctl") -> str:
        folder = self._places.etcd
        tls = ["--cacert", "ca.pem", "--cert", "client.pem", "--key", "client.key"]
        tls[1::2] = (str(folder / name) for name in tls[1::2])
        shown = () if arguments[0] == "snapshot" else tls
        return self._host.run("env", "ETCDCTL_API=3", tool, *arguments, *shown)


def _url(address: str, port: int) -> str:
    return f"https://{f'[{address}]' if ':' in address else address}:{port}"


def _version() -> tuple[int, ...]:
    done = subprocess.run(
        ("etcd", "--version"), capture_output=True, text=True, check=False, timeout=_CONNECT_SECONDS
    )
    numbers = done.stdout.partition(":")[2].split()[:1] or ["0"]
    return tuple(int(part) for part in numbers[0].split(".")[:2] if part.isdigit())


def _taken(address: str) -> Iterator[str]:
    """Say which of the ports cannot be had at *address*."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in (CLIENT_PORT, PEER_PORT):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
                probe.listen()
            except OSError as error:
                yield f"it cannot listen on {address}, port {port}: {error.strerror}"


def _unreachable(address: str) -> str:
    """Return why *address* is not reached; one that refuses is: nobody listens there yet."""
    try:
        with socket.create_connection((address, PEER_PORT), timeout=_CONNECT_SECONDS):
            return ""
    except ConnectionRefusedError:
        return ""
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
