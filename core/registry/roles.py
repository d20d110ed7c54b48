"""What each role may write: the viewer, the operator, and the agent of one machine.

All of them read everything. Outside the cluster's own keys, where applications keep theirs, an
operator and an agent may write what they like (an agent's socket is also what its machine's
programs use). Under the prefix each has its own few keys and no others:

====================  ===========================================================================
viewer                nothing
operator              ``units/<name>/target``, ``units/<name>/restart``, ``machines/<id>/intent``
agent-<machine>       ``machines/<machine>/presence``, ``states/<unit>/<machine>``
====================  ===========================================================================

A unit's file is code that root runs on every machine: to write one is for admins.
"""

from c101.core.registry.keyspace import Keyspace

VIEWER = "viewer"
OPERATOR = "operator"
_AGENT = "agent-"

_OPERATORS = frozenset({"unit_target", "unit_restart", "machine_intent"})


def agent_role(machine_id: str) -> str:
    """Return the role of the agent of a machine."""
    return _AGENT + machine_id


class WritableKeys:
    """The keys that *role* may write."""

    def __init__(self, role: str, keyspace: Keyspace) -> None:
        self._keyspace = keyspace
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
