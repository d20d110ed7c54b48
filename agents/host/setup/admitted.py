"""Which agents are let in to the KV's host: lines of one ``authorized_keys``.

A line's forced command opens the socket of one machine's role; ``restrict`` takes away all else
that a key could do. A machine has a line, and two while its key is being changed.
"""

import re
from collections.abc import Sequence

from c101.agents.ssh.public_key import parse_public_key
from c101.core.errors import ConfigError

_MACHINE_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def admit(text: str, machine_id: str, keys: Sequence[str], *, program: str, sockets: str) -> str:
    """Return the file's *text* with exactly *keys* let in as the agent of *machine_id*.

    Raises ConfigError: no machine id, or no public key.
    """
    if not _MACHINE_ID.fullmatch(machine_id):
        raise ConfigError(f"not a machine's id: {machine_id[:80]!r}")
    role = f"agent-{machine_id}"
    command = f"{program} --socket-dir {sockets} --stdio {role}"
    wanted = [f'restrict,command="{command}" {_line(key)}\n' for key in keys]
    lines = text.splitlines(keepends=True)
    # A line that is there stays where it is.
    kept = [one for one in lines if f'--stdio {role}" ' not in one or one in wanted]
    return "".join([*kept, *(one for one in dict.fromkeys(wanted) if one not in kept)])


def _line(key: str) -> str:
    try:
        return parse_public_key(key).line
    except ValueError as error:
        raise ConfigError(f"the agent's key: {error}") from error
