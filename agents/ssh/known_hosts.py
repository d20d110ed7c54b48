"""``known_hosts`` (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT): whose key is whose.

Names, ``[name]:port``, ``*?`` patterns, ``!`` negation, hashed names, ``@cert-authority`` and
``@revoked``. Hosts are looked up by name as OpenSSH does since 8.5 (CheckHostIP=no), and each key
keeps the file and line it came from, so that a refusal can name them.
"""

import base64
import binascii
import fnmatch
import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from c101.agents.ssh.public_key import PublicKey, parse_public_key
from c101.core.errors import ConfigError, HostKeyError

FILE_BYTES_MAX = 16 * 1024 * 1024
SSH_PORT = 22

_HOST = re.compile(r"(?!-)[A-Za-z0-9._:%-]{1,253}")
_USER = re.compile(r"(?!-)[A-Za-z0-9._@-]{1,64}")


class UnknownHostError(HostKeyError):
    """No file names the key of a host: *name* is what it would be called there."""

    code = "unknown_host"

    def __init__(self, message: str, *, name: str, key: PublicKey) -> None:
        super().__init__(message, hint=f"if that is its key: c101ctl hosts trust {_typed(name)}")
        self.name = name
        self.key = key


def _typed(name: str) -> str:
    """Return ``host:port`` for ``[host]:port``, as people type it."""
    host, bracket, port = name.removeprefix("[").partition("]:")
    return f"{host}:{port}" if bracket else name


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key with where it was found: ``/home/me/.ssh/known_hosts:12``, or ``pinned``."""

    key: PublicKey
    source: str


@dataclass(frozen=True, slots=True)
class KnownHost:
    """All that is known of one host. Keys of ``authorities`` sign host certificates."""

    keys: tuple[KnownKey, ...] = ()
    authorities: tuple[KnownKey, ...] = ()
    revoked: tuple[KnownKey, ...] = ()

    @property
    def is_known(self) -> bool:
        """Say whether anything could make this host's key good."""
        return bool(self.keys or self.authorities)


@dataclass(frozen=True, slots=True)
class _Line:
    hosts: str
    marker: str
    known: KnownKey


class KnownHosts:
    """The lines of one or more files."""

    def __init__(self, lines: Iterable[_Line] = ()) -> None:
        self._lines = tuple(lines)

    def lookup(self, host: str, port: int = SSH_PORT) -> KnownHost:
        """Return what is known of *host*; lines without a port serve where none names the port.

        A revocation without a port holds for every port.
        """
        plain = self._find(host.lower())
        if port == SSH_PORT:
            return plain
        found = self._find(f"[{host.lower()}]:{port}")
        best = found if found.is_known else plain
        return replace(best, revoked=found.revoked + plain.revoked)

    def _find(self, name: str) -> KnownHost:
        found: dict[str, list[KnownKey]] = {"": [], "@cert-authority": [], "@revoked": []}
        for line in self._lines:
            if _names(line.hosts, name):
                found[line.marker].append(line.known)
        return KnownHost(
            tuple(found[""]), tuple(found["@cert-authority"]), tuple(found["@revoked"])
        )


def pinned(host: KnownHost, keys: Iterable[str]) -> KnownHost:
    """Return *host* with nothing trusted but *keys* (public key lines); revocations stay.

    Raises ConfigError when a pinned key is malformed.
    """
    try:
        trusted = tuple(KnownKey(parse_public_key(line), "pinned") for line in keys)
    except ValueError as error:
        raise ConfigError(f"a pinned host key is malformed: {error}") from error
    return KnownHost(trusted, (), host.revoked)


def load_known_hosts(paths: Iterable[Path]) -> KnownHosts:
    """Read the files that exist. Raises ConfigError for one that cannot be read.

    A file that is there and not readable may hold a revocation, so it is not passed over.
    """
    lines: list[_Line] = []
    for path in paths:
        try:
            with path.open("rb") as file:
                text = file.read(FILE_BYTES_MAX + 1)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
        if len(text) > FILE_BYTES_MAX:
            raise ConfigError(f"{path} is larger than {FILE_BYTES_MAX} bytes")
        lines.extend(parse_known_hosts(text.decode("utf-8", "replace"), str(path)))
    return KnownHosts(lines)


def parse_known_hosts(text: str, source: str) -> list[_Line]:
    """Parse one file; lines that OpenSSH would pass over (malformed, unknown type) are."""
    lines: list[_Line] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        marker = ""
        if line.startswith("@"):
            marker, _, line = line.partition(" ")
            if marker not in {"@cert-authority", "@revoked"}:
                continue
        hosts, _, key = line.strip().partition(" ")
        try:
            known = KnownKey(parse_public_key(key), f"{source}:{number}")
        except ValueError:
            continue
        lines.append(_Line(hosts, marker, known))
    return lines


def known_hosts_line(host: str, port: int, key: PublicKey) -> str:
    """Return the line that makes *key* the key of *host*."""
    name = host if port == SSH_PORT else f"[{host}]:{port}"
    return f"{name} {key.line}"


def check_host(host: str) -> str:
    """Return *host* if it may be one. Raises ConfigError: a leading dash would be an option."""
    if not _HOST.fullmatch(host):
        raise ConfigError(f"not a host name or address: {host[:80]!r}")
    return host


def check_user(user: str) -> str:
    """Return *user* if it may be a login name. Raises ConfigError."""
    if not _USER.fullmatch(user):
        raise ConfigError(f"not a login name: {user[:80]!r}")
    return user


def _names(hosts: str, name: str) -> bool:
    if hosts.startswith("|"):
        return _hashed(hosts, name)
    found = False
    for pattern in hosts.lower().split(","):
        if _matches(pattern.removeprefix("!"), name):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def _matches(pattern: str, name: str) -> bool:
    # "[" is literal here (``[host]:port``) and opens a set for fnmatch.
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def _hashed(field: str, name: str) -> bool:
    """Match ``|1|SALT|HMAC-SHA1(SALT, NAME)``."""
    try:
        _, version, salt, digest = field.split("|")
        expected = base64.b64decode(digest, validate=True)
        key = base64.b64decode(salt, validate=True)
    except (ValueError, binascii.Error):
        return False
    if version != "1":
        return False
    return hmac.compare_digest(hmac.new(key, name.encode(), hashlib.sha1).digest(), expected)
