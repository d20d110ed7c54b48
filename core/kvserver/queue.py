"""A queue of keys below one name: what Lock and Election have in common.

Who wants its turn puts a key NAME/LEASE, LEASE in hexadecimal, and has it when no key of that
prefix is older. Each waits for the one just before it, so one that leaves wakes one. A key goes
with its lease.
"""

import asyncio
from functools import partial

from c101.core.kvserver.in_process import InProcess
from c101.core.proto import kv_pb2, rpc_pb2
from c101.core.rpc.server_call import ServerCall
from c101.core.rpc.status import Code, RpcError

#: What a caller without a lease is given: nobody renews it.
SESSION_SECONDS = 60

_Range = rpc_pb2.RangeRequest


class Queue:
    """The keys below *name*, for one call."""

    def __init__(self, kv: InProcess, caller: ServerCall, name: bytes) -> None:
        self._kv = kv
        self._caller = caller
        self.prefix = name + b"/"
        self.prefix_end = name + b"0"

    async def session(self, lease: int) -> int:
        """Return *lease*, or one of SESSION_SECONDS for 0."""
        return lease or await self._kv.grant(self._caller, SESSION_SECONDS)

    def key(self, lease: int) -> bytes:
        """Return the key of *lease*."""
        return self.prefix + b"%x" % lease

    def first(self) -> _Range:
        """Return the request for the oldest key."""
        return _Range(
            key=self.prefix,
            range_end=self.prefix_end,
            limit=1,
            sort_order=_Range.ASCEND,
            sort_target=_Range.CREATE,
        )

    async def enter(self, request: rpc_pb2.TxnRequest) -> rpc_pb2.TxnResponse:
        """Put the key, unless it is there, by *request*; if the caller leaves it is taken back."""
        answer = self._kv.begin(self._caller, "/etcdserverpb.KV/Txn", request)
        try:
            message = await asyncio.shield(answer)
        except asyncio.CancelledError:
            key = request.compare[0].key
            answer.add_done_callback(partial(self._take_back, key))
            raise
        return rpc_pb2.TxnResponse.FromString(message)

    def _take_back(self, key: bytes, answer: asyncio.Future[bytes]) -> None:
        if answer.exception() is None:
            response = rpc_pb2.TxnResponse.FromString(answer.result())
            if response.succeeded:
                self.leave(key, response.header.revision)

    def leave(self, key: bytes, create_revision: int) -> None:
        """Have *key* deleted if it is still the one of *create_revision*; wait for nothing.

        The caller may be gone already.
        """
        request = guarded(key, create_revision)
        request.success.add().request_delete_range.key = key
        answer = self._kv.begin(self._caller, "/etcdserverpb.KV/Txn", request)
        # Whoever would hear that it failed is gone; the key then goes with its lease.
        answer.add_done_callback(asyncio.Future.exception)

    async def turn(self, create_revision: int) -> None:
        """Wait until no key is older than the one of *create_revision*."""
        older = _Range(
            key=self.prefix,
            range_end=self.prefix_end,
            limit=1,
            sort_order=_Range.DESCEND,
            sort_target=_Range.CREATE,
            max_create_revision=create_revision - 1,
            keys_only=True,
        )
        while (found := await self._kv.range(self._caller, older)).kvs:
            await self._deleted(found.kvs[0].key, found.header.revision + 1)

    async def _deleted(self, key: bytes, start_revision: int) -> None:
        """Wait until *key* is deleted, or may have been."""
        with self._kv.watch((key, key + b"\0"), start_revision) as watch:
            try:
                while not any(is_delete(event) for event in (await watch.next()).events):
                    pass
            except RpcError as exc:
                # Compacted: the caller looks again.
                if exc.status is not Code.OUT_OF_RANGE:
                    raise

    async def present(self, key: bytes, create_revision: int) -> rpc_pb2.ResponseHeader | None:
        """Return the header if *key* is still the one of *create_revision*, else ``None``."""
        found = await self._kv.range(self._caller, _Range(key=key, keys_only=True))
        there = any(kv.create_revision == create_revision for kv in found.kvs)
        return found.header if there else None


def guarded(key: bytes, create_revision: int) -> rpc_pb2.TxnRequest:
    """Return a transaction that succeeds if *key* is the one of *create_revision*; 0: none is."""
    request = rpc_pb2.TxnRequest()
    request.compare.add(
        key=key,
        target=rpc_pb2.Compare.CREATE,
        result=rpc_pb2.Compare.EQUAL,
        create_revision=create_revision,
    )
    return request


def is_delete(event: kv_pb2.Event) -> bool:
    """Say whether *event* is a deletion."""
    return event.type == kv_pb2.Event.DELETE
