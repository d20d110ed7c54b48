"""What units find in their environment besides what their files say."""

import re
from collections.abc import Mapping

from c101.agents.runtime.systemd.quote import quoted
from c101.core.units.file import UnitFile

_HEAD = "# Added by c101: how the cluster is reached.\n[Service]\n"


def with_environment(file: UnitFile, environment: Mapping[str, str]) -> str:
    """Return the text of a service with *environment* added to what it sets itself.

    It comes behind all else, so that what systemd says of a line names the line its author knows.
    """
    own = " ".join(file.get("Service", "Environment"))
    added = [
        f"Environment={quoted(f'{name}={value}')}\n"
        for name, value in sorted(environment.items())
        if not re.search(rf"(?:^|[\s\"']){re.escape(name)}=", own)
    ]
    return file.text if not added else f"{file.text}\n\n{_HEAD}{''.join(added)}"
