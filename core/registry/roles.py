"""What each role may read and write: the viewer, the operator, and the agent of one machine.

All of them read everything but secrets. Of these an agent reads, one by one, those that units name
which are placed on its machine. Outside the cluster's own keys, where applications keep theirs, an
operator and an agent may write what they like (an agent's socket is also what its machine's
programs use). Under the prefix each has its own few keys and no others:

====================  ===========================================================================
viewer                nothing
operator              ``units/<name>/target``, ``units/<name>/restart``, ``machines/<id>/intent``
agent-<machine>       ``machines/<machine>/presence``, ``states/<unit>/<machine>``
====================  ===========================================================================

A unit's file is code that root runs on every machine: to write one is for admins.
"""

from collections.abc import Callable, Collection

from c101.core.registry.keyspace import Keyspace

VIEWER = "viewer"
OPERATOR = "operator"
_AGENT = "agent-"

_OPERATORS = frozenset({"unit_target", "unit_restart", "machine_intent"})


def agent_role(machine_id: str) -> str:
    """Return the role of the agent of a machine."""
    return _AGENT + machine_id


#: Says which secrets the units of a machine name.
Named = Callable[[str], Collection[str]]


class _Secrets:
    """The keys of secrets."""

    def __init__(self, keyspace: Keyspace) -> None:
        self._first = keyspace.secrets.encode()
        # The first key after all of them: the slash at their prefix's end, raised.
        self._end = self._first[:-1] + bytes([self._first[-1] + 1])

    def touched_by(self, key: bytes, range_end: bytes) -> bool:
        """Say whether a request is about one of them, or a range that has room for some."""
        if not range_end:
            return self._first <= key < self._end
        return key < self._end and (range_end == b"\0" or range_end > self._first)

    def name(self, key: bytes) -> str:
        """Return which one a key is of; "" for none that can be."""
        name = key[len(self._first) :].decode("utf-8", "replace")
        return name if Keyspace.may_name(name) else ""


class ReadableKeys:
    """The keys that *role* may read; *named* says what an agent's units name."""

    def __init__(self, role: str, keyspace: Keyspace, named: Named) -> None:
        self._secrets = _Secrets(keyspace)
        self._machine_id = role.removeprefix(_AGENT) if role.startswith(_AGENT) else None
        self._named = named

    def covers(self, key: bytes, range_end: bytes) -> bool:
        """Say whether a request may read *key*, or with *range_end* all keys from it up to there.

        A range with room for a secret is permitted to nobody.
        """
        if not self._secrets.touched_by(key, range_end):
            return True
        if range_end or self._machine_id is None:
            return False
        return self._secrets.name(key) in self._named(self._machine_id)


class WritableKeys:
    """The keys that *role* may write."""

    def __init__(self, role: str, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
        self._secrets = _Secrets(keyspace)
        self._prefix = keyspace.prefix.encode()
        # The first key after all that begin with the prefix: its last byte, a slash, raised.
        self._prefix_end = self._prefix[:-1] + bytes([self._prefix[-1] + 1])
        self._outside = role != VIEWER
        self._kinds = _OPERATORS if role == OPERATOR else frozenset()
        self._machine_id = role.removeprefix(_AGENT) if role.startswith(_AGENT) else None

    def covers(self, key: bytes, range_end: bytes) -> bool:
        r"""Say whether a request may write *key*, or with *range_end* all keys from it up to there.

        A range is permitted outside the prefix only; ``\0`` is all keys from *key* on.
        """
        if self._secrets.touched_by(key, range_end):
            return False
        if range_end:
            below = range_end != b"\0" and range_end <= self._prefix
            return self._outside and (below or key >= self._prefix_end)
        if not self._prefix <= key < self._prefix_end:
            return self._outside
        parsed = self._keyspace.parse(key)
        if parsed is None:
            return False
        if self._machine_id is None:
            return parsed.kind in self._kinds
        own = parsed.machine_id == self._machine_id
        return own and parsed.kind in {"machine_presence", "state"}
