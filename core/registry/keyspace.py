"""Every key path of the cluster: built here, parsed here, nowhere else.

Layout (see docs/keyspace.md), under a prefix that is ``/c101/`` unless configured::

    machines/<id>/record        durable, written by admins and the engine
    machines/<id>/presence      under the agent's lease
    machines/<id>/intent        cordon, drain, metadata overrides
    units/<name>/file           the unit file's text
    units/<name>/target         inactive | loaded | launched
    units/<name>/restart        the id of the latest restart asked for
    units/<name>/placement      machine id, reason, since
    destroyed/<unit>            when a unit was destroyed: what is missing without it is kept
    running
    states/<unit>/<machine>     under the agent's lease
    lease/engine-leader         under the engine's lease
    engine/guard                the cluster id and revision the engine last acted on
    kv/moved                    from which KV the cluster was moved to this one

Registrations of applications live outside it: ``/services/<name>/<instance>``. So do secrets, after
all keys that begin with a slash: ``c101-secrets/c101/<name>``. Who reads all that begins with one,
as people and programs do, does not come upon them.
"""

import re
from dataclasses import dataclass

from c101.core.errors import InvalidNameError

DEFAULT_PREFIX = "/c101/"
SERVICES_PREFIX = "/services/"
#: What every secret's key begins with, whatever the cluster's prefix.
SECRETS_PREFIX = "c101-secrets"

_SEGMENT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,256}")


@dataclass(frozen=True, slots=True)
class ParsedKey:
    """A key under the prefix: its kind (``unit_file``, ``state`` ...) and the names in it."""

    kind: str
    name: str
    machine_id: str = ""


_UNIT_PARTS = {
    "file": "unit_file",
    "target": "unit_target",
    "restart": "unit_restart",
    "placement": "unit_placement",
}
_MACHINE_PARTS = {
    "record": "machine_record",
    "presence": "machine_presence",
    "intent": "machine_intent",
}


def _segment(text: str) -> str:
    if not Keyspace.may_name(text):
        raise InvalidNameError(f"not a name for a key: {text[:256]!r}")
    return text


_ENGINE_PARTS = {"lease/engine-leader": "engine_leader", "engine/guard": "engine_guard"}


@dataclass(frozen=True, slots=True)
class Keyspace:
    """The paths under one prefix. A name that cannot be in a path raises InvalidNameError."""

    prefix: str = DEFAULT_PREFIX

    def __post_init__(self) -> None:
        if not (self.prefix.startswith("/") and self.prefix.endswith("/")):
            raise ValueError(f"a prefix begins and ends with a slash: {self.prefix!r}")

    @property
    def units(self) -> str:
        """Prefix of everything about units."""
        return f"{self.prefix}units/"

    @property
    def machines(self) -> str:
        """Prefix of everything about machines."""
        return f"{self.prefix}machines/"

    @property
    def states(self) -> str:
        """Prefix of every reported state."""
        return f"{self.prefix}states/"

    @property
    def engine_leader(self) -> str:
        """Who schedules."""
        return f"{self.prefix}lease/engine-leader"

    @property
    def engine_guard(self) -> str:
        """What the engine last acted on."""
        return f"{self.prefix}engine/guard"

    @property
    def secrets(self) -> str:
        """Prefix of every secret."""
        return f"{SECRETS_PREFIX}{self.prefix}"

    def secret(self, name: str) -> str:
        """Value of a secret."""
        return self.secrets + _segment(name)

    @property
    def kv_moved(self) -> str:
        """From which KV the cluster was moved to this one."""
        return f"{self.prefix}kv/moved"

    def unit(self, name: str) -> str:
        """Prefix of one unit's keys."""
        return f"{self.prefix}units/{_segment(name)}/"

    def unit_file(self, name: str) -> str:
        """Text of a unit file."""
        return self.unit(name) + "file"

    def unit_target(self, name: str) -> str:
        """Target state of a unit."""
        return self.unit(name) + "target"

    def unit_restart(self, name: str) -> str:
        """Id of the latest restart asked for."""
        return self.unit(name) + "restart"

    def unit_placement(self, name: str) -> str:
        """Where a unit was put."""
        return self.unit(name) + "placement"

    def unit_destroyed(self, name: str) -> str:
        """When a unit was destroyed, seconds since 1970; gone once it is submitted anew."""
        return f"{self.prefix}destroyed/{_segment(name)}"

    def unit_states(self, name: str) -> str:
        """Prefix of one unit's states."""
        return f"{self.prefix}states/{_segment(name)}/"

    def unit_state(self, name: str, machine_id: str) -> str:
        """State of a unit on a machine."""
        return self.unit_states(name) + _segment(machine_id)

    def machine(self, machine_id: str) -> str:
        """Prefix of one machine's keys."""
        return f"{self.prefix}machines/{_segment(machine_id)}/"

    def machine_record(self, machine_id: str) -> str:
        """Durable record of a machine."""
        return self.machine(machine_id) + "record"

    def machine_presence(self, machine_id: str) -> str:
        """Presence of a machine."""
        return self.machine(machine_id) + "presence"

    def machine_intent(self, machine_id: str) -> str:
        """What operators want of a machine."""
        return self.machine(machine_id) + "intent"

    @staticmethod
    def may_name(text: str) -> bool:
        """Say whether *text* may be a name in a path."""
        return _SEGMENT.fullmatch(text) is not None and text not in {".", ".."}

    def parse(self, key: bytes) -> ParsedKey | None:
        """Say what *key* is; ``None`` for a key outside the prefix or of no kind known here."""
        try:
            text = key.decode()
        except UnicodeDecodeError:
            return None
        if not text.startswith(self.prefix):
            return None
        return _kind(text[len(self.prefix) :].split("/"))


def _kind(parts: list[str]) -> ParsedKey | None:
    match parts:
        case ["units", name, part] if part in _UNIT_PARTS:
            return ParsedKey(_UNIT_PARTS[part], name)
        case ["machines", machine_id, part] if part in _MACHINE_PARTS:
            return ParsedKey(_MACHINE_PARTS[part], machine_id, machine_id)
        case ["states", name, machine_id]:
            return ParsedKey("state", name, machine_id)
        case ["destroyed", name]:
            return ParsedKey("unit_destroyed", name)
        case _:
            kind = _ENGINE_PARTS.get("/".join(parts))
            return ParsedKey(kind, "") if kind is not None else None
