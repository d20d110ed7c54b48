"""etcdserverpb.Auth: users, roles, permissions, tokens."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from google.protobuf.message import Message

from c101.core.kv import refusal
from c101.core.kv.answers import Durable
from c101.core.kv.auth import role_changes, user_changes
from c101.core.kv.auth.caller import Caller
from c101.core.kv.auth.state import AuthState, Change
from c101.core.kv.auth.store import AuthStore
from c101.core.kv.refusal import refuse
from c101.core.kvserver.context import Context, parse
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import UnaryCall, UnaryHandler, unary
from c101.core.rpc.status import Code

_M = TypeVar("_M", bound=Message)

_PATH = "/etcdserverpb.Auth/"


class AuthService:
    """The Auth service on a store."""

    def __init__(self, context: Context, auth: AuthStore) -> None:
        self._context = context
        self._auth = auth

    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Return the handlers by path."""
        users, roles, change = user_changes, role_changes, self._change
        methods: Mapping[str, UnaryHandler] = {
            "Authenticate": self._task(self.authenticate),
            "AuthStatus": self.status,
            "AuthEnable": change(rpc_pb2.AuthEnableRequest, roles.enable),
            "AuthDisable": change(rpc_pb2.AuthDisableRequest, roles.disable),
            "UserAdd": self._task(self.user_add),
            "UserGet": self.user_get,
            "UserList": self.user_list,
            "UserDelete": change(rpc_pb2.AuthUserDeleteRequest, users.delete),
            "UserChangePassword": self._task(self.user_change_password),
            "UserGrantRole": change(rpc_pb2.AuthUserGrantRoleRequest, users.grant_role),
            "UserRevokeRole": change(rpc_pb2.AuthUserRevokeRoleRequest, users.revoke_role),
            "RoleAdd": change(rpc_pb2.AuthRoleAddRequest, roles.add),
            "RoleGet": self.role_get,
            "RoleList": self.role_list,
            "RoleDelete": change(rpc_pb2.AuthRoleDeleteRequest, roles.delete),
            "RoleGrantPermission": change(
                rpc_pb2.AuthRoleGrantPermissionRequest, roles.grant_permission
            ),
            "RoleRevokePermission": change(
                rpc_pb2.AuthRoleRevokePermissionRequest, roles.revoke_permission
            ),
        }
        return {_PATH + name: handler for name, handler in methods.items()}

    @staticmethod
    def _task(answer: Callable[[UnaryCall, bytes], Awaitable[bytes]]) -> UnaryHandler:
        """Make a handler of *answer*, which takes its time."""

        def handler(call: UnaryCall, message: bytes) -> None:
            unary(partial(answer, call))(call, message)

        return handler

    # ---- changes ----

    def _change(self, kind: type[_M], decide: Callable[[AuthState, _M], Change]) -> UnaryHandler:
        """Make a handler of what *decide* says to a request of *kind*."""
        name = kind.__name__.removesuffix("Request")

        def handler(call: UnaryCall, message: bytes) -> None:
            request = parse(kind, message)
            caller = self._auth.caller_of(call)
            answer = _Changed(self._context, call)
            self._auth.change(caller, name, lambda state: decide(state, request), answer)

        return handler

    async def user_add(self, call: UnaryCall, message: bytes) -> bytes:
        """Add a user."""
        request = parse(rpc_pb2.AuthUserAddRequest, message)
        has_password = not request.options.no_password
        return await self._with_password(
            call,
            "AuthUserAdd",
            request.password if has_password else None,
            lambda state, hashed: user_changes.add(state, request, hashed),
        )

    async def user_change_password(self, call: UnaryCall, message: bytes) -> bytes:
        """Replace the password of a user, whose tokens end."""
        request = parse(rpc_pb2.AuthUserChangePasswordRequest, message)
        return await self._with_password(
            call,
            "AuthUserChangePassword",
            request.password,
            lambda state, hashed: user_changes.change_password(state, request, hashed),
        )

    async def _with_password(
        self,
        call: UnaryCall,
        name: str,
        password: str | None,
        decide: Callable[[AuthState, bytes], Change],
    ) -> bytes:
        auth = self._auth
        caller = auth.caller_of(call)
        # What is refused anyhow costs no hash.
        auth.require_admin(caller)
        decide(auth.state, b"")
        hashed = b"" if password is None else await auth.passwords.hash(password)
        durable = Durable(asyncio.get_running_loop())
        auth.change(caller, name, lambda state: decide(state, hashed), durable)
        await durable.future
        return self._context.current_header()

    # ---- who is it ----

    async def authenticate(self, call: UnaryCall, message: bytes) -> bytes:
        """Give a token for a name and its password."""
        request = parse(rpc_pb2.AuthenticateRequest, message)
        token = await self._auth.authenticate(call, request.name, request.password)
        response = rpc_pb2.AuthenticateResponse(token=token)
        return self._context.current_header() + response.SerializeToString()

    # ---- what is known ----

    def status(self, call: UnaryCall, message: bytes) -> None:
        """Tell whether auth is on, and its revision; of admins only, while it is on."""
        parse(rpc_pb2.AuthStatusRequest, message)
        auth = self._auth
        auth.require_admin(auth.caller_of(call))
        response = rpc_pb2.AuthStatusResponse(enabled=auth.enabled, authRevision=auth.revision)
        self._reply(call, response)

    def user_get(self, call: UnaryCall, message: bytes) -> None:
        """Tell the roles of a user, to an admin or that user."""
        request = parse(rpc_pb2.AuthUserGetRequest, message)
        caller = self._auth.caller_of(call)
        if request.name != caller.user:
            self._auth.require_admin(caller)
        user = self._auth.state.users.get(request.name)
        if user is None:
            raise refuse(refusal.USER_NOT_FOUND)
        self._reply(call, rpc_pb2.AuthUserGetResponse(roles=user.roles))

    def user_list(self, call: UnaryCall, message: bytes) -> None:
        """List all users by name."""
        parse(rpc_pb2.AuthUserListRequest, message)
        self._auth.require_admin(self._auth.caller_of(call))
        users = self._auth.state.users.values()
        self._reply(call, rpc_pb2.AuthUserListResponse(users=_names(user.name for user in users)))

    def role_get(self, call: UnaryCall, message: bytes) -> None:
        """Tell the permissions of a role, to an admin or one who has it."""
        request = parse(rpc_pb2.AuthRoleGetRequest, message)
        caller = self._auth.caller_of(call)
        if not self._has_role(caller, request.role):
            self._auth.require_admin(caller)
        role = self._auth.state.roles.get(request.role)
        if role is None:
            raise refuse(refusal.ROLE_NOT_FOUND)
        self._reply(call, rpc_pb2.AuthRoleGetResponse(perm=role.keyPermission))

    def _has_role(self, caller: Caller, role: str) -> bool:
        user = self._auth.state.users.get(caller.user)
        return user is not None and role in user.roles

    def role_list(self, call: UnaryCall, message: bytes) -> None:
        """List all roles by name."""
        parse(rpc_pb2.AuthRoleListRequest, message)
        self._auth.require_admin(self._auth.caller_of(call))
        roles = self._auth.state.roles.values()
        self._reply(call, rpc_pb2.AuthRoleListResponse(roles=_names(role.name for role in roles)))

    def _reply(self, call: UnaryCall, response: Message) -> None:
        call.reply(self._context.current_header() + response.SerializeToString())


def _names(raw: Iterable[bytes]) -> list[str]:
    """Return names in the order of their bytes, as etcd's buckets have them."""
    return [name.decode("utf-8", "replace") for name in sorted(raw)]


class _Changed:
    """Answers a change with the header as it is when it is durable."""

    __slots__ = ("_call", "_context")

    def __init__(self, context: Context, call: UnaryCall) -> None:
        self._context = context
        self._call = call

    def reply(self, _message: bytes, /) -> None:
        self._call.reply(self._context.current_header())

    def fail(self, status: Code, message: str, /) -> None:
        self._call.fail(status, message)
