"""etcdserverpb.Cluster: the one member there is."""

from collections.abc import Mapping

from c101.core.kv.snapshot.etcd_buckets import MEMBER_NAME
from c101.core.kvserver.context import Context, parse
from c101.core.kvserver.permission import admins, named
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import UnaryCall, UnaryHandler
from c101.core.rpc.status import Code, RpcError

_CANNOT_GROW = (
    "c101: the embedded KV is a single member and cannot grow; "
    "docs/etcd.md says how to move to an etcd cluster"
)


class ClusterService:
    """The Cluster service of a store that is alone."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Return the handlers by path."""
        changes = ("MemberAdd", "MemberRemove", "MemberUpdate", "MemberPromote")
        auth = self._context.auth
        refused = admins(auth, refuse_change)
        return {
            "/etcdserverpb.Cluster/MemberList": named(auth, self.member_list),
            **{f"/etcdserverpb.Cluster/{name}": refused for name in changes},
        }

    def member_list(self, call: UnaryCall, message: bytes) -> None:
        """List this member with the URLs it listens on."""
        parse(rpc_pb2.MemberListRequest, message)
        response = rpc_pb2.MemberListResponse()
        response.members.add(
            ID=self._context.store.storage.member_id,
            name=MEMBER_NAME,
            clientURLs=self._context.client_urls,
        )
        # Members are no part of the history: their header has no revision (etcd: clusterServer).
        call.reply(self._context.header(0) + response.SerializeToString())


def refuse_change(_call: UnaryCall, _message: bytes) -> None:
    """Refuse to change the membership."""
    raise RpcError(Code.FAILED_PRECONDITION, _CANNOT_GROW)
