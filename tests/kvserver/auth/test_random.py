"""Random roles, permissions and requests: every answer is that of a real etcd."""

import os
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from c101.core.proto import rpc_pb2
from tests.kvserver.auth.pair import Grant, Session, permission, set_up
from tests.kvserver.auth.users import Compare, Delete, Put, Range, Txn, op
from tests.kvserver.processes import HAVE_ETCD

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

#: Random sequences to compare; ``make fuzz`` asks for many more.
SEQUENCES = int(os.environ.get("C101_FUZZ_SEQUENCES", "40"))
FUZZ_SECONDS = 120 + SEQUENCES

Pair = tuple[Session, Session]
#: path, request, caller
Step = tuple[str, Message, str]

_KEYS = (b"\0", b"a", b"a\0", b"ab", b"b", b"c", b"c\xff")
_user = st.sampled_from(("u", "v"))
_role = st.sampled_from(("r", "q"))
_key = st.sampled_from(_KEYS)
_end = st.one_of(st.just(b""), st.just(b"\0"), _key)
#: Permissions of no keys are left out: whether etcd finds an empty range within one is by chance.
_span = st.tuples(_key, _end).filter(lambda span: span[1] in (b"", b"\0") or span[0] < span[1])
_caller = st.sampled_from(("u", "u", "u", "v", "v", "root", ""))
_kind = st.sampled_from(("READ", "WRITE", "READWRITE"))
_flag = st.booleans()


@st.composite
def administration(draw: st.DrawFn) -> Step:
    user, role, (key, end) = draw(_user), draw(_role), draw(_span)
    permit = rpc_pb2.AuthRoleGrantPermissionRequest(
        name=role, perm=permission(draw(_kind), key, end)
    )
    forbid = rpc_pb2.AuthRoleRevokePermissionRequest(role=role, key=key, range_end=end)
    grant = rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)
    requests: list[tuple[str, Message]] = [
        *[("RoleGrantPermission", permit)] * 5,
        ("RoleRevokePermission", forbid),
        *[("UserGrantRole", grant)] * 3,
        ("UserRevokeRole", rpc_pb2.AuthUserRevokeRoleRequest(name=user, role=role)),
        ("RoleAdd", rpc_pb2.AuthRoleAddRequest(name=role)),
        ("RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role=role)),
        ("RoleGet", rpc_pb2.AuthRoleGetRequest(role=role)),
        ("UserGet", rpc_pb2.AuthUserGetRequest(name=user)),
        ("RoleList", rpc_pb2.AuthRoleListRequest()),
    ]
    method, request = draw(st.sampled_from(requests))
    caller = draw(st.sampled_from(("root", "root", "root", "root", "u")))
    return f"Auth/{method}", request, caller


@st.composite
def use(draw: st.DrawFn) -> Step:
    key, end, other, far = draw(_key), draw(_end), draw(_key), draw(_end)
    read = Range(key=key, range_end=end, count_only=draw(_flag))
    put = Put(key=key, value=b"v", prev_kv=draw(_flag))
    delete = Delete(key=key, range_end=end, prev_kv=draw(_flag))
    # A put that shows what was is checked in a transaction since later than 3.4.23.
    plain = op(request_put=Put(key=other))
    txn = Txn(
        compare=[Compare(key=other, range_end=far)] if draw(_flag) else [],
        success=[op(request_range=read)] if draw(_flag) else [plain],
        failure=[op(request_delete_range=delete)] if draw(_flag) else [],
    )
    requests: list[tuple[str, Message]] = [
        *[("KV/Range", read)] * 3,
        *[("KV/Put", put)] * 2,
        ("KV/DeleteRange", delete),
        *[("KV/Txn", txn)] * 2,
    ]
    path, request = draw(st.sampled_from(requests))
    return path, request, draw(_caller)


@pytest.fixture(scope="module")
def users(both: Pair) -> Iterator[Pair]:
    for session in both:
        session.wipe()
        set_up(session, {"u": Grant(), "v": Grant()})
    yield both
    for session in both:
        session.wipe()


OPENING: list[Step] = [
    ("Auth/RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role="r"), "root"),
    ("Auth/RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role="q"), "root"),
    ("Auth/RoleAdd", rpc_pb2.AuthRoleAddRequest(name="r"), "root"),
    ("Auth/UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user="u", role="r"), "root"),
]


@pytest.mark.timeout(FUZZ_SECONDS)
@settings(
    max_examples=SEQUENCES,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(sequence=st.lists(st.one_of(administration(), use(), use()), min_size=8, max_size=25))
def test_random_requests_under_random_permissions_get_the_answers_of_a_real_etcd(
    users: Pair, sequence: list[Step]
) -> None:
    for path, request, caller in [*OPENING, *sequence]:
        mine, theirs = (session.ask(path, request, caller) for session in users)
        if mine != theirs:
            note(f"{path} by {caller!r}\n{request}\nours: {mine}\netcd: {theirs}")
        assert mine == theirs
