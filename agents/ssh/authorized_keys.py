"""``authorized_keys`` as the gateway honours it: OpenSSH's format (sshd(8)), denied by default.

asyncssh parses the file but enforces nothing of it, so it is parsed here. A key reaches the relay
of its forced command (``command=``) and the sockets it is given by name (``c101-socket=``), and
nothing else. Options that would only widen or narrow what the gateway never grants (``pty``,
``port-forwarding``, ``permitopen=`` …) are understood and change nothing. An option that is not
understood refuses its key, because it may be there to restrict it. So does a malformed line.
"""

import calendar
import fnmatch
import ipaddress
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from c101.agents.ssh.public_key import KEY_TYPES, PublicKey, parse_public_key

LINE_CHARACTERS_MAX = 16_384
KEYS_MAX = 4_096

#: What OpenSSH knows and this gateway never grants, whatever a key says (all lower case).
_WITHOUT_EFFECT = frozenset(
    {
        "agent-forwarding",
        "no-agent-forwarding",
        "no-port-forwarding",
        "no-pty",
        "no-touch-required",
        "no-user-rc",
        "no-x11-forwarding",
        "port-forwarding",
        "pty",
        "restrict",
        "user-rc",
        "x11-forwarding",
    }
)
_WITHOUT_EFFECT_VALUED = frozenset({"permitopen", "permitlisten", "tunnel"})
_OPTION_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_EXPIRY = re.compile(r"(\d{8})(\d{4}(?:\d{2})?)?(Z?)")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizedKey:
    """One line: the key, and all that it may reach.

    ``expires`` is seconds since 1970. ``sources`` are the patterns of ``from=``; empty is anywhere.
    """

    key: PublicKey
    line_number: int
    command: str | None = None
    sockets: frozenset[str] = frozenset()
    sources: tuple[str, ...] = ()
    expires: float | None = None
    comment: str = ""

    def is_valid(self, address: str, now: float) -> bool:
        """Say whether the key may be used from *address* at *now*."""
        if self.expires is not None and now >= self.expires:
            return False
        return not self.sources or matches_source(self.sources, address)


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that gives nobody anything, and why."""

    line_number: int
    reason: str


@dataclass(frozen=True, slots=True)
class AuthorizedKeys:
    """A file of keys, parsed."""

    keys: tuple[AuthorizedKey, ...] = ()
    refused: tuple[RefusedLine, ...] = ()

    def find(self, blob: bytes, address: str, now: float) -> AuthorizedKey | None:
        """Return the first line of the key that is valid from *address* at *now*."""
        for entry in self.keys:
            if entry.key.blob == blob and entry.is_valid(address, now):
                return entry
        return None


def parse_authorized_keys(text: str) -> AuthorizedKeys:
    """Parse a whole file. Never raises: what cannot be honoured is in ``refused``."""
    keys: list[AuthorizedKey] = []
    refused: list[RefusedLine] = []
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip(" \t\r")
        if not line or line.startswith("#"):
            continue
        if len(keys) >= KEYS_MAX:
            refused.append(RefusedLine(number, f"more than {KEYS_MAX} keys"))
            break
        try:
            keys.append(_parse_line(line, number))
        except ValueError as error:
            refused.append(RefusedLine(number, str(error)))
    return AuthorizedKeys(tuple(keys), tuple(refused))


def matches_source(patterns: Iterable[str], address: str) -> bool:
    """Match *address* against a ``from=`` list: addresses, CIDR blocks, ``*?`` patterns, ``!``.

    Host names are never looked up: a name in the list matches nobody. A negated match refuses
    whatever else matches, and a list of negations only matches nobody (ssh_config(5), PATTERNS).
    """
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped  # a socket for both families names IPv4 sources so
    found = False
    for pattern in patterns:
        negated = pattern.startswith("!")
        if _matches_one(pattern.removeprefix("!"), ip):
            if negated:
                return False
            found = True
    return found


def _matches_one(pattern: str, ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if "/" in pattern:
        return ip in ipaddress.ip_network(pattern)
    if "[" in pattern:
        return False  # fnmatch's sets are not OpenSSH's
    return fnmatch.fnmatchcase(str(ip), pattern.lower())


def _parse_line(line: str, number: int) -> AuthorizedKey:
    if len(line) > LINE_CHARACTERS_MAX:
        raise ValueError("the line is too long")
    if line.partition(" ")[0] in KEY_TYPES:
        options: list[tuple[str, str | None]] = []
        rest = line
    else:
        options, rest = _split_options(line)
    key = parse_public_key(rest)
    comment = " ".join(rest.split(None, 2)[2:])
    return _apply(options, AuthorizedKey(key=key, line_number=number, comment=comment))


def _split_options(line: str) -> tuple[list[tuple[str, str | None]], str]:
    r"""Split the head of a line into (name, value or None); values are quoted, with ``\"`` inside.

    ``restrict,command="a \"b\"" ssh-ed25519 AAAA`` is
    ``[("restrict", None), ("command", 'a "b"')]`` and the rest.
    """
    options: list[tuple[str, str | None]] = []
    position = 0
    while True:
        match = _OPTION_NAME.match(line, position)
        if match is None:
            raise ValueError("an option has no name")
        name, position = match.group().lower(), match.end()
        value: str | None = None
        if line[position : position + 1] == "=":
            value, position = _quoted(line, position + 1, name)
        options.append((name, value))
        following = line[position : position + 1]
        if following in {" ", "\t"}:
            return options, line[position:].strip()
        if following != ",":
            raise ValueError(f"after the option {name} comes neither a comma nor a key")
        position += 1


def _quoted(line: str, position: int, name: str) -> tuple[str, int]:
    if line[position : position + 1] != '"':
        raise ValueError(f"the value of {name} is not quoted")
    characters: list[str] = []
    position += 1
    while position < len(line):
        if line.startswith('\\"', position):
            characters.append('"')
            position += 2
        elif line[position] == '"':
            return "".join(characters), position + 1
        else:
            characters.append(line[position])
            position += 1
    raise ValueError(f"the value of {name} has no end")


def _apply(options: list[tuple[str, str | None]], key: AuthorizedKey) -> AuthorizedKey:
    seen: dict[str, str] = {}
    sockets: set[str] = set()
    for name, value in options:
        if name in (_WITHOUT_EFFECT if value is None else _WITHOUT_EFFECT_VALUED):
            continue
        if value is None or name not in {"command", "from", "expiry-time", "c101-socket"}:
            raise ValueError(f"the option {name} is not understood")
        if name == "c101-socket":
            sockets.add(_socket(value))
        elif name in seen:
            raise ValueError(f"the option {name} is given twice")
        else:
            seen[name] = value
    return replace(
        key,
        command=seen.get("command"),
        sockets=frozenset(sockets),
        sources=_sources(seen["from"]) if "from" in seen else (),
        expires=_expiry(seen["expiry-time"]) if "expiry-time" in seen else None,
    )


def _sources(value: str) -> tuple[str, ...]:
    patterns = tuple(value.split(","))
    for pattern in patterns:
        bare = pattern.removeprefix("!")
        if not bare or any(character.isspace() for character in bare):
            raise ValueError(f"a pattern of from is empty or has a space: {value!r}")
        if "/" in bare:
            try:
                ipaddress.ip_network(bare)
            except ValueError as error:
                raise ValueError(f"from: {error}") from error
    return patterns


def _socket(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/") or "\0" in value:
        raise ValueError(f"c101-socket is not an absolute path: {value!r}")
    return value


def _expiry(value: str) -> float:
    """Read ``YYYYMMDD[HHMM[SS]][Z]``: local time, or UTC with the Z."""
    match = _EXPIRY.fullmatch(value)
    if match is None:
        raise ValueError(f"expiry-time is not YYYYMMDD[HHMM[SS]][Z]: {value!r}")
    day, hours, zone = match.groups()
    try:
        moment = time.strptime(day + (hours or "0000").ljust(6, "0"), "%Y%m%d%H%M%S")
    except ValueError as error:
        raise ValueError(f"expiry-time is no date: {value!r}") from error
    return float(calendar.timegm(moment)) if zone else time.mktime(moment)
