"""Lock and Election while auth is on: whoever calls needs what the requests behind it need."""

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf.message import Message

from c101.core.proto import rpc_pb2, v3election_pb2, v3lock_pb2
from tests.kvserver.auth.pair import Session
from tests.kvserver.auth.users import CALLERS, guard
from tests.kvserver.lock_calls import ELECTION, LOCK, Leader, until
from tests.kvserver.processes import CALL_SECONDS, HAVE_ETCD

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

Pair = tuple[Session, Session]


@pytest.fixture(scope="module")
def guarded(both: Pair) -> Iterator[Pair]:
    for session in both:
        guard(session)
    yield both
    for session in both:
        session.wipe()


def metadata(session: Session, caller: str) -> tuple[tuple[str, str], ...]:
    token = session.tokens[caller]
    return () if token is None else (("token", token),)


def ask(
    session: Session, caller: str, path: str, request: Message, kind: type[Message]
) -> tuple[str, str] | Message:
    method = session.client.channel.unary_unary(
        path,
        request_serializer=type(request).SerializeToString,
        response_deserializer=kind.FromString,
    )
    try:
        answer: Message = method(request, timeout=CALL_SECONDS, metadata=metadata(session, caller))
    except grpc.RpcError as error:
        return error.code().name, error.details()
    return answer


def lock(session: Session, caller: str, name: bytes) -> tuple[str, str] | Message:
    request = v3lock_pb2.LockRequest(name=name)
    return ask(session, caller, LOCK + "Lock", request, v3lock_pb2.LockResponse)


def unlock(session: Session, caller: str, key: bytes) -> tuple[str, str] | Message:
    request = v3lock_pb2.UnlockRequest(key=key)
    return ask(session, caller, LOCK + "Unlock", request, v3lock_pb2.UnlockResponse)


def campaign(session: Session, caller: str, name: bytes) -> tuple[str, str] | Message:
    request = v3election_pb2.CampaignRequest(name=name, value=b"v")
    return ask(session, caller, ELECTION + "Campaign", request, v3election_pb2.CampaignResponse)


def resign(session: Session, caller: str, leader: Leader) -> tuple[str, str] | Message:
    request = v3election_pb2.ResignRequest(leader=leader)
    return ask(session, caller, ELECTION + "Resign", request, v3election_pb2.ResignResponse)


def look(session: Session, caller: str, name: bytes) -> tuple[str, str] | Message:
    request = v3election_pb2.LeaderRequest(name=name)
    return ask(session, caller, ELECTION + "Leader", request, v3election_pb2.LeaderResponse)


def proclaim(session: Session, caller: str, name: bytes) -> tuple[str, str] | Message:
    leader = Leader(name=name, key=name + b"/9", rev=1, lease=9)
    request = v3election_pb2.ProclaimRequest(leader=leader, value=b"v")
    return ask(session, caller, ELECTION + "Proclaim", request, v3election_pb2.ProclaimResponse)


def told(answer: tuple[str, str] | Message) -> str:
    return f"{answer[0]} {answer[1]}" if isinstance(answer, tuple) else "done"


def play(session: Session, caller: str, name: bytes) -> list[str]:
    """Call everything on behalf of *caller*; what succeeded is taken back."""
    locked = lock(session, caller, name)
    seen = [told(locked), told(unlock(session, caller, name + b"/none"))]
    if isinstance(locked, v3lock_pb2.LockResponse):
        seen.append(told(unlock(session, caller, locked.key)))
    elected = campaign(session, caller, name)
    seen += [
        told(elected),
        told(look(session, caller, name)),
        told(proclaim(session, caller, name)),
    ]
    if isinstance(elected, v3election_pb2.CampaignResponse):
        seen.append(told(resign(session, caller, elected.leader)))
    return seen


@pytest.mark.parametrize("name", [b"u/lock", b"x"])
@pytest.mark.parametrize("caller", CALLERS)
def test_who_may_lock_and_lead_is_who_a_real_etcd_lets(
    guarded: Pair, caller: str, name: bytes
) -> None:
    mine, theirs = (play(session, caller, name) for session in guarded)
    assert mine == theirs


def test_a_waiter_whose_permission_is_taken_meanwhile_does_not_get_the_lock(
    guarded: Pair,
) -> None:
    ours = guarded[0]
    held = lock(ours, "root", b"u/taken")
    assert isinstance(held, v3lock_pb2.LockResponse)
    request = v3lock_pb2.LockRequest(name=b"u/taken")
    method = ours.client.channel.unary_unary(
        LOCK + "Lock",
        request_serializer=v3lock_pb2.LockRequest.SerializeToString,
        response_deserializer=v3lock_pb2.LockResponse.FromString,
    )
    waiting = method.future(request, metadata=metadata(ours, "both"))
    span = rpc_pb2.RangeRequest(key=b"u/taken/", range_end=b"u/taken0")

    def count() -> int:
        found = ours.ask("KV/Range", span, "root")
        assert isinstance(found, rpc_pb2.RangeResponse)
        return found.count

    until(lambda: count() == 2)
    role = rpc_pb2.AuthRoleRevokePermissionRequest(role="both", key=b"u/", range_end=b"u0")
    ours.ask("Auth/RoleRevokePermission", role, "root")
    unlock(ours, "root", held.key)
    with pytest.raises(grpc.RpcError) as error:
        waiting.result(10)
    assert error.value.details() == "etcdserver: permission denied"
