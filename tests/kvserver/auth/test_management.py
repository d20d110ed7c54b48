"""Scripts of requests to Auth: every answer is that of a real etcd."""

import pytest
from google.protobuf.message import Message

from c101.core.proto import auth_pb2, rpc_pb2
from tests.kvserver.auth.pair import SLOW_SECONDS, Session, permission
from tests.kvserver.processes import HAVE_ETCD

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(SLOW_SECONDS),
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

Pair = tuple[Session, Session]
#: method of Auth, request, caller (nobody, if it is missing)
Step = tuple[str, Message] | tuple[str, Message, str]


def user_add(name: str, password: str = "", *, no_password: bool | None = None) -> Step:
    request = rpc_pb2.AuthUserAddRequest(name=name, password=password)
    if no_password is not None:
        request.options.no_password = no_password
    return "UserAdd", request


def user_get(name: str) -> Step:
    return "UserGet", rpc_pb2.AuthUserGetRequest(name=name)


def user_delete(name: str) -> Step:
    return "UserDelete", rpc_pb2.AuthUserDeleteRequest(name=name)


def change_password(name: str, password: str = "") -> Step:
    request = rpc_pb2.AuthUserChangePasswordRequest(name=name, password=password)
    return "UserChangePassword", request


def grant_role(user: str, role: str) -> Step:
    return "UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)


def revoke_role(name: str, role: str) -> Step:
    return "UserRevokeRole", rpc_pb2.AuthUserRevokeRoleRequest(name=name, role=role)


def role_add(name: str) -> Step:
    return "RoleAdd", rpc_pb2.AuthRoleAddRequest(name=name)


def role_get(role: str) -> Step:
    return "RoleGet", rpc_pb2.AuthRoleGetRequest(role=role)


def role_delete(role: str) -> Step:
    return "RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role=role)


def permit(role: str, kind: str, key: bytes, range_end: bytes = b"") -> Step:
    request = rpc_pb2.AuthRoleGrantPermissionRequest(
        name=role, perm=permission(kind, key, range_end)
    )
    return "RoleGrantPermission", request


def forbid(role: str, key: bytes, range_end: bytes = b"") -> Step:
    request = rpc_pb2.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=range_end)
    return "RoleRevokePermission", request


def authenticate(name: str, password: str) -> Step:
    return "Authenticate", rpc_pb2.AuthenticateRequest(name=name, password=password)


def by(caller: str, step: Step) -> Step:
    return step[0], step[1], caller


def by_root(step: Step) -> Step:
    return by("root", step)


def log_in(name: str, password: str) -> Step:
    return "log in", rpc_pb2.AuthenticateRequest(name=name, password=password)


ENABLE: Step = ("AuthEnable", rpc_pb2.AuthEnableRequest())
DISABLE: Step = ("AuthDisable", rpc_pb2.AuthDisableRequest())
USERS: Step = ("UserList", rpc_pb2.AuthUserListRequest())
ROLES: Step = ("RoleList", rpc_pb2.AuthRoleListRequest())
LOG_IN = log_in("root", "pw")
ODD_TYPE = rpc_pb2.AuthRoleGrantPermissionRequest(
    name="r",
    perm=auth_pb2.Permission(permType=7, key=b"q"),  # type: ignore[arg-type]
)

