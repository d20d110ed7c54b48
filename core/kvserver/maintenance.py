"""etcdserverpb.Maintenance: Status, Alarm, Defragment, Hash, HashKV."""

import zlib
from collections.abc import Mapping

from c101.core.kv import refusal
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import bound
from c101.core.kvserver.context import ETCD_VERSION, RAFT_TERM, Context, parse
from c101.core.kvserver.permission import admins
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import UnaryCall, UnaryHandler, unary
from c101.core.rpc.status import Code, RpcError

#: Rows hashed before other work gets a turn.
ROWS_PER_STEP = 500


class MaintenanceService:
    """The Maintenance service on a store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store

    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Return the handlers by path."""
        auth = self._context.auth
        return {
            # Health checks ask for it without a name.
            "/etcdserverpb.Maintenance/Status": self.status,
            "/etcdserverpb.Maintenance/Alarm": self.alarm,
            "/etcdserverpb.Maintenance/Defragment": admins(auth, unary(self.defragment)),
            "/etcdserverpb.Maintenance/Hash": admins(auth, unary(self.hash)),
            "/etcdserverpb.Maintenance/HashKV": admins(auth, unary(self.hash_kv)),
        }

    def status(self, call: UnaryCall, message: bytes) -> None:
        """Describe this member; a single one is its own leader."""
        parse(rpc_pb2.StatusRequest, message)
        storage = self._store.storage
        size, in_use = storage.size_bytes()
        # There is no raft; its index is what clients compare between members: the revision does.
        index = self._store.revision
        response = rpc_pb2.StatusResponse(
            version=ETCD_VERSION,
            dbSize=size,
            dbSizeInUse=in_use,
            leader=storage.member_id,
            raftIndex=index,
            raftAppliedIndex=index,
            raftTerm=RAFT_TERM,
        )
        call.reply(self._context.current_header() + response.SerializeToString())

    def alarm(self, call: UnaryCall, message: bytes) -> None:
        """Answer that there is no alarm; none can be raised."""
        request = parse(rpc_pb2.AlarmRequest, message)
        auth = self._context.auth
        if auth.enabled:
            caller = auth.caller_of(call)
            auth.require_named(caller)
            if request.action != rpc_pb2.AlarmRequest.GET:
                auth.require_admin(caller)
        if request.action == rpc_pb2.AlarmRequest.ACTIVATE:
            raise RpcError(Code.FAILED_PRECONDITION, "c101: alarms cannot be activated by hand")
        call.reply(self._context.current_header())

    async def defragment(self, message: bytes) -> bytes:
        """Copy the write-ahead log into the database and give free pages back to the disk."""
        parse(rpc_pb2.DefragmentRequest, message)
        self._store.admit()
        await self._store.defragment()
        # etcd leaves the header out here.
        return b""

    async def hash(self, message: bytes) -> bytes:
        """Hash everything: equal data gives equal hashes among c101's, not with an etcd's."""
        parse(rpc_pb2.HashRequest, message)
        checksum = await self._checksum(self._store.revision)
        response = rpc_pb2.HashResponse(hash=checksum)
        return self._context.current_header() + response.SerializeToString()

    async def hash_kv(self, message: bytes) -> bytes:
        """Hash what is kept up to a revision (0: the current one); see ``hash``."""
        request = parse(rpc_pb2.HashKVRequest, message)
        store = self._store
        revision = request.revision or store.revision
        if revision > store.revision:
            raise refuse(refusal.FUTURE_REVISION)
        if revision < store.compact_revision:
            raise refuse(refusal.COMPACTED)
        response = rpc_pb2.HashKVResponse(
            compact_revision=store.compact_revision, hash_revision=revision
        )
        response.hash = await self._checksum(revision)
        return self._context.current_header() + response.SerializeToString()

    async def _checksum(self, revision: int) -> int:
        checksum = start = 0
        limit = bound(revision)
        while rows := self._store.storage.scan(start, limit, ROWS_PER_STEP):
            for change, key, record in rows:
                checksum = zlib.crc32(change.to_bytes(8, "big") + key + (record or b""), checksum)
            start = rows[-1][0] + 1
            await self._context.clock.sleep(0)
        return checksum
