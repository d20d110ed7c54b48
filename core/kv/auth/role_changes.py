"""Requests that change roles, or turn auth on and off: what each alters, or why it is refused."""

from bisect import bisect_left

from c101.core.kv import refusal
from c101.core.kv.auth.state import NO_CHANGE, ROOT, AuthState, Change, Role, has_root_role
from c101.core.kv.auth.user_changes import without_role
from c101.core.kv.refusal import refuse
from c101.core.proto import auth_pb2, rpc_pb2


def enable(state: AuthState, _request: rpc_pb2.AuthEnableRequest) -> Change:
    """Turn auth on, if there is somebody who could turn it off; the revision stays."""
    if state.enabled:
        return NO_CHANGE
    root = state.users.get(ROOT)
    if root is None:
        raise refuse(refusal.ROOT_USER_NOT_EXIST)
    if not has_root_role(root):
        raise refuse(refusal.ROOT_ROLE_NOT_EXIST)
    return Change(enabled=True, bumps=False)


def disable(state: AuthState, _request: rpc_pb2.AuthDisableRequest) -> Change:
    """Turn auth off: every token ends."""
    return Change(enabled=False) if state.enabled else NO_CHANGE


def add(state: AuthState, request: rpc_pb2.AuthRoleAddRequest) -> Change:
    """Add a role that permits nothing."""
    if not request.name:
        raise refuse(refusal.ROLE_EMPTY)
    if request.name in state.roles:
        raise refuse(refusal.ROLE_EXISTS)
    return Change(roles={request.name: Role(name=request.name.encode())})


def delete(state: AuthState, request: rpc_pb2.AuthRoleDeleteRequest) -> Change:
    """Delete a role and take it from everybody; the root role stays while auth is on."""
    if state.enabled and request.role == ROOT:
        raise refuse(refusal.INVALID_AUTH_MANAGEMENT)
    _known(state, request.role)
    holders = {
        name: without_role(user, request.role)
        for name, user in state.users.items()
        if request.role in user.roles
    }
    return Change(users=holders, roles={request.role: None})


def grant_permission(state: AuthState, request: rpc_pb2.AuthRoleGrantPermissionRequest) -> Change:
    """Permit a range to a role.

    Granted again for the same range the type is replaced, if the permission is the first of those
    that begin at its key: etcd looks no further, and keeps the others beside each other. (Of more
    than twelve, etcd's order of those that begin at one key is by chance.)
    """
    if not request.HasField("perm"):
        raise refuse(refusal.PERMISSION_NOT_GIVEN)
    role = Role()
    role.CopyFrom(_known(state, request.name))
    permissions = role.keyPermission
    wanted = request.perm
    at = bisect_left(permissions, wanted.key, key=lambda one: one.key)
    if at < len(permissions) and _same_range(permissions[at], wanted.key, wanted.range_end):
        permissions[at].permType = wanted.permType
    else:
        permissions.append(wanted)
        permissions.sort(key=lambda one: one.key)
    return Change(roles={request.name: role})


def revoke_permission(state: AuthState, request: rpc_pb2.AuthRoleRevokePermissionRequest) -> Change:
    """Take all a role is permitted on exactly this range."""
    found = _known(state, request.role)
    rest = [
        permission
        for permission in found.keyPermission
        if not _same_range(permission, request.key, request.range_end)
    ]
    if len(rest) == len(found.keyPermission):
        raise refuse(refusal.PERMISSION_NOT_GRANTED)
    return Change(roles={request.role: Role(name=found.name, keyPermission=rest)})


def _same_range(permission: auth_pb2.Permission, key: bytes, range_end: bytes) -> bool:
    return permission.key == key and permission.range_end == range_end


def _known(state: AuthState, name: str) -> Role:
    role = state.roles.get(name)
    if role is None:
        raise refuse(refusal.ROLE_NOT_FOUND)
    return role
