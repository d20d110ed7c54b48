"""v3electionpb.Election: the leader is whose key is the oldest below the election's name."""

import asyncio
from collections.abc import Mapping

from c101.core.kv import refusal
from c101.core.kvserver.context import Context, parse
from c101.core.kvserver.in_process import InProcess, for_caller, passed_on
from c101.core.kvserver.queue import Queue, guarded, is_delete
from c101.core.proto import kv_pb2, rpc_pb2, v3election_pb2
from c101.core.rpc.server import ServerStream, StreamHandler, UnaryCall, UnaryHandler
from c101.core.rpc.server_call import ServerCall
from c101.core.rpc.status import Code, RpcError

_LeaderKey = v3election_pb2.LeaderKey

_NOT_LEADER = "election: not leader"
_NO_LEADER = "election: no leader"
_MISSING_LEADER = '"leader" field must be provided'


class ElectionService:
    """The Election service, a client of the store."""

    def __init__(self, kv: InProcess) -> None:
        self._kv = kv
        self._context: Context = kv.context

    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Return the handlers of unary calls by path."""
        return {
            "/v3electionpb.Election/Campaign": for_caller(self.campaign),
            "/v3electionpb.Election/Proclaim": for_caller(self.proclaim),
            "/v3electionpb.Election/Leader": for_caller(self.leader),
            "/v3electionpb.Election/Resign": for_caller(self.resign),
        }

    def stream_handlers(self) -> Mapping[str, StreamHandler]:
        """Return the handlers of streams by path."""
        return {"/v3electionpb.Election/Observe": self.observe}

    async def campaign(self, call: UnaryCall, message: bytes) -> bytes:
        """Wait to be leader; who campaigns a second time only proclaims the other value.

        A caller that leaves gives its place up. One whose lease ended while it waited is refused;
        etcd would tell it that it leads.
        """
        request = parse(v3election_pb2.CampaignRequest, message)
        queue = Queue(self._kv, call, request.name)
        lease = await queue.session(request.lease)
        key = queue.key(lease)
        enter = guarded(key, 0)
        put = enter.success.add().request_put
        put.key, put.value, put.lease = key, request.value, lease
        enter.failure.add().request_range.key = key
        entered = await queue.enter(enter)
        leader = _LeaderKey(name=request.name, key=key, lease=lease, rev=entered.header.revision)
        try:
            if not entered.succeeded:
                found = entered.responses[0].response_range.kvs[0]
                leader.rev = found.create_revision
                if found.value != request.value:
                    await self._proclaim(call, leader, request.value, lease)
            await queue.turn(leader.rev)
            present = await queue.present(key, leader.rev)
        except (RpcError, asyncio.CancelledError):
            queue.leave(key, leader.rev)
            raise
        if present is None:
            raise RpcError(Code.UNKNOWN, _NOT_LEADER)
        response = v3election_pb2.CampaignResponse(header=entered.header, leader=leader)
        return response.SerializeToString()

    async def proclaim(self, call: UnaryCall, message: bytes) -> bytes:
        """Give the leader's key another value, if it is still the leader's."""
        request = parse(v3election_pb2.ProclaimRequest, message)
        leader = _given(request)
        queue = Queue(self._kv, call, leader.name)
        lease = await queue.session(leader.lease)
        header = await self._proclaim(call, leader, request.value, lease)
        return v3election_pb2.ProclaimResponse(header=header).SerializeToString()

    async def _proclaim(
        self, caller: ServerCall, leader: _LeaderKey, value: bytes, lease: int
    ) -> rpc_pb2.ResponseHeader:
        request = guarded(leader.key, leader.rev)
        put = request.success.add().request_put
        put.key, put.value, put.lease = leader.key, value, lease
        response = await self._kv.txn(caller, request)
        if not response.succeeded:
            raise RpcError(Code.UNKNOWN, _NOT_LEADER)
        return response.header

    async def leader(self, call: UnaryCall, message: bytes) -> bytes:
        """Return the leader's key and value."""
        request = parse(v3election_pb2.LeaderRequest, message)
        found = await self._kv.range(call, Queue(self._kv, call, request.name).first())
        if not found.kvs:
            raise RpcError(Code.UNKNOWN, _NO_LEADER)
        response = v3election_pb2.LeaderResponse(header=found.header, kv=found.kvs[0])
        return response.SerializeToString()

    async def resign(self, call: UnaryCall, message: bytes) -> bytes:
        """Delete the leader's key if it is still the leader's; if not, that is no error."""
        leader = _given(parse(v3election_pb2.ResignRequest, message))
        request = guarded(leader.key, leader.rev)
        request.success.add().request_delete_range.key = leader.key
        response = await self._kv.txn(call, request)
        return v3election_pb2.ResignResponse(header=response.header).SerializeToString()

    async def observe(self, stream: ServerStream) -> None:
        """Send each leader, and each value it proclaims, in order and without a gap."""
        self._context.streams.add(stream)
        try:
            async for message in stream:
                request = parse(v3election_pb2.LeaderRequest, message)
                await self._observe(stream, Queue(self._kv, stream, request.name))
        except RpcError as exc:
            raise passed_on(exc) from exc
        finally:
            self._context.streams.discard(stream)

    async def _observe(self, stream: ServerStream, queue: Queue) -> None:
        while True:
            found = await self._kv.range(stream, queue.first())
            header, revision = found.header, found.header.revision
            try:
                if found.kvs:
                    leader = found.kvs[0]
                else:
                    leader = await self._next_put(queue, revision + 1)
                    header.revision = revision = leader.mod_revision
                await _send(stream, header, leader)
                await self._follow(stream, leader.key, revision + 1)
            except RpcError as exc:
                # Compacted while the reader was slow: look again at what is there.
                if exc.message != refusal.COMPACTED[1]:
                    raise

    async def _next_put(self, queue: Queue, start_revision: int) -> kv_pb2.KeyValue:
        with self._kv.watch((queue.prefix, queue.prefix_end), start_revision) as watch:
            while True:
                for event in (await watch.next()).events:
                    if not is_delete(event):
                        return event.kv

    async def _follow(self, stream: ServerStream, key: bytes, start_revision: int) -> None:
        """Send what *key* becomes, until it is deleted."""
        with self._kv.watch((key, key + b"\0"), start_revision) as watch:
            while True:
                response = await watch.next()
                for event in response.events:
                    if is_delete(event):
                        return
                    await _send(stream, response.header, event.kv)


def _given(request: v3election_pb2.ProclaimRequest | v3election_pb2.ResignRequest) -> _LeaderKey:
    if not request.HasField("leader"):
        raise RpcError(Code.UNKNOWN, _MISSING_LEADER)
    return request.leader


async def _send(
    stream: ServerStream, header: rpc_pb2.ResponseHeader, leader: kv_pb2.KeyValue
) -> None:
    response = v3election_pb2.LeaderResponse(header=header, kv=leader)
    stream.send(response.SerializeToString())
    await stream.drain()
