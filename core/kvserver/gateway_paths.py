"""Which path of the JSON gateway means which RPC. The table is etcd's, double paths too."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from google.protobuf.descriptor import Descriptor, FileDescriptor

from c101.core.proto import rpc_pb2, v3election_pb2, v3lock_pb2

#: What every path begins with; the second is what etcd 3.3 had and 3.4 still answers.
PREFIXES: Final = ("/v3/", "/v3beta/")

_SERVICES: Final[dict[str, tuple[FileDescriptor, dict[str, str]]]] = {
    "KV": (
        rpc_pb2.DESCRIPTOR,
        {
            "kv/range": "Range",
            "kv/put": "Put",
            "kv/deleterange": "DeleteRange",
            "kv/txn": "Txn",
            "kv/compaction": "Compact",
        },
    ),
    "Watch": (rpc_pb2.DESCRIPTOR, {"watch": "Watch"}),
    "Lease": (
        rpc_pb2.DESCRIPTOR,
        {
            "lease/grant": "LeaseGrant",
            "lease/revoke": "LeaseRevoke",
            "kv/lease/revoke": "LeaseRevoke",
            "lease/keepalive": "LeaseKeepAlive",
            "lease/timetolive": "LeaseTimeToLive",
            "kv/lease/timetolive": "LeaseTimeToLive",
            "lease/leases": "LeaseLeases",
            "kv/lease/leases": "LeaseLeases",
        },
    ),
    "Cluster": (
        rpc_pb2.DESCRIPTOR,
        {
            "cluster/member/add": "MemberAdd",
            "cluster/member/remove": "MemberRemove",
            "cluster/member/update": "MemberUpdate",
            "cluster/member/list": "MemberList",
            "cluster/member/promote": "MemberPromote",
        },
    ),
    "Maintenance": (
        rpc_pb2.DESCRIPTOR,
        {
            "maintenance/alarm": "Alarm",
            "maintenance/status": "Status",
            "maintenance/defragment": "Defragment",
            "maintenance/hash": "Hash",
            "maintenance/hashkv": "HashKV",
            "maintenance/snapshot": "Snapshot",
            "maintenance/transfer-leadership": "MoveLeader",
            "maintenance/downgrade": "Downgrade",
        },
    ),
    "Auth": (
        rpc_pb2.DESCRIPTOR,
        {
            "auth/enable": "AuthEnable",
            "auth/disable": "AuthDisable",
            "auth/status": "AuthStatus",
            "auth/authenticate": "Authenticate",
            "auth/user/add": "UserAdd",
            "auth/user/get": "UserGet",
            "auth/user/list": "UserList",
            "auth/user/delete": "UserDelete",
            "auth/user/changepw": "UserChangePassword",
            "auth/user/grant": "UserGrantRole",
            "auth/user/revoke": "UserRevokeRole",
            "auth/role/add": "RoleAdd",
            "auth/role/get": "RoleGet",
            "auth/role/list": "RoleList",
            "auth/role/delete": "RoleDelete",
            "auth/role/grant": "RoleGrantPermission",
            "auth/role/revoke": "RoleRevokePermission",
        },
    ),
    "Lock": (v3lock_pb2.DESCRIPTOR, {"lock/lock": "Lock", "lock/unlock": "Unlock"}),
    "Election": (
        v3election_pb2.DESCRIPTOR,
        {
            "election/campaign": "Campaign",
            "election/proclaim": "Proclaim",
            "election/leader": "Leader",
            "election/observe": "Observe",
            "election/resign": "Resign",
        },
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """One RPC that has a path: its own path, its messages, and which side may send several."""

    rpc: str
    request: Descriptor
    response: Descriptor
    streams_requests: bool
    streams_responses: bool


def _methods() -> dict[str, Method]:
    found = {}
    for service_name, (file, paths) in _SERVICES.items():
        service = file.services_by_name[service_name]
        for path, name in paths.items():
            method = service.methods_by_name[name]
            found[path] = Method(
                rpc=f"/{service.full_name}/{name}",
                request=method.input_type,
                response=method.output_type,
                streams_requests=method.client_streaming,
                streams_responses=method.server_streaming,
            )
    return found


#: The methods by path, without the prefix.
METHODS: Final = MappingProxyType(_methods())
