"""The host keys of this host's sshd: made anew beside those that it has, then put in their place.

sshd reads them when it is told to; connections that stand go on.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from c101.agents.host.setup.host import Host
from c101.agents.host.setup.spec import Trusted
from c101.core.errors import ConfigError

_NEW: Final = ".c101-new"
_NAME: Final = re.compile(r"ssh_host_(rsa|ecdsa|ed25519)_key")
#: Debian's name of the service, and everybody else's.
_SERVICES: Final = ("ssh.service", "sshd.service")


class HostKeys:
    """Those in *folder*, ``/etc/ssh``."""

    def __init__(self, folder: Path, host: Host) -> None:
        self._folder = folder
        self._host = host

    def make(self) -> tuple[str, ...]:
        """Return the public keys that are to come, a kind each that there is; made once.

        Raises ConfigError: there is none to take the place of. C101Error: one cannot be made.
        """
        found = []
        for path, kind in self._own():
            fresh = path.with_name(path.name + _NEW)
            if not fresh.exists():
                options = ("-q", "-t", kind, "-N", "", "-C", "")
                self._host.run("ssh-keygen", *options, "-f", str(fresh))
                self._host.changed.append(f"made {fresh}")
            found.append(_public(fresh).read_text().strip())
        if not found:
            raise ConfigError(f"{self._folder} has no host keys")
        return tuple(found)

    def use(self) -> None:
        """Have sshd use those that were made. Raises C101Error: it would not take them."""
        changed = False
        for path, _ in self._own():
            fresh = path.with_name(path.name + _NEW)
            if fresh.exists():
                _public(fresh).replace(_public(path))
                fresh.replace(path)
                self._host.changed.append(f"changed {path}")
                changed = True
        if changed:
            self._host.run("sshd", "-t")
            for service in _SERVICES:
                if self._host.run("systemctl", "is-active", service, check=False) == "active":
                    self._host.run("systemctl", "reload", service)
                    return

    def _own(self) -> list[tuple[Path, str]]:
        found = ((path, _NAME.fullmatch(path.name)) for path in sorted(self._folder.iterdir()))
        return [(path, match[1]) for path, match in found if match]


def _public(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


def with_keys(lines: Sequence[str], trusted: Trusted) -> tuple[str, ...]:
    """Return *lines* of known_hosts with a host's keys changed, by whatever names it has there."""
    found: dict[str, None] = {}
    keys = trusted.after if trusted.alone else (*trusted.before, *trusted.after)
    for line in lines:
        name, _, key = line.partition(" ")
        if key in trusted.before or key in trusted.after:
            found.update(dict.fromkeys(f"{name} {one}" for one in keys))
        else:
            found[line] = None
    return tuple(found)
