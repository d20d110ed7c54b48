"""What 3.4.23 lets pass and etcd's later releases refuse as a vulnerability; ADR 13 lists it."""

from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from c101.core.proto import rpc_pb2
from tests.kvserver.auth.pair import SLOW_SECONDS, Answer, Session
from tests.kvserver.auth.users import (
    CALLERS,
    USERS,
    Compare,
    Delete,
    Put,
    Range,
    Txn,
    guard,
    op,
    then,
)
from tests.kvserver.processes import Ours

pytestmark = [pytest.mark.integration, pytest.mark.timeout(SLOW_SECONDS)]

DENIED = ("PERMISSION_DENIED", "etcdserver: permission denied")
NAMELESS = ("INVALID_ARGUMENT", "etcdserver: user name is empty")
BAD_TOKEN = ("UNAUTHENTICATED", "etcdserver: invalid auth token")


@pytest.fixture(scope="module")
def guarded(ours: Ours) -> Iterator[Session]:
    """Our server with users, keys and leases, auth on, and tokens of all users."""
    session = Session(ours.client())
    guard(session)
    yield session
    session.wipe()
    session.client.close()


NESTED = {
    "puts": then(op(request_txn=then(op(request_put=Put(key=b"x"))))),
    "puts in the branch not taken": then(
        op(request_txn=Txn(failure=[op(request_put=Put(key=b"x"))]))
    ),
    "compares": then(op(request_txn=Txn(compare=[Compare(key=b"x")]))),
    "reads": then(op(request_txn=then(op(request_range=Range(key=b"x"))))),
    "reads, deeper": then(
        op(request_txn=then(op(request_txn=then(op(request_range=Range(key=b"x"))))))
    ),
    "deletes": then(op(request_txn=then(op(request_delete_range=Delete(key=b"x"))))),
}


def who_may(session: Session, path: str, request: Message) -> dict[str, Answer]:
    """Return what each caller hears who is refused."""
    answers = {caller: session.ask(path, request, caller) for caller in CALLERS}
    return {caller: answer for caller, answer in answers.items() if isinstance(answer, tuple)}


def refused(*denied: str) -> dict[str, Answer]:
    """Return what is heard when *denied* and those without a proper name are refused."""
    nobody: dict[str, Answer] = {"": NAMELESS}
    nobody |= dict.fromkeys(("bad token", "rubbish", "empty"), BAD_TOKEN)
    return nobody | dict.fromkeys(denied, DENIED)


@pytest.mark.parametrize("what", NESTED)
def test_a_nested_transaction_is_checked_like_any_other(guarded: Session, what: str) -> None:
    denied = ("both", "reader", "writer", "key", "nothing")
    assert who_may(guarded, "KV/Txn", NESTED[what]) == refused(*denied)


def test_a_put_of_a_transaction_shows_what_was_to_readers_only(guarded: Session) -> None:
    request = then(op(request_put=Put(key=b"u/a", prev_kv=True)))
    assert who_may(guarded, "KV/Txn", request) == refused("reader", "writer", "nothing")


def test_a_put_of_a_transaction_hangs_on_leases_one_could_end_only(guarded: Session) -> None:
    request = then(op(request_put=Put(key=b"u/b", lease=7)))
    denied = ("both", "reader", "writer", "key", "nothing")
    assert who_may(guarded, "KV/Txn", request) == refused(*denied)


def test_a_watch_from_a_key_on_needs_permission_for_all_that_follows(guarded: Session) -> None:
    request = rpc_pb2.WatchCreateRequest(key=b"u/a", range_end=b"\0")
    may = [
        caller
        for caller in CALLERS
        if not guarded.watch(caller, request).canceled  # type: ignore[attr-defined]
    ]
    assert may == ["root", "tail"]


def test_the_keys_of_a_lease_are_told_to_who_may_read_them(guarded: Session) -> None:
    ask = rpc_pb2.LeaseTimeToLiveRequest
    path = "Lease/LeaseTimeToLive"
    denied = ("both", "reader", "writer", "key", "nothing")
    assert who_may(guarded, path, ask(ID=7, keys=True)) == refused(*denied)
    assert who_may(guarded, path, ask(ID=7)) == refused()
    assert who_may(guarded, path, ask(ID=99, keys=True)) == refused()


def test_leases_are_listed_for_who_may_read_all_their_keys(guarded: Session) -> None:
    denied = ("both", "reader", "writer", "key", "nothing")
    path, request = "Lease/LeaseLeases", rpc_pb2.LeaseLeasesRequest()
    assert who_may(guarded, path, request) == refused(*denied)


def test_a_lease_is_granted_to_who_has_a_name(guarded: Session) -> None:
    request = rpc_pb2.LeaseGrantRequest(TTL=60)
    assert who_may(guarded, "Lease/LeaseGrant", request) == refused()


def test_a_lease_is_renewed_by_who_may_write_all_its_keys(guarded: Session) -> None:
    answers = {caller: guarded.keep_alive(caller, 7) for caller in CALLERS}
    heard = {caller: answer for caller, answer in answers.items() if isinstance(answer, tuple)}
    assert heard == refused("both", "reader", "writer", "key", "nothing")
    answers = {caller: guarded.keep_alive(caller, 9) for caller in CALLERS}
    assert {c: a for c, a in answers.items() if isinstance(a, tuple)} == refused()


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("KV/Compact", rpc_pb2.CompactionRequest(revision=10_000)),
        ("Maintenance/Alarm", rpc_pb2.AlarmRequest(action=2)),  # type: ignore[arg-type]
        ("Maintenance/Hash", rpc_pb2.HashRequest()),
        ("Maintenance/HashKV", rpc_pb2.HashKVRequest()),
        ("Cluster/MemberAdd", rpc_pb2.MemberAddRequest()),
        ("Cluster/MemberRemove", rpc_pb2.MemberRemoveRequest(ID=5)),
        ("Cluster/MemberUpdate", rpc_pb2.MemberUpdateRequest(ID=5)),
        ("Cluster/MemberPromote", rpc_pb2.MemberPromoteRequest(ID=5)),
        ("Auth/AuthStatus", rpc_pb2.AuthStatusRequest()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_administration_is_roots(guarded: Session, path: str, request_: Message) -> None:
    heard = who_may(guarded, path, request_)
    # Root hears of the request itself, that it cannot be.
    heard.pop("root", None)
    assert heard == refused(*USERS)


@pytest.mark.parametrize(
    ("path", "request_"),
    [
        ("Maintenance/Alarm", rpc_pb2.AlarmRequest()),
        ("Cluster/MemberList", rpc_pb2.MemberListRequest()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_members_and_alarms_are_told_to_who_has_a_name(
    guarded: Session, path: str, request_: Message
) -> None:
    assert who_may(guarded, path, request_) == refused()


def test_the_state_of_the_member_is_told_to_everybody(guarded: Session) -> None:
    assert who_may(guarded, "Maintenance/Status", rpc_pb2.StatusRequest()) == {}
