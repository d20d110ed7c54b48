"""What units find in their environment besides what their files say."""

import re
from collections.abc import Mapping

from c101.core.units.file import UnitFile

_HEAD = "# Added by c101: how the cluster is reached.\n[Service]\n"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def with_environment(file: UnitFile, environment: Mapping[str, str]) -> str:
    """Return the text of a service with *environment* added to what it sets itself.

    It comes behind all else, so that what systemd says of a line names the line its author knows.
    """
    own = " ".join(file.get("Service", "Environment"))
    added = [
        f"Environment={_quoted(name, value)}\n"
        for name, value in sorted(environment.items())
        if not re.search(rf"(?:^|[\s\"']){re.escape(name)}=", own)
    ]
    return file.text if not added else f"{file.text}\n\n{_HEAD}{''.join(added)}"


def _quoted(name: str, value: str) -> str:
    """Return an assignment as systemd reads it: quoted, its specifiers not expanded."""
    assert _NAME.fullmatch(name), name
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    assert escaped.isprintable(), "a value is one line of text"
    return f'"{name}={escaped}"'
