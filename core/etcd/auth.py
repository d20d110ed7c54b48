"""Users, roles and what roles permit (etcd: its Auth service)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

from google.protobuf.message import Message

from c101.core.etcd.caller import Verbs
from c101.core.etcd.keys import Bytes, as_bytes, prefix_end, prefix_start
from c101.core.proto import auth_pb2, rpc_pb2

_M = TypeVar("_M", bound=Message)

_AUTH = "/etcdserverpb.Auth/"


class Access(IntEnum):
    """What a permission is for."""

    READ = 0
    WRITE = 1
    READWRITE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Access to *key*, or to the keys from it up to *range_end*."""

    access: Access
    key: bytes
    range_end: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthStatus:
    """Whether who asks is asked who he is. ``auth_revision`` grows with every change here."""

    enabled: bool
    auth_revision: int


class Auth(Verbs):
    """Users, roles and permissions: ``client.auth``.

    Keys are those of the whole KV, also in a namespace. Raises, beside what every verb raises,
    KVError: a user or role exists already, or does not exist; PermissionDeniedError: only a user
    with the role ``root`` may do this once authentication is enabled.

    Example::

        from c101.core.etcd import connect
        from c101.core.etcd.auth import Access

        auth = client.auth
        await auth.add_role("reader")
        await auth.grant_prefix("reader", Access.READ, "/open/")
        await auth.grant("reader", Access.READWRITE, "/open/counter")
        assert len(await auth.permissions("reader")) == 2
        await auth.revoke("reader", "/open/counter")
        await auth.add_user("alice", "secret")
        await auth.grant_role("alice", "reader")
        await auth.change_password("alice", "more secret")
        assert await auth.user_roles("alice") == ["reader"]
        await auth.add_user("root", "topmost")
        await auth.add_role("root")
        await auth.grant_role("root", "root")

        await auth.enable()
        async with connect(url, user="alice", password="more secret") as alice:
            assert await alice.get("/open/door") is None
        async with connect(url, user="root", password="topmost") as root:
            await root.auth.revoke_role("alice", "reader")
            await root.auth.disable()

        assert {"alice", "root"} <= set(await auth.users())
        assert {"reader", "root"} <= set(await auth.roles())
        await auth.revoke_prefix("reader", "/open/")
        for user in ("alice", "root"):
            await auth.delete_user(user)
        for role in ("reader", "root"):
            await auth.delete_role(role)
    """

    async def enable(self) -> None:
        """Ask everyone who he is from here on. A user ``root`` with the role ``root`` must exist.

        KVError: there is none.
        """
        await self._write("AuthEnable", rpc_pb2.AuthEnableRequest(), rpc_pb2.AuthEnableResponse)

    async def disable(self) -> None:
        """Ask nobody any more; users and roles stay."""
        await self._write("AuthDisable", rpc_pb2.AuthDisableRequest(), rpc_pb2.AuthDisableResponse)

    async def status(self) -> AuthStatus:
        """Return whether authentication is enabled. KVError before etcd 3.5: it cannot say.

        Example::

            from c101.core.etcd.errors import KVError
            from c101.core.rpc.status import Code

            try:
                assert not (await client.auth.status()).enabled
            except KVError as exc:
                assert exc.status is Code.UNIMPLEMENTED
        """
        request = rpc_pb2.AuthStatusRequest()
        answer = await self._read("AuthStatus", request, rpc_pb2.AuthStatusResponse)
        return AuthStatus(enabled=answer.enabled, auth_revision=answer.authRevision)

    # Users

    async def add_user(self, name: str, password: str | None) -> None:
        """Add a user; without a password, one that only a TLS certificate can name."""
        request = rpc_pb2.AuthUserAddRequest(name=name, password=password or "")
        if password is None:
            request.options.no_password = True
        await self._write("UserAdd", request, rpc_pb2.AuthUserAddResponse)

    async def delete_user(self, name: str) -> None:
        """Delete a user; its tokens end."""
        request = rpc_pb2.AuthUserDeleteRequest(name=name)
        await self._write("UserDelete", request, rpc_pb2.AuthUserDeleteResponse)

    async def change_password(self, name: str, password: str) -> None:
        """Give a user another password; its tokens end."""
        request = rpc_pb2.AuthUserChangePasswordRequest(name=name, password=password)
        await self._write("UserChangePassword", request, rpc_pb2.AuthUserChangePasswordResponse)

    async def users(self) -> list[str]:
        """Return the names of all users."""
        request = rpc_pb2.AuthUserListRequest()
        answer = await self._read("UserList", request, rpc_pb2.AuthUserListResponse)
        return list(answer.users)

    async def user_roles(self, name: str) -> list[str]:
        """Return the roles that a user has."""
        request = rpc_pb2.AuthUserGetRequest(name=name)
        answer = await self._read("UserGet", request, rpc_pb2.AuthUserGetResponse)
        return list(answer.roles)

    async def grant_role(self, user: str, role: str) -> None:
        """Give a user a role."""
        request = rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)
        await self._write("UserGrantRole", request, rpc_pb2.AuthUserGrantRoleResponse)

    async def revoke_role(self, user: str, role: str) -> None:
        """Take a role from a user."""
        request = rpc_pb2.AuthUserRevokeRoleRequest(name=user, role=role)
        await self._write("UserRevokeRole", request, rpc_pb2.AuthUserRevokeRoleResponse)

    # Roles

    async def add_role(self, name: str) -> None:
        """Add a role, which permits nothing yet; one named ``root`` permits everything."""
        request = rpc_pb2.AuthRoleAddRequest(name=name)
        await self._write("RoleAdd", request, rpc_pb2.AuthRoleAddResponse)

    async def delete_role(self, name: str) -> None:
        """Delete a role and take it from all who have it."""
        request = rpc_pb2.AuthRoleDeleteRequest(role=name)
        await self._write("RoleDelete", request, rpc_pb2.AuthRoleDeleteResponse)

    async def roles(self) -> list[str]:
        """Return the names of all roles."""
        request = rpc_pb2.AuthRoleListRequest()
        answer = await self._read("RoleList", request, rpc_pb2.AuthRoleListResponse)
        return list(answer.roles)

    async def permissions(self, role: str) -> list[Permission]:
        """Return what a role permits."""
        request = rpc_pb2.AuthRoleGetRequest(role=role)
        answer = await self._read("RoleGet", request, rpc_pb2.AuthRoleGetResponse)
        return [
            Permission(access=Access(found.permType), key=found.key, range_end=found.range_end)
            for found in answer.perm
        ]

    async def grant(self, role: str, access: Access, key: Bytes, range_end: Bytes = b"") -> None:
        """Permit *access* to *key*, or to the keys from it up to *range_end*.

        Another access to the same key or range takes the place of the one before.
        """
        permission = auth_pb2.Permission(
            permType=auth_pb2.Permission.Type.Name(access),
            key=as_bytes(key),
            range_end=as_bytes(range_end),
        )
        request = rpc_pb2.AuthRoleGrantPermissionRequest(name=role, perm=permission)
        await self._write("RoleGrantPermission", request, rpc_pb2.AuthRoleGrantPermissionResponse)

    async def grant_prefix(self, role: str, access: Access, prefix: Bytes) -> None:
        """Permit *access* to the keys that begin with *prefix*; an empty one means all."""
        start = as_bytes(prefix)
        await self.grant(role, access, prefix_start(start), prefix_end(start))

    async def revoke(self, role: str, key: Bytes, range_end: Bytes = b"") -> None:
        """Permit it no more: exactly the key or range that was granted."""
        request = rpc_pb2.AuthRoleRevokePermissionRequest(
            role=role, key=as_bytes(key), range_end=as_bytes(range_end)
        )
        await self._write("RoleRevokePermission", request, rpc_pb2.AuthRoleRevokePermissionResponse)

    async def revoke_prefix(self, role: str, prefix: Bytes) -> None:
        """Permit it no more: exactly the prefix that was granted."""
        start = as_bytes(prefix)
        await self.revoke(role, prefix_start(start), prefix_end(start))

    async def _read(self, method: str, request: Message, answer: type[_M]) -> _M:
        return await self._caller.read(_AUTH + method, request, answer)

    async def _write(self, method: str, request: Message, answer: type[_M]) -> None:
        await self._caller.write(_AUTH + method, request, answer)
