"""What each method needs, so that who came by the socket of a role may call it.

The rules are those of our own KV (``kv.auth.checks``), looked at before a request is passed on. A
method that is not named here is an admin's.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from google.protobuf.message import DecodeError, Message

from c101.core.kv import refusal
from c101.core.kv.auth import checks
from c101.core.kv.auth.authority import Authority
from c101.core.kv.auth.caller import Caller
from c101.core.kv.refusal import refuse
from c101.core.kvserver.front.leases import Leases
from c101.core.proto import (
    health_pb2,
    reflection_pb2,
    reflection_v1alpha_pb2,
    rpc_pb2,
    v3election_pb2,
    v3lock_pb2,
)
from c101.core.rpc.status import Code, RpcError

_M = TypeVar("_M", bound=Message)


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, what that one may, and the leases that it may be about."""

    auth: Authority
    caller: Caller
    leases: Leases


#: Looks at one message of a call; raises RpcError if it is not permitted.
Check = Callable[[Asking, bytes], Awaitable[None]]


def _services() -> tuple[frozenset[str], frozenset[str]]:
    unary: set[str] = set()
    streams: set[str] = set()
    for file in (
        rpc_pb2, v3lock_pb2, v3election_pb2, health_pb2, reflection_pb2, reflection_v1alpha_pb2,
    ):  # fmt: skip
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                streaming = method.client_streaming or method.server_streaming
                (streams if streaming else unary).add(f"/{service.full_name}/{method.name}")
    return frozenset(unary), frozenset(streams)


#: All that an etcd may be asked, by path. What the one at hand does not know, it says itself.
UNARY, STREAMS = _services()


async def _anything(_asking: Asking, _message: bytes) -> None:
    """Permit it to everybody who has a role."""


async def _range(asking: Asking, message: bytes) -> None:
    request = _parsed(rpc_pb2.RangeRequest, message)
    checks.check_read(asking.auth, asking.caller, request.key, request.range_end)


async def _put(asking: Asking, message: bytes) -> None:
    request = _parsed(rpc_pb2.PutRequest, message)
    checks.check_put_keys(asking.auth, asking.caller, request)
    await asking.leases.check_use(asking.auth, asking.caller, (request.lease,))


async def _delete_range(asking: Asking, message: bytes) -> None:
    request = _parsed(rpc_pb2.DeleteRangeRequest, message)
    checks.check_delete_range(asking.auth, asking.caller, request)


async def _txn(asking: Asking, message: bytes) -> None:
    request = _parsed(rpc_pb2.TxnRequest, message)
    leases = checks.check_txn_keys(asking.auth, asking.caller, request)
    await asking.leases.check_use(asking.auth, asking.caller, leases)


async def _revoke(asking: Asking, message: bytes) -> None:
    request = _parsed(rpc_pb2.LeaseRevokeRequest, message)
    await asking.leases.check(asking.auth, asking.caller, request.ID)


async def _keep_alive(asking: Asking, message: bytes) -> None:
    request = _parsed(rpc_pb2.LeaseKeepAliveRequest, message)
    await asking.leases.check_use(asking.auth, asking.caller, (request.ID,))


async def _watch(asking: Asking, message: bytes) -> None:
    request = _parsed(rpc_pb2.WatchRequest, message)
    if request.HasField("create_request"):
        wanted = request.create_request
        checks.check_watch(asking.auth, asking.caller, wanted.key, wanted.range_end)


async def _alarm(asking: Asking, message: bytes) -> None:
    if _parsed(rpc_pb2.AlarmRequest, message).action != rpc_pb2.AlarmRequest.GET:
        asking.auth.require_admin(asking.caller)


async def _lock(asking: Asking, message: bytes) -> None:
    request = _parsed(v3lock_pb2.LockRequest, message)
    await _queue(asking, request.name, request.lease)


async def _unlock(asking: Asking, message: bytes) -> None:
    request = _parsed(v3lock_pb2.UnlockRequest, message)
    checks.check_write(asking.auth, asking.caller, request.key)


async def _campaign(asking: Asking, message: bytes) -> None:
    request = _parsed(v3election_pb2.CampaignRequest, message)
    await _queue(asking, request.name, request.lease)


async def _proclaim(asking: Asking, message: bytes) -> None:
    request = _parsed(v3election_pb2.ProclaimRequest, message)
    checks.check_write(asking.auth, asking.caller, request.leader.key)


async def _resign(asking: Asking, message: bytes) -> None:
    request = _parsed(v3election_pb2.ResignRequest, message)
    checks.check_write(asking.auth, asking.caller, request.leader.key)


async def _leader(asking: Asking, message: bytes) -> None:
    request = _parsed(v3election_pb2.LeaderRequest, message)
    checks.check_read(asking.auth, asking.caller, request.name + b"/", request.name + b"0")


async def _queue(asking: Asking, name: bytes, lease_id: int) -> None:
    """Check who waits in line by a key below *name*, that a lease ends with."""
    below = (name + b"/", name + b"0")  # the letter after the slash
    checks.check_read(asking.auth, asking.caller, *below)
    checks.check_write(asking.auth, asking.caller, *below)
    await asking.leases.check_use(asking.auth, asking.caller, (lease_id,))


def _parsed(kind: type[_M], message: bytes) -> _M:
    try:
        return kind.FromString(message)
    except DecodeError as exc:
        text = f"grpc: error while unmarshalling request: {exc}"
        raise RpcError(Code.INTERNAL, text) from exc


CHECKS: Final[Mapping[str, Check]] = {
    "/etcdserverpb.KV/Range": _range,
    "/etcdserverpb.KV/Put": _put,
    "/etcdserverpb.KV/DeleteRange": _delete_range,
    "/etcdserverpb.KV/Txn": _txn,
    "/etcdserverpb.Lease/LeaseGrant": _anything,
    "/etcdserverpb.Lease/LeaseRevoke": _revoke,
    "/etcdserverpb.Lease/LeaseKeepAlive": _keep_alive,
    "/etcdserverpb.Lease/LeaseTimeToLive": _anything,
    "/etcdserverpb.Lease/LeaseLeases": _anything,
    "/etcdserverpb.Watch/Watch": _watch,
    "/etcdserverpb.Maintenance/Status": _anything,
    "/etcdserverpb.Maintenance/Alarm": _alarm,
    "/etcdserverpb.Cluster/MemberList": _anything,
    "/v3lockpb.Lock/Lock": _lock,
    "/v3lockpb.Lock/Unlock": _unlock,
    "/v3electionpb.Election/Campaign": _campaign,
    "/v3electionpb.Election/Proclaim": _proclaim,
    "/v3electionpb.Election/Leader": _leader,
    "/v3electionpb.Election/Observe": _leader,
    "/v3electionpb.Election/Resign": _resign,
    "/grpc.health.v1.Health/Check": _anything,
    "/grpc.health.v1.Health/Watch": _anything,
}


async def admins_only(asking: Asking, _message: bytes) -> None:
    """Refuse it, and write that down: what came by the admin's socket is not looked at."""
    asking.auth.denied(asking.caller, "what only an admin may")
    raise refuse(refusal.PERMISSION_DENIED)