SCRIPTS: dict[str, list[Step]] = {
    "auth is enabled only with a root user who has the root role": [
        DISABLE,
        ENABLE,
        authenticate("root", "pw"),
        user_add("root", "pw"),
        ENABLE,
        grant_role("root", "root"),
        ENABLE,
        ENABLE,
        DISABLE,
        LOG_IN,
        by_root(ENABLE),
        by_root(DISABLE),
        ENABLE,
        authenticate("root", "pw"),
    ],
    "users are added once, by name, and need no password": [
        user_add(""),
        user_add("u", "pw"),
        user_add("u", "pw"),
        user_add("empty", ""),
        user_add("a user", "x", no_password=False),
        user_add("cert", "", no_password=True),
        user_add("cert", "", no_password=True),
        user_add("cert with password", "x", no_password=True),
        user_add("ü", "ü"),
        user_add("n" * 3000, "x"),
        USERS,
        user_get("u"),
        user_get("nobody"),
        user_get(""),
        user_delete("nobody"),
        user_delete(""),
        user_delete("u"),
        user_delete("u"),
        USERS,
    ],
    "roles are granted in order, revoked when they were granted, and root needs no role to exist": [
        user_add("u"),
        grant_role("u", "r"),
        grant_role("nobody", "r"),
        grant_role("", ""),
        grant_role("u", ""),
        grant_role("u", "root"),
        role_get("root"),
        role_add("r"),
        role_add("q"),
        grant_role("u", "r"),
        grant_role("u", "q"),
        grant_role("u", "q"),
        user_get("u"),
        revoke_role("u", "nothing"),
        revoke_role("nobody", "r"),
        revoke_role("u", "r"),
        revoke_role("u", "r"),
        user_get("u"),
        role_delete("q"),
        user_get("u"),
    ],
    "roles are added once, by name, and deleted from everybody": [
        role_add(""),
        role_add("r"),
        role_add("r"),
        role_add("root"),
        ROLES,
        role_get("root"),
        role_get("r"),
        role_get("nothing"),
        role_get(""),
        user_add("u"),
        user_add("v"),
        grant_role("u", "r"),
        grant_role("v", "r"),
        role_delete("nothing"),
        role_delete(""),
        role_delete("r"),
        user_get("u"),
        user_get("v"),
        ROLES,
    ],
    "permissions are kept in order of keys, replaced by range and taken back by range": [
        permit("r", "READ", b"a"),
        role_add("r"),
        permit("r", "READWRITE", b"b", b"c"),
        permit("r", "READ", b"a"),
        permit("r", "WRITE", b"a"),
        role_get("r"),
        permit("r", "WRITE", b"a", b"b"),
        permit("r", "READ", b"a", b"b"),
        permit("r", "READ", b"a"),
        role_get("r"),
        permit("r", "WRITE", b"z", b"b"),
        permit("r", "WRITE", b"x", b"\0"),
        permit("r", "WRITE", b"\0", b"\0"),
        permit("r", "WRITE", b""),
        ("RoleGrantPermission", ODD_TYPE),
        role_get("r"),
        forbid("nothing", b"a"),
        forbid("r", b"nothing"),
        forbid("r", b"a", b"\0"),
        forbid("r", b"a", b"b"),
        forbid("r", b"a", b"b"),
        forbid("r", b""),
        role_get("r"),
    ],
    "passwords count up to their 72nd byte": [
        user_add("root", "pw"),
        grant_role("root", "root"),
        *(user_add(f"long{size}", "x" * size) for size in (71, 72, 73)),
        user_add("zero", "a\0b"),
        ENABLE,
        *(
            authenticate(f"long{size}", "x" * given)
            for size in (71, 72, 73)
            for given in (71, 72, 73, 200)
        ),
        *(authenticate("zero", given) for given in ("a", "a\0b", "a\0c")),
    ],
    "who has no password does not get in, whatever is given": [
        user_add("root", "pw"),
        grant_role("root", "root"),
        user_add("cert", "", no_password=True),
        user_add("cert2", "pw", no_password=True),
        change_password("cert", "pw"),
        user_add("empty", ""),
        ENABLE,
        *(
            authenticate(name, given)
            for name in ("cert", "cert2", "empty", "nobody", "")
            for given in ("", "pw")
        ),
    ],
    "a changed password is the one that counts": [
        user_add("root", "pw"),
        grant_role("root", "root"),
        user_add("u", "old"),
        change_password("nobody", "x"),
        change_password(""),
        ENABLE,
        LOG_IN,
        authenticate("u", "old"),
        by_root(change_password("u", "new")),
        authenticate("u", "old"),
        authenticate("u", "new"),
        by_root(change_password("root", "other")),
        by_root(USERS),
        authenticate("root", "other"),
        log_in("root", "other"),
    ],
    "a token ends with its user, their password, and with auth; not with a role": [
        user_add("root", "pw"),
        grant_role("root", "root"),
        role_add("r"),
        *(user_add(name, "pw") for name in ("deleted", "changed", "demoted")),
        grant_role("demoted", "r"),
        ENABLE,
        *(log_in(name, "pw") for name in ("root", "deleted", "changed", "demoted")),
        by_root(user_delete("deleted")),
        by("deleted", user_get("deleted")),
        by_root(user_add("deleted", "pw")),
        by("deleted", user_get("deleted")),
        by_root(change_password("changed", "pw")),
        by("changed", user_get("changed")),
        by("demoted", role_get("r")),
        by_root(revoke_role("demoted", "r")),
        by("demoted", role_get("r")),
        by("demoted", user_get("demoted")),
        by_root(DISABLE),
        ENABLE,
        by("demoted", user_get("demoted")),
        by_root(USERS),
        LOG_IN,
        by_root(USERS),
    ],
    "root and its role stay while auth is on": [
        user_add("root", "pw"),
        grant_role("root", "root"),
        role_add("root"),
        revoke_role("root", "root"),
        grant_role("root", "root"),
        role_delete("root"),
        grant_role("root", "root"),
        ENABLE,
        LOG_IN,
        by_root(user_delete("root")),
        by_root(revoke_role("root", "root")),
        by_root(revoke_role("root", "nothing")),
        by_root(role_delete("root")),
        by_root(role_add("root")),
        by_root(role_get("root")),
        by_root(role_delete("root")),
        by_root(user_get("root")),
    ],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_answer_of_the_script_is_etcds(pair: Pair, name: str) -> None:
    for number, step in enumerate(SCRIPTS[name]):
        method, request, caller = step if len(step) == 3 else (*step, "")
        if method == "log in":
            assert isinstance(request, rpc_pb2.AuthenticateRequest)
            for session in pair:
                session.log_in(request.name, request.password)
            continue
        mine, theirs = (session.ask(f"Auth/{method}", request, caller) for session in pair)
        assert mine == theirs, f"step {number}: {method} {request}"


def test_a_grant_without_a_permission_is_refused_where_etcd_3_4_ends(pair: Pair) -> None:
    request = rpc_pb2.AuthRoleGrantPermissionRequest(name="r")
    answer = pair[0].ask("Auth/RoleGrantPermission", request)
    assert answer == ("INVALID_ARGUMENT", "etcdserver: permission not given")
