"""The same requests to ours and to a real etcd, on behalf of users by their tokens."""

import queue
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc
from google.protobuf.message import Message

from c101.core.proto import auth_pb2, rpc_pb2
from tests.kvserver.processes import Client

#: What a server said: a status and its text, or a response without what differs by nature.
Answer = tuple[str, str] | Message

#: How long an answer, and a test, may take where a password costs fifty milliseconds of a processor
#: that many share.
ASK_SECONDS = 60.0
SLOW_SECONDS = 240
#: What root's password is in one test or another.
ROOT_PASSWORDS = ("root", "pw", "other")

_INNER_TEXT = re.compile(r"^auth: ")
_LATER_CODES = {
    "invalid auth token": "UNAUTHENTICATED",
    "permission denied": "PERMISSION_DENIED",
    "user name is empty": "INVALID_ARGUMENT",
}


@dataclass
class Session:
    """One server, and the tokens it gave."""

    client: Client
    tokens: dict[str, str | None] = field(default_factory=lambda: {"": None})

    def ask(self, path: str, request: Message, caller: str = "") -> Answer:
        """Send *request* as *caller*, by whose token it goes; ``""`` sends none."""
        token = self.tokens[caller]
        name = type(request).__name__
        method = self.client.channel.unary_unary(
            "/etcdserverpb." + path,
            request_serializer=type(request).SerializeToString,
            response_deserializer=getattr(
                rpc_pb2, name.removesuffix("Request") + "Response"
            ).FromString,
        )
        metadata = () if token is None else (("token", token),)
        try:
            response: Message = method(request, timeout=ASK_SECONDS, metadata=metadata)
        except grpc.RpcError as exc:
            return exc.code().name, exc.details()
        if isinstance(response, rpc_pb2.AuthenticateResponse):
            response.token = re.sub(r"^[A-Za-z]{16}\.[0-9]+$", "a token", response.token)
        _clear_ids(response)
        return response

    def log_in(self, name: str, password: str) -> None:
        """Have *name* known to ``ask`` by a token."""
        request = rpc_pb2.AuthenticateRequest(name=name, password=password)
        method = self.client.channel.unary_unary(
            "/etcdserverpb.Auth/Authenticate",
            request_serializer=rpc_pb2.AuthenticateRequest.SerializeToString,
            response_deserializer=rpc_pb2.AuthenticateResponse.FromString,
        )
        self.tokens[name] = method(request, timeout=ASK_SECONDS).token

    def watch(self, caller: str, request: rpc_pb2.WatchCreateRequest) -> Message:
        """Return what is answered to the creation of a watch."""
        token = self.tokens[caller]
        requests: queue.SimpleQueue[rpc_pb2.WatchRequest | None] = queue.SimpleQueue()
        requests.put(rpc_pb2.WatchRequest(create_request=request))
        call = self.client.channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=rpc_pb2.WatchRequest.SerializeToString,
            response_deserializer=rpc_pb2.WatchResponse.FromString,
        )(
            iter(requests.get, None),
            timeout=ASK_SECONDS,
            metadata=() if token is None else (("token", token),),
        )
        response: rpc_pb2.WatchResponse = next(call)
        requests.put(None)
        call.cancel()
        _clear_ids(response)
        return response

    def keep_alive(self, caller: str, lease_id: int) -> Answer:
        """Return what is answered to the renewal of a lease."""
        token = self.tokens[caller]
        call = self.client.channel.stream_stream(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=rpc_pb2.LeaseKeepAliveRequest.SerializeToString,
            response_deserializer=rpc_pb2.LeaseKeepAliveResponse.FromString,
        )(
            iter([rpc_pb2.LeaseKeepAliveRequest(ID=lease_id)]),
            timeout=ASK_SECONDS,
            metadata=() if token is None else (("token", token),),
        )
        try:
            response: rpc_pb2.LeaseKeepAliveResponse = next(call)
        except grpc.RpcError as exc:
            return exc.code().name, exc.details()
        _clear_ids(response)
        return response

    def wipe(self) -> None:
        """Turn auth off, if it is on, and delete every user and role."""
        self.tokens = {"": None}
        disable = rpc_pb2.AuthDisableRequest()
        if isinstance(self.ask("Auth/AuthDisable", disable), tuple):
            for password in ROOT_PASSWORDS:
                try:
                    self.log_in("root", password)
                except grpc.RpcError:
                    continue
                break
            self.ask("Auth/AuthDisable", disable, "root")
            self.tokens = {"": None}
        users = self.ask("Auth/UserList", rpc_pb2.AuthUserListRequest())
        assert isinstance(users, rpc_pb2.AuthUserListResponse)
        for user in users.users:
            self.ask("Auth/UserDelete", rpc_pb2.AuthUserDeleteRequest(name=user))
        roles = self.ask("Auth/RoleList", rpc_pb2.AuthRoleListRequest())
        assert isinstance(roles, rpc_pb2.AuthRoleListResponse)
        for role in roles.roles:
            self.ask("Auth/RoleDelete", rpc_pb2.AuthRoleDeleteRequest(role=role))


def _clear_ids(response: Message) -> None:
    if "header" in response.DESCRIPTOR.fields_by_name:
        for name in ("cluster_id", "member_id", "raft_term"):
            response.header.ClearField(name)  # type: ignore[attr-defined]


def as_later(answer: Answer) -> Answer:
    """Give a refusal of Maintenance the code and text that etcd gives it since 3.5."""
    if isinstance(answer, tuple) and answer[0] == "UNKNOWN" and _INNER_TEXT.match(answer[1]):
        reason = answer[1].removeprefix("auth: ")
        return _LATER_CODES[reason], f"etcdserver: {reason}"
    return answer


@dataclass(frozen=True)
class Grant:
    """A user with one role that has one permission; the role is called like the user."""

    permission: auth_pb2.Permission | None = None


def permission(kind: str, key: bytes, range_end: bytes = b"") -> auth_pb2.Permission:
    return auth_pb2.Permission(permType=kind, key=key, range_end=range_end)


def set_up(session: Session, users: Mapping[str, Grant]) -> None:
    """Make root and *users*, each with its name for a password, and turn auth on."""
    ask = session.ask
    for name, grant in {"root": Grant(), **users}.items():
        ask("Auth/UserAdd", rpc_pb2.AuthUserAddRequest(name=name, password=name))
        ask("Auth/RoleAdd", rpc_pb2.AuthRoleAddRequest(name=name))
        ask("Auth/UserGrantRole", rpc_pb2.AuthUserGrantRoleRequest(user=name, role=name))
        if grant.permission is not None:
            request = rpc_pb2.AuthRoleGrantPermissionRequest(name=name, perm=grant.permission)
            ask("Auth/RoleGrantPermission", request)
    ask("Auth/AuthEnable", rpc_pb2.AuthEnableRequest())
    for name in ("root", *users):
        session.log_in(name, name)
