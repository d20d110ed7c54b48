"""Which agents are let in to the KV's host: lines of one ``authorized_keys``.

A line's forced command opens the socket of one machine's role; ``restrict`` takes away all else
that a key could do. A machine has one line, that of its present key.
"""

import re

from c101.agents.ssh.public_key import parse_public_key
from c101.core.errors import ConfigError

_MACHINE_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_LINE = 'restrict,command="{program} --socket-dir {sockets} --stdio agent-{machine}" {key}\n'


def admit(text: str, machine_id: str, key: str, *, program: str, sockets: str) -> str:
    """Return the file's *text* with *key* let in as the agent of *machine_id*.

    Raises ConfigError: no machine id, or no public key.
    """
    try:
        line = parse_public_key(key).line
    except ValueError as error:
        raise ConfigError(f"the agent's key: {error}") from error
    wanted = _LINE.format(program=program, sockets=sockets, machine=_checked(machine_id), key=line)
    rest = dismiss(text, machine_id)
    # The line that is there stays where it is.
    return text if wanted in text and len(rest) + len(wanted) == len(text) else rest + wanted


def dismiss(text: str, machine_id: str) -> str:
    """Return the file's *text* without the agent of *machine_id*. Raises ConfigError."""
    mark = f'--stdio agent-{_checked(machine_id)}" '
    return "".join(line for line in text.splitlines(keepends=True) if mark not in line)


def _checked(machine_id: str) -> str:
    if not _MACHINE_ID.fullmatch(machine_id):
        raise ConfigError(f"not a machine's id: {machine_id[:80]!r}")
    return machine_id
