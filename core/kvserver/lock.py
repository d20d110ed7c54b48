"""v3lockpb.Lock: a lock is held by whose key is the oldest below its name."""

import asyncio
from collections.abc import Mapping

from c101.core.kvserver.context import parse
from c101.core.kvserver.in_process import InProcess, for_caller
from c101.core.kvserver.queue import Queue, guarded
from c101.core.proto import rpc_pb2, v3lock_pb2
from c101.core.rpc.server import UnaryCall, UnaryHandler
from c101.core.rpc.status import Code, RpcError

_SESSION_EXPIRED = "mutex: session is expired"


class LockService:
    """The Lock service, a client of the store."""

    def __init__(self, kv: InProcess) -> None:
        self._kv = kv

    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Return the handlers by path."""
        return {
            "/v3lockpb.Lock/Lock": for_caller(self.lock),
            "/v3lockpb.Lock/Unlock": for_caller(self.unlock),
        }

    async def lock(self, call: UnaryCall, message: bytes) -> bytes:
        """Wait for the lock, and return the key that is to be deleted to unlock it.

        A caller that leaves gives its place up. One whose lease ended while it waited is refused;
        etcd 3.4.23 would tell it that it holds the lock.
        """
        request = parse(v3lock_pb2.LockRequest, message)
        queue = Queue(self._kv, call, request.name)
        lease = await queue.session(request.lease)
        key = queue.key(lease)
        enter = guarded(key, 0)
        put = enter.success.add().request_put
        put.key, put.lease = key, lease
        enter.success.add().request_range.CopyFrom(queue.first())
        enter.failure.add().request_range.key = key
        enter.failure.add().request_range.CopyFrom(queue.first())
        entered = await queue.enter(enter)
        revision = entered.header.revision
        if not entered.succeeded:
            revision = entered.responses[0].response_range.kvs[0].create_revision
        holders = entered.responses[1].response_range.kvs
        response = v3lock_pb2.LockResponse(header=entered.header, key=key)
        if holders and holders[0].create_revision != revision:
            response.header.CopyFrom(await self._wait(queue, key, revision))
        return response.SerializeToString()

    async def _wait(self, queue: Queue, key: bytes, revision: int) -> rpc_pb2.ResponseHeader:
        try:
            await queue.turn(revision)
            header = await queue.present(key, revision)
        except (RpcError, asyncio.CancelledError):
            queue.leave(key, revision)
            raise
        if header is None:
            raise RpcError(Code.UNKNOWN, _SESSION_EXPIRED)
        return header

    async def unlock(self, call: UnaryCall, message: bytes) -> bytes:
        """Delete the key that ``lock`` returned; one that is gone is no error."""
        request = parse(v3lock_pb2.UnlockRequest, message)
        deleted = await self._kv.delete(call, rpc_pb2.DeleteRangeRequest(key=request.key))
        return v3lock_pb2.UnlockResponse(header=deleted.header).SerializeToString()
