"""etcdserverpb.Maintenance: Status, Alarm, Defragment, Hash, HashKV, MoveLeader."""

from collections.abc import Mapping

from c101.core.kv import refusal
from c101.core.kv.alarms import describe
from c101.core.kv.hash import Hasher
from c101.core.kv.refusal import refuse
from c101.core.kvserver.context import ETCD_VERSION, RAFT_TERM, Context, parse
from c101.core.kvserver.permission import admins
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import UnaryCall, UnaryHandler, unary


class MaintenanceService:
    """The Maintenance service on a store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._hasher = Hasher(context.store, context.clock)
        self._alarm = unary(self._answer_alarm)

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
            "/etcdserverpb.Maintenance/MoveLeader": self.move_leader,
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
            errors=map(describe, self._store.admission.alarms.raised()),
        )
        call.reply(self._context.current_header() + response.SerializeToString())

    def alarm(self, call: UnaryCall, message: bytes) -> None:
        """List alarms for whoever has a name, raise or disarm them for an admin."""
        request = parse(rpc_pb2.AlarmRequest, message)
        auth = self._context.auth
        if auth.enabled:
            caller = auth.caller_of(call)
            auth.require_named(caller)
            if request.action != rpc_pb2.AlarmRequest.GET:
                auth.require_admin(caller)
        self._alarm(call, message)

    async def _answer_alarm(self, message: bytes) -> bytes:
        """List, raise or disarm. As with etcd the answer has no header."""
        request = parse(rpc_pb2.AlarmRequest, message)
        response = rpc_pb2.AlarmResponse()
        alarms = self._store.admission.alarms
        if request.action == rpc_pb2.AlarmRequest.GET:
            response.alarms.extend(alarms.raised(request.alarm))
        elif request.alarm != rpc_pb2.AlarmType.NONE:
            alarm = rpc_pb2.AlarmMember(memberID=request.memberID, alarm=request.alarm)
            raised = request.action == rpc_pb2.AlarmRequest.ACTIVATE
            if raised or alarms.includes(alarm):
                self._store.admission.check_working()
                self._store.stage_alarm(alarm, raised=raised)
                await self._store.durable()
                response.alarms.append(alarm)
        return response.SerializeToString()

    async def defragment(self, message: bytes) -> bytes:
        """Copy the write-ahead log into the database and give free pages back to the disk."""
        parse(rpc_pb2.DefragmentRequest, message)
        self._store.admission.check_working()
        await self._store.defragment()
        # etcd leaves the header out here.
        return b""

    async def hash(self, message: bytes) -> bytes:
        """Hash every change that is there; an etcd's covers its membership, too."""
        parse(rpc_pb2.HashRequest, message)
        response = rpc_pb2.HashResponse(hash=await self._hasher.everything())
        return self._context.current_header() + response.SerializeToString()

    async def hash_kv(self, message: bytes) -> bytes:
        """Hash what is kept up to a revision (0: the current one), as an etcd does."""
        request = parse(rpc_pb2.HashKVRequest, message)
        store = self._store
        compacted = store.compact_revision
        if 0 < request.revision <= compacted:
            raise refuse(refusal.COMPACTED)
        if request.revision > store.revision:
            raise refuse(refusal.FUTURE_REVISION)
        checksum = await self._hasher.up_to(request.revision or store.revision)
        response = rpc_pb2.HashKVResponse(hash=checksum, compact_revision=compacted)
        return self._context.current_header() + response.SerializeToString()

    def move_leader(self, call: UnaryCall, message: bytes) -> None:
        """Move the leadership to the one member, which has it; the answer has no header."""
        request = parse(rpc_pb2.MoveLeaderRequest, message)
        if request.targetID != self._store.storage.member_id:
            raise refuse(refusal.BAD_TRANSFEREE)
        call.reply(b"")
