"""Who may do what: each request by each kind of caller, as a real etcd answers.

Left out is what 3.4.23 lets pass and later releases refuse: see test_stricter.
"""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from c101.core.proto import rpc_pb2
from tests.kvserver.auth.pair import SLOW_SECONDS, Session, as_later, permission
from tests.kvserver.auth.users import (
    CALLERS,
    Compare,
    Delete,
    Put,
    Range,
    Txn,
    guard,
    op,
    then,
)
from tests.kvserver.processes import HAVE_ETCD

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(SLOW_SECONDS),
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

Pair = tuple[Session, Session]


@pytest.fixture(scope="module")
def guarded(both: Pair) -> Iterator[Pair]:
    """Both servers with the same users, keys and leases, auth on, and tokens of all users."""
    for session in both:
        guard(session)
    yield both
    for session in both:
        session.wipe()


REQUESTS: dict[str, tuple[str, Message]] = {
    "a key of the range": ("KV/Range", Range(key=b"u/a")),
    "a key outside": ("KV/Range", Range(key=b"x")),
    "the range": ("KV/Range", Range(key=b"u/", range_end=b"u0")),
    "a part of the range": ("KV/Range", Range(key=b"u/b", range_end=b"u/d")),
    "more than the range": ("KV/Range", Range(key=b"u/", range_end=b"u1")),
    "from a key of the range on": ("KV/Range", Range(key=b"u/a", range_end=b"\0")),
    "everything": ("KV/Range", Range(key=b"\0", range_end=b"\0")),
    "the range, serializable": ("KV/Range", Range(key=b"u/", range_end=b"u0", serializable=True)),
    "how many there are": ("KV/Range", Range(key=b"x", range_end=b"y", count_only=True)),
    "nothing, at a key of the range": ("KV/Range", Range(key=b"u/b", range_end=b"u/a")),
    "nothing, outside": ("KV/Range", Range(key=b"z", range_end=b"z")),
    "no key": ("KV/Range", Range()),
    "a future revision": ("KV/Range", Range(key=b"u/a", revision=10_000)),
    "a future revision, outside": ("KV/Range", Range(key=b"x", revision=10_000)),
    "a put": ("KV/Put", Put(key=b"u/a", value=b"2")),
    "a put outside": ("KV/Put", Put(key=b"x")),
    "a put without a key": ("KV/Put", Put()),
    "a put that contradicts itself": ("KV/Put", Put(key=b"x", value=b"1", ignore_value=True)),
    "a put under no lease": ("KV/Put", Put(key=b"u/a", lease=99)),
    "a put outside under no lease": ("KV/Put", Put(key=b"x", lease=99)),
    "a put that returns what was": ("KV/Put", Put(key=b"u/a", prev_kv=True)),
    "a put that keeps the value": ("KV/Put", Put(key=b"u/a", ignore_value=True)),
    "a put under a lease of another's": ("KV/Put", Put(key=b"u/c", lease=7)),
    "a put under a lease": ("KV/Put", Put(key=b"u/a", lease=8)),
    "a deletion": ("KV/DeleteRange", Delete(key=b"u/q")),
    "a deletion that returns what was": ("KV/DeleteRange", Delete(key=b"u/q", prev_kv=True)),
    "a deletion of the range": ("KV/DeleteRange", Delete(key=b"u/q", range_end=b"u0")),
    "a deletion outside": ("KV/DeleteRange", Delete(key=b"x/", range_end=b"x/a")),
    "a deletion of everything": ("KV/DeleteRange", Delete(key=b"z", range_end=b"\0")),
    "a deletion without a key": ("KV/DeleteRange", Delete()),
    "a transaction of nothing": ("KV/Txn", Txn()),
    "a compare": ("KV/Txn", Txn(compare=[Compare(key=b"u/a")])),
    "a compare outside": ("KV/Txn", Txn(compare=[Compare(key=b"x")])),
    "a compare of the range": ("KV/Txn", Txn(compare=[Compare(key=b"u/", range_end=b"u0")])),
    "a compare of more": ("KV/Txn", Txn(compare=[Compare(key=b"u/", range_end=b"u1")])),
    "a transaction that reads": ("KV/Txn", then(op(request_range=Range(key=b"u/a")))),
    "a transaction that reads outside": ("KV/Txn", then(op(request_range=Range(key=b"x")))),
    "a transaction that puts": ("KV/Txn", then(op(request_put=Put(key=b"u/a")))),
    "a transaction that puts outside, in the branch not taken": (
        "KV/Txn",
        Txn(failure=[op(request_put=Put(key=b"x"))]),
    ),
    "a transaction that puts, and reads outside": (
        "KV/Txn",
        then(op(request_put=Put(key=b"u/a")), op(request_range=Range(key=b"x"))),
    ),
    "a transaction that deletes": ("KV/Txn", then(op(request_delete_range=Delete(key=b"u/q")))),
    "a transaction that deletes and returns what was": (
        "KV/Txn",
        then(op(request_delete_range=Delete(key=b"u/q", prev_kv=True))),
    ),
    "a transaction that puts twice": (
        "KV/Txn",
        then(op(request_put=Put(key=b"x")), op(request_put=Put(key=b"x"))),
    ),
    "a defragmentation": ("Maintenance/Defragment", rpc_pb2.DefragmentRequest()),
    "all users": ("Auth/UserList", rpc_pb2.AuthUserListRequest()),
    "all roles": ("Auth/RoleList", rpc_pb2.AuthRoleListRequest()),
    "a user": ("Auth/UserGet", rpc_pb2.AuthUserGetRequest(name="both")),
    "an unknown user": ("Auth/UserGet", rpc_pb2.AuthUserGetRequest(name="?")),
    "a user without a name": ("Auth/UserGet", rpc_pb2.AuthUserGetRequest()),
    "a role": ("Auth/RoleGet", rpc_pb2.AuthRoleGetRequest(role="both")),
    "an unknown role": ("Auth/RoleGet", rpc_pb2.AuthRoleGetRequest(role="?")),
    "a new user without a name": ("Auth/UserAdd", rpc_pb2.AuthUserAddRequest()),
    "a new user of a known name": ("Auth/UserAdd", rpc_pb2.AuthUserAddRequest(name="both")),
    "the end of root": ("Auth/UserDelete", rpc_pb2.AuthUserDeleteRequest(name="root")),
    "the end of nobody": ("Auth/UserDelete", rpc_pb2.AuthUserDeleteRequest(name="?")),
    "a password of nobody": (
        "Auth/UserChangePassword",
        rpc_pb2.AuthUserChangePasswordRequest(name="?"),
    ),
    "a role for nobody": ("Auth/UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user="?")),
    "root without its role": (
        "Auth/UserRevokeRole",
        rpc_pb2.AuthUserRevokeRoleRequest(name="root", role="root"),
    ),
    "a new role without a name": ("Auth/RoleAdd", rpc_pb2.AuthRoleAddRequest()),
    "the end of the root role": ("Auth/RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role="root")),
    "a permission for nothing": (
        "Auth/RoleGrantPermission",
        rpc_pb2.AuthRoleGrantPermissionRequest(name="?", perm=permission("READ", b"a")),
    ),
    "no permission for nothing": (
        "Auth/RoleRevokePermission",
        rpc_pb2.AuthRoleRevokePermissionRequest(role="?", key=b"a"),
    ),
    "auth on": ("Auth/AuthEnable", rpc_pb2.AuthEnableRequest()),
    "a token": ("Auth/Authenticate", rpc_pb2.AuthenticateRequest(name="both", password="both")),
    "a token for a wrong password": (
        "Auth/Authenticate",
        rpc_pb2.AuthenticateRequest(name="both", password="no"),
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_each_caller_hears_what_etcd_tells_them(guarded: Pair, name: str) -> None:
    path, request = REQUESTS[name]
    for caller in CALLERS:
        mine, theirs = (session.ask(path, request, caller) for session in guarded)
        assert mine == as_later(theirs), f"asked by {caller!r}"


WATCHES = {
    "a key of the range": rpc_pb2.WatchCreateRequest(key=b"u/a"),
    "a key outside": rpc_pb2.WatchCreateRequest(key=b"x", watch_id=5),
    "the range": rpc_pb2.WatchCreateRequest(key=b"u/", range_end=b"u0", watch_id=5),
    "everything": rpc_pb2.WatchCreateRequest(range_end=b"\0"),
    "no key": rpc_pb2.WatchCreateRequest(),
    "nothing": rpc_pb2.WatchCreateRequest(key=b"z", range_end=b"a"),
    "nothing, in the range": rpc_pb2.WatchCreateRequest(key=b"u/z", range_end=b"u/a"),
    "what was, outside": rpc_pb2.WatchCreateRequest(key=b"x", start_revision=1, prev_kv=True),
}


@pytest.mark.parametrize("name", WATCHES)
def test_a_watch_is_created_or_refused_as_by_etcd(guarded: Pair, name: str) -> None:
    for caller in CALLERS:
        mine, theirs = (session.watch(caller, WATCHES[name]) for session in guarded)
        assert mine == theirs, f"asked by {caller!r}"
