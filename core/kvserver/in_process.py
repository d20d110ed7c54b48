"""The store for services that are its clients themselves: Lock and Election.

They reach it by the handlers that everybody else reaches it by, on behalf of who called them: the
same checks, limits, staging and durability, and no second way to write. A watch is one of the
hub's, as those of the Watch service are.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Self, TypeVar

from google.protobuf.message import Message

from c101.core.kv import refusal
from c101.core.kv.refusal import refuse
from c101.core.kv.tree import Interval
from c101.core.kv.watch import CatchUp
from c101.core.kv.watcher import Watcher
from c101.core.kvserver.context import Context
from c101.core.proto import rpc_pb2
from c101.core.rpc.routes import RequestHead
from c101.core.rpc.server import UnaryCall, UnaryHandler
from c101.core.rpc.server_call import ANSWERED, ServerCall
from c101.core.rpc.status import Code, RpcError

_M = TypeVar("_M", bound=Message)


class _InnerCall(UnaryCall):
    """A call of one handler by another; it has the caller's metadata and answers to a future."""

    __slots__ = ("answer",)

    def __init__(self, caller: ServerCall, path: str, handler: UnaryHandler) -> None:
        head = RequestHead(method=path.encode(), metadata=caller.metadata, unary=handler)
        super().__init__(caller.server, caller.stream_id, head)
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    @property
    def cancelled(self) -> bool:
        """Whether nobody waits for the answer."""
        return self.answer.cancelled()

    def reply(self, message: bytes) -> None:
        """Answer with *message*."""
        self.state = ANSWERED
        if not self.answer.done():
            self.answer.set_result(message)

    def reply_parts(self, parts: Sequence[bytes]) -> None:
        """Answer with *parts*."""
        self.reply(b"".join(parts))

    def fail(self, status: Code, message: str) -> None:
        """Answer with *status*."""
        self.state = ANSWERED
        if not self.answer.done():
            self.answer.set_exception(RpcError(status, message))


class InProcess:
    """A client of *handlers*, by path, and of the watches of *context*'s store."""

    def __init__(self, context: Context, handlers: Mapping[str, UnaryHandler]) -> None:
        self.context = context
        self._handlers = handlers

    def begin(self, caller: ServerCall, path: str, request: Message) -> asyncio.Future[bytes]:
        """Call a method on behalf of *caller*; the future has the answer, or the RpcError.

        What it stages stands before everything that is asked later, whoever waits for it.
        """
        handler = self._handlers[path]
        call = _InnerCall(caller, path, handler)
        try:
            handler(call, request.SerializeToString())
        except RpcError as exc:
            call.fail(exc.status, exc.message)
        return call.answer

    async def range(
        self, caller: ServerCall, request: rpc_pb2.RangeRequest
    ) -> rpc_pb2.RangeResponse:
        """Read a range; raises RpcError."""
        return await self._call(caller, "KV/Range", request, rpc_pb2.RangeResponse)

    async def delete(
        self, caller: ServerCall, request: rpc_pb2.DeleteRangeRequest
    ) -> rpc_pb2.DeleteRangeResponse:
        """Delete a range; raises RpcError."""
        return await self._call(caller, "KV/DeleteRange", request, rpc_pb2.DeleteRangeResponse)

    async def txn(self, caller: ServerCall, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        """Run a transaction; raises RpcError."""
        return await self._call(caller, "KV/Txn", request, rpc_pb2.TxnResponse)

    async def grant(self, caller: ServerCall, ttl_seconds: int) -> int:
        """Grant a lease and return its id; raises RpcError."""
        request = rpc_pb2.LeaseGrantRequest(TTL=ttl_seconds)
        response = await self._call(caller, "Lease/LeaseGrant", request, rpc_pb2.LeaseGrantResponse)
        return response.ID

    async def _call(
        self, caller: ServerCall, method: str, request: Message, response: type[_M]
    ) -> _M:
        answer = await self.begin(caller, f"/etcdserverpb.{method}", request)
        return response.FromString(answer)

    def watch(self, span: Interval, start_revision: int) -> "InProcessWatch":
        """Watch *span* from *start_revision* on: ``with`` ends it."""
        return InProcessWatch(self.context, span, start_revision)


class InProcessWatch:
    """A watch whose responses are taken one by one; who is slow is caught up from the log."""

    def __init__(self, context: Context, span: Interval, start_revision: int) -> None:
        self._clock = context.clock
        self._hub = context.store.watches
        self._watcher = Watcher(self, 0, span, start_revision)
        self._responses: deque[bytes] = deque()
        self._ready = asyncio.Event()
        self._behind = False
        self.pending_bytes = 0

    def __enter__(self) -> Self:
        self._hub.add(self._watcher)
        return self

    def __exit__(self, *_exc: object) -> None:
        self._hub.remove(self._watcher)

    def send(self, message: bytes, /) -> None:
        """Take a response of the hub's."""
        self._responses.append(message)
        self.pending_bytes += len(message)
        self._ready.set()

    def send_parts(self, parts: Sequence[bytes], /) -> None:
        """Take a response that comes in parts."""
        self.send(b"".join(parts))

    def behind(self, _watcher: Watcher, /) -> None:
        """Have the next events read from the log."""
        self._behind = True
        self._ready.set()

    async def next(self) -> rpc_pb2.WatchResponse:
        """Wait for the next events; raises RpcError when they were compacted away."""
        while not self._responses:
            if self._behind:
                self._catch_up()
                await self._clock.sleep(0)
            else:
                self._ready.clear()
                await self._ready.wait()
        message = self._responses.popleft()
        self.pending_bytes -= len(message)
        return rpc_pb2.WatchResponse.FromString(message)

    def _catch_up(self) -> None:
        match self._hub.catch_up(self._watcher):
            case CatchUp.COMPACTED:
                raise refuse(refusal.COMPACTED)
            case CatchUp.SYNCED:
                self._behind = False
            case CatchUp.MORE:
                pass


def passed_on(error: RpcError) -> RpcError:
    """Return what the caller hears of an error of the store's.

    As in etcd 3.4, where these services are clients as well, it has the text and the code UNKNOWN;
    but one that says "try again" keeps its own.
    """
    return error if error.status is Code.UNAVAILABLE else RpcError(Code.UNKNOWN, error.message)


def for_caller(answer: Callable[[UnaryCall, bytes], Awaitable[bytes]]) -> UnaryHandler:
    """Make a handler of a coroutine function that is told who calls; it ends with the call."""

    async def answered(call: UnaryCall, message: bytes) -> bytes:
        try:
            return await answer(call, message)
        except RpcError as exc:
            raise passed_on(exc) from exc

    def handler(call: UnaryCall, message: bytes) -> None:
        call.task = call.server.spawn(call.run(partial(answered, call), message), call.method)

    return handler
