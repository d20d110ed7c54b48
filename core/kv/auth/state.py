"""What the auth store knows, and one change of it: values in memory, entries in the buckets.

Users and roles are kept as the messages that etcd keeps (authpb.User, authpb.Role), by their names;
a message that is in the state is never altered, only replaced.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from c101.core.kv.storage import Storage
from c101.core.proto import auth_pb2

User = auth_pb2.User
Role = auth_pb2.Role

#: The user without whom auth cannot be enabled, and the role that may do everything.
ROOT: Final = "root"

#: The revision of an auth store that nobody changed.
FIRST_AUTH_REVISION: Final = 1

AUTH_BUCKET: Final = "auth"
USERS_BUCKET: Final = "authUsers"
ROLES_BUCKET: Final = "authRoles"
_ENABLED_KEY: Final = b"authEnabled"
_REVISION_KEY: Final = b"authRevision"
_REVISION_BYTES: Final = 8

#: bucket, key, value; None deletes the entry
Entry = tuple[str, bytes, bytes | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a request changes. Values are by name; None: it is gone.

    ``enabled`` is set by a request that turns auth on or off. ``bumps`` is whether the revision
    rises, by which requests that were under way find that they must be asked anew. The tokens of
    the users in ``logged_out`` end.
    """

    users: Mapping[str, User | None] = field(default_factory=dict)
    roles: Mapping[str, Role | None] = field(default_factory=dict)
    enabled: bool | None = None
    bumps: bool = True
    logged_out: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether it changes nothing."""
        return not (self.users or self.roles or self.bumps) and self.enabled is None


#: The answer to what is so already.
NO_CHANGE: Final = Change(bumps=False)


class AuthState:
    """Whether auth is on, its revision, users and roles by name."""

    __slots__ = ("enabled", "revision", "roles", "users")

    def __init__(self) -> None:
        self.enabled = False
        self.revision = FIRST_AUTH_REVISION
        self.users: dict[str, User] = {}
        self.roles: dict[str, Role] = {}

    @classmethod
    def load(cls, storage: Storage) -> "AuthState":
        """Return what *storage* holds."""
        state = cls()
        entries = storage.load_bucket(AUTH_BUCKET)
        state.enabled = entries.get(_ENABLED_KEY) == b"\x01"
        state.revision = int.from_bytes(entries.get(_REVISION_KEY, b""), "big") or state.revision
        for raw in storage.load_bucket(USERS_BUCKET).values():
            user = User.FromString(raw)
            state.users[_text(user.name)] = user
        for raw in storage.load_bucket(ROLES_BUCKET).values():
            role = Role.FromString(raw)
            state.roles[_text(role.name)] = role
        return state

    def revision_after(self, change: Change) -> int:
        """Return the revision that *change* leaves."""
        return self.revision + 1 if change.bumps else self.revision

    def entries(self, change: Change) -> Iterator[Entry]:
        """Yield what *change* alters in the buckets."""
        for name, user in change.users.items():
            yield USERS_BUCKET, _raw(name), None if user is None else user.SerializeToString()
        for name, role in change.roles.items():
            yield ROLES_BUCKET, _raw(name), None if role is None else role.SerializeToString()
        if change.enabled is not None:
            yield AUTH_BUCKET, _ENABLED_KEY, b"\x01" if change.enabled else b"\x00"
        revision = self.revision_after(change)
        yield AUTH_BUCKET, _REVISION_KEY, revision.to_bytes(_REVISION_BYTES, "big")

    def apply(self, change: Change) -> None:
        """Make *change*, which is durable, what is known."""
        for name, user in change.users.items():
            if user is None:
                self.users.pop(name, None)
            else:
                self.users[name] = user
        for name, role in change.roles.items():
            if role is None:
                self.roles.pop(name, None)
            else:
                self.roles[name] = role
        if change.enabled is not None:
            self.enabled = change.enabled
        self.revision = self.revision_after(change)


def has_root_role(user: User) -> bool:
    """Say whether *user* may do everything."""
    return ROOT in user.roles


def _text(name: bytes) -> str:
    # A store that came from an etcd may hold any bytes; requests can name UTF-8 only.
    return name.decode("utf-8", "surrogateescape")


def _raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
