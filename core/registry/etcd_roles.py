"""The roles of ``roles`` as users and roles of an etcd, for who logs in to it by a certificate.

An etcd permits ranges of keys and nothing else, and never forbids within one. So

- what an operator may write of units and machines is permitted key by key, for those there are: a
  unit that comes later is his once this was done again;
- an agent may write all states, also those of other machines;
- nobody but root reads a secret: which ones an agent may have depends on what is placed.

A front, or the embedded KV, has none of these limits: there the rules of ``roles`` hold.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from c101.core.etcd.auth import Access, Permission
from c101.core.etcd.keys import FROM_KEY, prefix_end
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.roles import OPERATOR, VIEWER, agent_role

#: What every role and user of ours begins with; the user is the certificate's common name.
NAME_PREFIX = "c101-"
ROOT = "root"

_FIRST = b"\0"

Permissions = Mapping[tuple[bytes, bytes], Access]


@dataclass(frozen=True, slots=True)
class Change:
    """One step to what is wanted: ``add role``, ``grant``, ``revoke`` ... of *role*."""

    verb: str
    role: str
    permission: Permission | None = None


def wanted_roles(
    keyspace: Keyspace, units: Collection[str], machine_ids: Collection[str]
) -> dict[str, Permissions]:
    """Return what each role permits, by its name, in a cluster of *units* and machines."""
    operator = {
        **dict.fromkeys(map(keyspace.unit_target, units), Access.READWRITE),
        **dict.fromkeys(map(keyspace.unit_restart, units), Access.READWRITE),
        **dict.fromkeys(map(keyspace.machine_intent, machine_ids), Access.READWRITE),
    }
    wanted = {VIEWER: _reads(keyspace), OPERATOR: _writes(keyspace, operator)}
    for machine_id in machine_ids:
        own = {keyspace.machine_presence(machine_id): Access.READWRITE}
        permitted = dict(_writes(keyspace, own))
        permitted[_prefix(keyspace.states)] = Access.READWRITE
        wanted[agent_role(machine_id)] = permitted
    return {NAME_PREFIX + role: permitted for role, permitted in wanted.items()}


def _prefix(prefix: str) -> tuple[bytes, bytes]:
    """Return the range of all keys that begin with *prefix*."""
    first = prefix.encode()
    return first, prefix_end(first)


def _reads(keyspace: Keyspace) -> Permissions:
    secrets, behind = _prefix(keyspace.secrets)
    return {(_FIRST, secrets): Access.READ, (behind, FROM_KEY): Access.READ}


def _writes(keyspace: Keyspace, own: Mapping[str, Access]) -> Permissions:
    """Add to what is read: all outside the prefix, and within it the keys of *own*."""
    first, after = _prefix(keyspace.prefix)
    secrets, behind = _prefix(keyspace.secrets)
    return {
        **_reads(keyspace),
        (_FIRST, first): Access.WRITE,
        (after, secrets): Access.WRITE,
        (behind, FROM_KEY): Access.READWRITE,
        **{(key.encode(), b""): access for key, access in own.items()},
    }


def changes(
    wanted: Mapping[str, Permissions],
    found: Mapping[str, Sequence[Permission]],
    users: Mapping[str, Collection[str]],
) -> list[Change]:
    """Return the steps from the roles *found*, and the *users* with theirs, to those *wanted*.

    Others' roles and users are left alone; ours that nobody wants, of machines that are gone, go.
    """
    steps: list[Change] = []
    for role in (ROOT, *wanted):
        if role not in found:
            steps.append(Change("add role", role))
        if role in wanted:
            steps += _permission_changes(role, wanted[role], found.get(role, ()))
        if role not in users:
            steps.append(Change("add user", role))
        if role not in users.get(role, ()):
            steps.append(Change("give role", role))
    for name in sorted({*found, *users} - set(wanted)):
        if name.startswith(NAME_PREFIX):
            steps += [Change("delete user", name)] * (name in users)
            steps += [Change("delete role", name)] * (name in found)
    return steps


def _permission_changes(
    role: str, wanted: Permissions, found: Sequence[Permission]
) -> list[Change]:
    have = {(one.key, one.range_end): one for one in found}
    grants = [
        Change("grant", role, Permission(access=access, key=key, range_end=end))
        for (key, end), access in wanted.items()
        if (key, end) not in have or have[key, end].access is not access
    ]
    return grants + [
        Change("revoke", role, one) for place, one in have.items() if place not in wanted
    ]
