"""What a user may, all roles together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from c101.core.kv.auth.spans import KeySpans, span_of
from c101.core.kv.auth.state import Role, User, has_root_role
from c101.core.kv.tree import Interval
from c101.core.proto import auth_pb2

_READ: Final = (auth_pb2.Permission.READ, auth_pb2.Permission.READWRITE)
_WRITE: Final = (auth_pb2.Permission.WRITE, auth_pb2.Permission.READWRITE)


class Keys(Protocol):
    """Some keys, of which a request wants one or a range."""

    def covers(self, key: bytes, range_end: bytes) -> bool:
        """Say whether all of a request's range is among them (see ``KeySpans``)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Where a user may read and write; with ``root`` everywhere, and administer too.

    ``watch`` is where changes may be followed: where nothing is said, wherever may be read. A watch
    is looked at when it begins, and goes on when what was permitted no longer is.
    """

    root: bool
    read: Keys
    write: Keys
    watch: Keys | None = None


def rights_of(user: User, roles: Mapping[str, Role]) -> Rights:
    """Merge what the *roles* of *user* permit; a role that does not exist permits nothing."""
    read: list[Interval] = []
    write: list[Interval] = []
    for name in user.roles:
        role = roles.get(name)
        if role is None:
            continue
        for permission in role.keyPermission:
            span = span_of(permission.key, permission.range_end)
            if span is None:
                continue
            if permission.permType in _READ:
                read.append(span)
            if permission.permType in _WRITE:
                write.append(span)
    return Rights(root=has_root_role(user), read=KeySpans(read), write=KeySpans(write))
