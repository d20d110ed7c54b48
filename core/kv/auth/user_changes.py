"""Requests that change users: what each alters of a state, or why it is refused.

The order of the checks is etcd's: it decides which of several reasons a client hears.
"""

from collections.abc import Iterable

from c101.core.kv import refusal
from c101.core.kv.auth.state import NO_CHANGE, ROOT, AuthState, Change, User
from c101.core.kv.refusal import refuse
from c101.core.proto import auth_pb2, rpc_pb2


def add(state: AuthState, request: rpc_pb2.AuthUserAddRequest, hashed: bytes) -> Change:
    """Add a user whose password hashes to *hashed*; who has no password cannot authenticate."""
    if not request.name:
        raise refuse(refusal.USER_EMPTY)
    if request.name in state.users:
        raise refuse(refusal.USER_EXISTS)
    no_password = request.options.no_password
    user = User(
        name=request.name.encode(),
        password=b"" if no_password else hashed,
        # etcd keeps the options of every user, also when they say nothing.
        options=auth_pb2.UserAddOptions(no_password=no_password),
    )
    return Change(users={request.name: user})


def delete(state: AuthState, request: rpc_pb2.AuthUserDeleteRequest) -> Change:
    """Delete a user; root stays while auth is on."""
    if state.enabled and request.name == ROOT:
        raise refuse(refusal.INVALID_AUTH_MANAGEMENT)
    _known(state, request.name)
    return Change(users={request.name: None}, logged_out=(request.name,))


def change_password(
    state: AuthState, request: rpc_pb2.AuthUserChangePasswordRequest, hashed: bytes
) -> Change:
    """Replace the password by one that hashes to *hashed*; who has none keeps none."""
    user = _copy(_known(state, request.name))
    user.password = b"" if user.options.no_password else hashed
    return Change(users={request.name: user}, logged_out=(request.name,))


def grant_role(state: AuthState, request: rpc_pb2.AuthUserGrantRoleRequest) -> Change:
    """Give a user a role. The root role need not exist for that."""
    found = _known(state, request.user)
    if request.role != ROOT and request.role not in state.roles:
        raise refuse(refusal.ROLE_NOT_FOUND)
    if request.role in found.roles:
        return NO_CHANGE
    return Change(users={request.user: _with_roles(found, [*found.roles, request.role])})


def revoke_role(state: AuthState, request: rpc_pb2.AuthUserRevokeRoleRequest) -> Change:
    """Take a role from a user; root keeps the root role while auth is on."""
    if state.enabled and request.name == ROOT and request.role == ROOT:
        raise refuse(refusal.INVALID_AUTH_MANAGEMENT)
    found = _known(state, request.name)
    if request.role not in found.roles:
        raise refuse(refusal.ROLE_NOT_GRANTED)
    return Change(users={request.name: without_role(found, request.role)})


def without_role(user: User, role: str) -> User:
    """Return *user* with *role* taken away."""
    return _with_roles(user, [one for one in user.roles if one != role])


def _with_roles(user: User, roles: Iterable[str]) -> User:
    changed = _copy(user)
    del changed.roles[:]
    # As etcd keeps them, which looks for the root role by bisection.
    changed.roles.extend(sorted(roles))
    return changed


def _copy(user: User) -> User:
    copy = User()
    copy.CopyFrom(user)
    return copy


def _known(state: AuthState, name: str) -> User:
    user = state.users.get(name)
    if user is None:
        raise refuse(refusal.USER_NOT_FOUND)
    return user
