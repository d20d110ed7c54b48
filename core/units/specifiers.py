"""``%i`` and its kin, as systemd.unit(5) documents them.

What comes from the unit's name can be expanded anywhere. What comes from a machine needs its
``HostFacts``: the scheduler decides before a machine is chosen, so requirements have only names.
An unknown specifier is refused: systemd leaves it as it stands, and ``date +%x`` does something
else after the next upgrade.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from c101.core.errors import C101Error
from c101.core.units.name import UnitName

_SPECIFIER = re.compile(r"%(.?)", re.DOTALL)
_HEX_ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{2})")


class SpecifierError(C101Error):
    """A ``%`` sequence means nothing here. Who knows the file and line says them."""

    code = "unit_file"

    def __init__(self, specifier: str, reason: str) -> None:
        super().__init__(f"{specifier}: {reason}", hint="write %% for a percent sign")
        self.specifier = specifier


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a machine fills in for a unit that runs there.

    ``user``, ``group``, ``uid``, ``gid``, ``home`` and ``shell`` are those of the unit runtime
    itself (systemd: of the user that runs the service manager), not of ``User=``.
    """

    machine_id: str = ""
    boot_id: str = ""
    hostname: str = ""
    kernel: str = ""
    architecture: str = ""
    user: str = "root"
    group: str = "root"
    uid: int = 0
    gid: int = 0
    home: str = "/root"
    shell: str = "/bin/sh"
    runtime_directory: str = "/run"
    state_directory: str = "/var/lib"
    cache_directory: str = "/var/cache"
    log_directory: str = "/var/log"
    configuration_directory: str = "/etc"
    temporary_directory: str = "/tmp"  # noqa: S108 - systemd's %T, overridden by $TMPDIR
    persistent_temporary_directory: str = "/var/tmp"  # noqa: S108 - systemd's %V


_FROM_NAME: Mapping[str, Callable[[UnitName], str]] = {
    "n": lambda name: name.full,
    "N": lambda name: name.stem,
    "p": lambda name: name.prefix,
    "P": lambda name: unescape(name.prefix),
    "i": lambda name: name.instance or "",
    "I": lambda name: unescape(name.instance or ""),
    "j": lambda name: name.prefix.rpartition("-")[2],
    "J": lambda name: unescape(name.prefix.rpartition("-")[2]),
    "f": lambda name: "/" + unescape(name.instance or name.prefix).lstrip("/"),
    "%": lambda _name: "%",
}
_FROM_HOST: Mapping[str, Callable[[HostFacts], str]] = {
    "m": lambda host: host.machine_id,
    "b": lambda host: host.boot_id,
    "H": lambda host: host.hostname,
    "l": lambda host: host.hostname.partition(".")[0],
    "v": lambda host: host.kernel,
    "a": lambda host: host.architecture,
    "u": lambda host: host.user,
    "U": lambda host: str(host.uid),
    "g": lambda host: host.group,
    "G": lambda host: str(host.gid),
    "h": lambda host: host.home,
    "s": lambda host: host.shell,
    "t": lambda host: host.runtime_directory,
    "S": lambda host: host.state_directory,
    "C": lambda host: host.cache_directory,
    "L": lambda host: host.log_directory,
    "E": lambda host: host.configuration_directory,
    "T": lambda host: host.temporary_directory,
    "V": lambda host: host.persistent_temporary_directory,
}


def expand(value: str, name: UnitName, *, host: HostFacts | None = None) -> str:
    """Return *value* with every specifier replaced, from *name* and, when given, from *host*.

    Raises SpecifierError: unknown, or it needs a machine and none is given.
    """

    def replace(match: re.Match[str]) -> str:
        return _one(match[1], name, host)

    return _SPECIFIER.sub(replace, value) if "%" in value else value


def _one(letter: str, name: UnitName, host: HostFacts | None) -> str:
    if letter in _FROM_NAME:
        return _FROM_NAME[letter](name)
    if not letter:
        raise SpecifierError("%", "a percent sign at the end of a value")
    if letter not in _FROM_HOST:
        raise SpecifierError(f"%{letter}", "unknown specifier")
    if host is None:
        allowed = " ".join(f"%{known}" for known in _FROM_NAME)
        reason = f"differs between machines, so the scheduler cannot use it; {allowed} can be used"
        raise SpecifierError(f"%{letter}", reason)
    return _FROM_HOST[letter](host)


def unescape(text: str) -> str:
    r"""Undo systemd-escape: ``-`` is a slash, ``\xHH`` a byte."""
    raw = text.replace("-", "/").encode(errors="surrogateescape")
    plain = _HEX_ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), raw)
    return plain.decode(errors="surrogateescape")
