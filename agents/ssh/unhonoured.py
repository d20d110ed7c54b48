"""What the user's ssh configuration says to OpenSSH that our client does not honour.

Named rather than passed over: somebody relies on it. ``StrictHostKeyChecking`` would have hosts
trusted that we refuse; the Control directives would share a connection that we make ourselves.
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


def in_user_config(host: str) -> list[str]:
    """Return a line for each of them that holds for *host*: file, line, directive."""
    path = Path.home() / ".ssh" / "config"
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return []
    return [f"{path}:{number}: {name} is not honoured" for number, name in unhonoured(text, host)]


def unhonoured(text: str, host: str) -> Iterator[tuple[int, str]]:
    """Give line and name of each such directive of a configuration that may hold for *host*.

    A ``Match`` is taken to hold: what it asks is not asked here.
    """
    holds = True
    for number, line in enumerate(text.splitlines(), 1):
        word, *values = line.replace("=", " ", 1).split() or [""]
        match word.lower():
            case "host":
                holds = _matches(values, host)
            case "match":
                holds = True
            case name if holds and name in DIRECTIVES:
                yield number, DIRECTIVES[name]


def _matches(patterns: list[str], host: str) -> bool:
    found = False
    for pattern in patterns:
        if fnmatchcase(host.lower(), pattern.lstrip("!").lower()):
            if pattern.startswith("!"):
                return False
            found = True
    return found
