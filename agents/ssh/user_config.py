"""The user's own ssh configuration, as far as it is looked at before asyncssh reads it.

Which hosts it names, and what it says to OpenSSH that our client does not honour. That is named
rather than passed over: somebody relies on it. ``StrictHostKeyChecking`` would have hosts trusted
that we refuse; the Control directives would share a connection that we make ourselves.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

#: In lower case, as asyncssh 2.24 leaves them; those with no meaning for us are not here.
DIRECTIVES = {
    one.lower(): one
    for one in (
        "ControlMaster", "ControlPath", "ControlPersist", "DynamicForward", "KnownHostsCommand",
        "LocalForward", "RemoteForward", "RevokedHostKeys", "StrictHostKeyChecking",
        "VerifyHostKeyDNS",
    )
}  # fmt: skip


def named_hosts() -> set[str]:
    """Return the names that it has a ``Host`` of; patterns are none."""
    found: set[str] = set()
    for _, word, names in _lines(_read()):
        if word == "host":
            found.update(name for name in names if not set(name) & set("*?!"))
    return found


def in_user_config(host: str) -> list[str]:
    """Return a line for each directive in vain that holds for *host*: file, line, directive."""
    return [
        f"{_path()}:{number}: {name} is not honoured" for number, name in unhonoured(_read(), host)
    ]


def unhonoured(text: str, host: str) -> Iterator[tuple[int, str]]:
    """Give line and name of each such directive of a configuration that may hold for *host*.

    A ``Match`` is taken to hold: what it asks is not asked here.
    """
    holds = True
    for number, word, values in _lines(text):
        if word == "host":
            holds = _matches(values, host)
        elif word == "match":
            holds = True
        elif holds and word in DIRECTIVES:
            yield number, DIRECTIVES[word]


def _path() -> Path:
    return Path.home() / ".ssh" / "config"


def _read() -> str:
    try:
        return _path().read_text(errors="replace")
    except OSError:
        return ""


def _lines(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Give of each line its number, its keyword in lower case, and what follows."""
    for number, line in enumerate(text.splitlines(), 1):
        word, *values = line.replace("=", " ", 1).split() or [""]
        yield number, word.lower(), values


def _matches(patterns: list[str], host: str) -> bool:
    found = False
    for pattern in patterns:
        if fnmatchcase(host.lower(), pattern.lstrip("!").lower()):
            if pattern.startswith("!"):
                return False
            found = True
    return found
