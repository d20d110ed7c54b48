"""Clients that write down what they asked and were told, and watches that write down what came."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from functools import singledispatch
from itertools import count
from typing import TypeVar

from google.protobuf.message import Message

from c101.core.errors import DeadlineExceededError, LinkError
from c101.core.proto import kv_pb2, rpc_pb2
from c101.core.rpc.channel import CLIENT_LIMITS, Channel, ClientStream, TcpDialer
from c101.core.rpc.limits import KIB, Limits
from c101.core.rpc.status import Code, RpcError
from tests.linearizability.history import (
    Call,
    Delete,
    Get,
    Grant,
    Held,
    Outcome,
    Put,
    PutAll,
    ReadAll,
    Request,
    Revoke,
    Swap,
)
from tests.linearizability.replay import shown
from tests.linearizability.validators import Recording

#: Keys of the load; a store has nothing else.
PREFIX = b"l/"
PREFIX_END = b"l0"
#: A call that takes longer has failed, and the test with it.
CALL_SECONDS = 30.0
#: No lease of a test ends by itself.
TTL_SECONDS = 36_000
#: A watch that reads nothing for a while has no more than this on its way.
SLOW_WINDOW_BYTES = 64 * KIB

_M = TypeVar("_M", bound=Message)


class CutOffError(Exception):
    """The server is gone; whether the request was carried out nobody knows."""


class RecordingClient:
    """One client on a connection of its own; its calls follow one another."""

    def __init__(self, number: int, port: int, ticks: Iterator[int], padding_bytes: int) -> None:
        self.number = number
        self.calls: list[Call] = []
        self._ticks = ticks
        self._padding = b" " * padding_bytes
        self._channel = Channel(TcpDialer("127.0.0.1", port))

    async def connect(self) -> None:
        """Connect; what is asked afterwards was asked."""
        await self._channel.ping(CALL_SECONDS)

    async def call(self, request: Request) -> Outcome:
        """Ask, and write down what came of it.

        Raises CutOffError when the server is gone.
        """
        began = next(self._ticks)
        outcome = None
        try:
            outcome = await _ask(request, self)
        except RpcError as exc:
            outcome = Outcome(None, exc.message)
        finally:
            ended = None if outcome is None else next(self._ticks)
            self.calls.append(
                Call(
                    client=self.number,
                    request=request,
                    began=began,
                    ended=ended,
                    outcome=outcome,
                )
            )
        return outcome

    async def send(self, path: str, request: Message, response: type[_M]) -> _M:
        """Make one call of the wire.

        Raises RpcError: it was refused; CutOffError: the server is gone.
        """
        try:
            raw = await self._channel.unary(
                "/etcdserverpb." + path, request.SerializeToString(), timeout=CALL_SECONDS
            )
        except LinkError as exc:
            raise CutOffError from exc
        except RpcError as exc:
            if exc.status is Code.UNAVAILABLE:
                raise CutOffError from exc
            raise
        return response.FromString(raw)

    def padded(self, value: str) -> bytes:
        """Return *value* as it is stored: unique, and as long as it takes."""
        return value.encode() + self._padding

    async def close(self) -> None:
        """Let go of the connection."""
        await self._channel.close()


def _key(key: str) -> bytes:
    return PREFIX + key.encode()


def _held(kv: kv_pb2.KeyValue) -> Held:
    return Held(
        key=kv.key.removeprefix(PREFIX).decode(),
        value=kv.value.partition(b" ")[0].decode(),
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        lease=kv.lease,
    )


def _first(kvs: list[kv_pb2.KeyValue]) -> Held | None:
    return _held(kvs[0]) if kvs else None


@singledispatch
async def _ask(request: Request, client: RecordingClient) -> Outcome:
    raise AssertionError(f"not asked: {request} by {client}")


@_ask.register
async def _(request: Put, client: RecordingClient) -> Outcome:
    message = rpc_pb2.PutRequest(
        key=_key(request.key),
        value=client.padded(request.value),
        lease=request.lease,
        prev_kv=True,
    )
    answer = await client.send("KV/Put", message, rpc_pb2.PutResponse)
    before = _held(answer.prev_kv) if answer.HasField("prev_kv") else None
    return Outcome(answer.header.revision, before)


@_ask.register
async def _(request: Get, client: RecordingClient) -> Outcome:
    message = rpc_pb2.RangeRequest(key=_key(request.key))
    answer = await client.send("KV/Range", message, rpc_pb2.RangeResponse)
    return Outcome(answer.header.revision, _first(list(answer.kvs)))


@_ask.register
async def _(request: Delete, client: RecordingClient) -> Outcome:
    message = rpc_pb2.DeleteRangeRequest(key=_key(request.key), prev_kv=True)
    answer = await client.send("KV/DeleteRange", message, rpc_pb2.DeleteRangeResponse)
    return Outcome(answer.header.revision, _first(list(answer.prev_kvs)))


@_ask.register
async def _(request: Swap, client: RecordingClient) -> Outcome:
    txn = rpc_pb2.TxnRequest()
    expected = request.expected.mod_revision if request.expected else 0
    compare = txn.compare.add(
        target=rpc_pb2.Compare.MOD, result=rpc_pb2.Compare.EQUAL, key=_key(request.key)
    )
    compare.mod_revision = expected
    put = txn.success.add().request_put
    put.key, put.value = _key(request.key), client.padded(request.value)
    txn.failure.add().request_range.key = _key(request.key)
    answer = await client.send("KV/Txn", txn, rpc_pb2.TxnResponse)
    found = None if answer.succeeded else _first(list(answer.responses[0].response_range.kvs))
    return Outcome(answer.header.revision, (answer.succeeded, found))


@_ask.register
async def _(request: PutAll, client: RecordingClient) -> Outcome:
    txn = rpc_pb2.TxnRequest()
    for key in request.keys:
        put = txn.success.add().request_put
        put.key, put.value = _key(key), client.padded(request.value)
    answer = await client.send("KV/Txn", txn, rpc_pb2.TxnResponse)
    return Outcome(answer.header.revision, None)


@_ask.register
async def _(_: ReadAll, client: RecordingClient) -> Outcome:
    message = rpc_pb2.RangeRequest(key=b"\0", range_end=b"\0")
    keys = await client.send("KV/Range", message, rpc_pb2.RangeResponse)
    leases = await client.send(
        "Lease/LeaseLeases", rpc_pb2.LeaseLeasesRequest(), rpc_pb2.LeaseLeasesResponse
    )
    held = tuple(sorted(map(_held, keys.kvs)))
    return Outcome(keys.header.revision, (held, frozenset(one.ID for one in leases.leases)))


@_ask.register
async def _(request: Grant, client: RecordingClient) -> Outcome:
    message = rpc_pb2.LeaseGrantRequest(ID=request.lease, TTL=TTL_SECONDS)
    answer = await client.send("Lease/LeaseGrant", message, rpc_pb2.LeaseGrantResponse)
    return Outcome(answer.header.revision, None)


@_ask.register
async def _(request: Revoke, client: RecordingClient) -> Outcome:
    message = rpc_pb2.LeaseRevokeRequest(ID=request.lease)
    answer = await client.send("Lease/LeaseRevoke", message, rpc_pb2.LeaseRevokeResponse)
    return Outcome(answer.header.revision, None)


class RecordingWatch:
    """Watches on one stream of one connection, until that ends."""

    def __init__(self, port: int, *, slow: bool = False) -> None:
        limits = Limits(stream_window_bytes=SLOW_WINDOW_BYTES) if slow else CLIENT_LIMITS
        self._channel = Channel(TcpDialer("127.0.0.1", port), limits=limits)
        self._stack = AsyncExitStack()
        self._stream: ClientStream | None = None
        self._reading: asyncio.Task[None] | None = None
        self.recordings: dict[int, Recording] = {}
        self._arrived = asyncio.Event()
        self.ended = False
        self._bookmark = 0

    async def open(self, *requests: rpc_pb2.WatchCreateRequest) -> None:
        """Create the watches; nothing is read as yet."""
        opened = self._channel.stream("/etcdserverpb.Watch/Watch", timeout=None)
        self._stream = await self._stack.enter_async_context(opened)
        for watch_id, request in enumerate(requests):
            numbered = rpc_pb2.WatchCreateRequest(watch_id=watch_id)
            numbered.MergeFrom(request)
            self.recordings[watch_id] = Recording(request=numbered)
            self._send(rpc_pb2.WatchRequest(create_request=numbered))

    def _send(self, request: rpc_pb2.WatchRequest) -> None:
        assert self._stream is not None
        self._stream.send(request.SerializeToString())

    def ask_progress(self) -> None:
        """Ask how far the watches are."""
        if not self.ended:
            self._send(rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest()))

    def begin(self) -> None:
        """Begin to read."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read(), name="recording a watch")

    async def _read(self) -> None:
        assert self._stream is not None
        try:
            async for raw in self._stream:
                self._keep(rpc_pb2.WatchResponse.FromString(raw))
                self._arrived.set()
        except (RpcError, LinkError, DeadlineExceededError):
            # Killed: what was recorded until then is judged.
            pass
        finally:
            self.ended = True
            self._arrived.set()

    def _keep(self, response: rpc_pb2.WatchResponse) -> None:
        for event in response.events:
            for kv in (event.kv, event.prev_kv) if event.HasField("prev_kv") else (event.kv,):
                kv.value = shown(kv.value)
        if response.watch_id == -1:
            self._bookmark = response.header.revision
            for recording in self._alive():
                recording.responses.append(response)
        else:
            self.recordings[response.watch_id].responses.append(response)

    async def caught_up(self, revision: int) -> None:
        """Read until the stream says that its watches are at *revision*, or it ends."""
        self.begin()
        async with asyncio.timeout(CALL_SECONDS):
            while not self.ended and self._bookmark < revision and self._alive():
                self._arrived.clear()
                self.ask_progress()
                await self._arrived.wait()

    def _alive(self) -> list[Recording]:
        return [
            recording
            for recording in self.recordings.values()
            if not recording.responses or not recording.responses[-1].canceled
        ]

    async def close(self) -> list[Recording]:
        """End the stream; return what was recorded."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._stack.aclose()
        await self._channel.close()
        return [one for one in self.recordings.values() if one.responses]


def ticks() -> Iterator[int]:
    """Return the counter that all clients of a run share."""
    return count(1)
