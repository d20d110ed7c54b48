"""etcdserverpb.Lease, and what ends leases when their time is over."""

import asyncio
import logging
import secrets
from collections.abc import Mapping
from functools import partial

from c101.core.clock import Clock
from c101.core.kv import write
from c101.core.kv.lessor import Lease
from c101.core.kv.pieces import Pieces
from c101.core.kv.record import length_delimited
from c101.core.kv.stepper import Steps
from c101.core.kv.store import Store
from c101.core.kvserver.context import Context, parse
from c101.core.kvserver.kv import answer_errors
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import ServerStream, UnaryCall, UnaryHandler
from c101.core.rpc.status import Code, RpcError

logger = logging.getLogger(__name__)

_KEY = b"\x2a"  # field 5 of LeaseTimeToLiveResponse

#: How often leases are looked at if none ends earlier; a new lease lasts longer than that.
TICK_SECONDS = 0.5
#: When the process stood still for this long beyond what it slept, leases are given that time:
#: renewals that came in meanwhile have not been read.
STALL_SECONDS = 1.0


class LeaseService:
    """The Lease service on a store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._lessor = context.store.lessor

    def handlers(self) -> Mapping[str, UnaryHandler]:
        """Return the handlers of unary calls by path."""
        return {
            "/etcdserverpb.Lease/LeaseGrant": self.grant,
            "/etcdserverpb.Lease/LeaseRevoke": self.revoke,
            "/etcdserverpb.Lease/LeaseTimeToLive": self.time_to_live,
            "/etcdserverpb.Lease/LeaseLeases": self.leases,
        }

    def grant(self, call: UnaryCall, message: bytes) -> None:
        """Grant a lease; it is answered, and its time runs, when it is durable."""
        if self._store.gate.closed:
            self._store.gate.wait(partial(answer_errors, self._grant, call, message))
        else:
            self._grant(call, message)

    def _grant(self, call: UnaryCall, message: bytes) -> None:
        request = parse(rpc_pb2.LeaseGrantRequest, message)
        store = self._store
        store.admit()
        lease_id = request.ID or self._free_id()
        ttl = self._lessor.check_grant(lease_id, request.TTL)
        store.stage_lease(lease_id, ttl)
        body = rpc_pb2.LeaseGrantResponse(ID=lease_id, TTL=ttl).SerializeToString()
        store.answer(call, self._context.header(store.staged_revision) + body)

    def _free_id(self) -> int:
        while True:
            lease_id = secrets.randbits(62) | 1
            if self._lessor.lookup(lease_id) is None:
                return lease_id

    def revoke(self, call: UnaryCall, message: bytes) -> None:
        """End a lease and delete its keys."""
        request = parse(rpc_pb2.LeaseRevokeRequest, message)
        store = self._store

        def finished(result: list[bytes] | RpcError) -> None:
            if isinstance(result, RpcError):
                call.fail(result.status, result.message)
            else:
                store.answer(call, self._context.header(store.staged_revision))

        store.gate.perform(_revocation(store, request.ID), finished)

    def time_to_live(self, call: UnaryCall, message: bytes) -> None:
        """Tell how long a lease still lasts, and with ``keys`` what hangs on it."""
        request = parse(rpc_pb2.LeaseTimeToLiveRequest, message)
        if request.keys and self._store.merging:
            self._store.after_merge(partial(answer_errors, self._time_to_live, call, request))
        else:
            self._time_to_live(call, request)

    def _time_to_live(self, call: UnaryCall, request: rpc_pb2.LeaseTimeToLiveRequest) -> None:
        lease = self._lessor.committed(request.ID)
        response = rpc_pb2.LeaseTimeToLiveResponse(ID=request.ID, TTL=-1)
        if lease is not None:
            response.TTL = max(0, int(self._lessor.remaining_seconds(lease)))
            response.grantedTTL = lease.ttl_seconds
        head = [self._context.current_header(), response.SerializeToString()]

        def finished(found: list[bytes] | RpcError) -> None:
            if isinstance(found, RpcError):
                call.fail(found.status, found.message)
            else:
                call.reply_parts([*head, *found])

        if lease is None or not request.keys:
            finished([])
        else:
            attached = self._lessor.attached(lease.id)
            self._context.reads.run(_key_fields(attached), finished, lambda: call.cancelled)

    def leases(self, call: UnaryCall, message: bytes) -> None:
        """List all leases, the next to end first."""
        parse(rpc_pb2.LeaseLeasesRequest, message)
        response = rpc_pb2.LeaseLeasesResponse()
        for lease_id in self._lessor.by_expiry():
            response.leases.add(ID=lease_id)
        call.reply(self._context.current_header() + response.SerializeToString())

    async def keep_alive(self, stream: ServerStream) -> None:
        """Renew the leases named on *stream*; one that is gone is answered with a TTL of 0."""
        self._context.streams.add(stream)
        try:
            async for message in stream:
                request = parse(rpc_pb2.LeaseKeepAliveRequest, message)
                header = self._context.current_header()
                response = rpc_pb2.LeaseKeepAliveResponse(
                    ID=request.ID, TTL=await self._renewed(request.ID)
                )
                stream.send(header + response.SerializeToString())
                await stream.drain()
        finally:
            self._context.streams.discard(stream)

    async def _renewed(self, lease_id: int) -> int:
        lease = self._lessor.committed(lease_id)
        if lease is None:
            return 0
        if self._lessor.lookup(lease_id) is None:
            # It is being revoked; whoever hears 0 must find its keys gone.
            await self._store.durable()
            return 0
        if self._lessor.remaining_seconds(lease) <= 0:
            await end(self._store, lease)
            return 0
        self._lessor.renew(lease)
        return lease.ttl_seconds


def _key_fields(attached: list[bytes]) -> Steps:
    """Return field 5 of LeaseTimeToLiveResponse for each key, in order."""
    keys = yield from write.in_order(attached, lambda _key: True)
    fields = Pieces()
    for first in range(0, len(keys), write.KEYS_PER_STEP):
        if first:
            yield
        some = keys[first : first + write.KEYS_PER_STEP]
        fields.extend([length_delimited(_KEY, key) for key in some])
    return fields.take()


def _revocation(store: Store, lease_id: int) -> Steps:
    store.admit()
    return (yield from write.revoke(store, lease_id))


async def revoke(store: Store, lease_id: int) -> None:
    """Stage the end of a lease when other writes let us.

    Raises RpcError if it is gone, or the store takes no writes.
    """
    staged: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finished(result: list[bytes] | RpcError) -> None:
        if staged.done():
            return
        if isinstance(result, RpcError):
            staged.set_exception(result)
        else:
            staged.set_result(None)

    store.gate.perform(_revocation(store, lease_id), finished)
    await staged


async def end(store: Store, lease: Lease) -> None:
    """Revoke *lease*, whose time is over, and wait until that is durable.

    Raises RpcError when the store takes no writes, or their commit fails.
    """
    try:
        await revoke(store, lease.id)
    except RpcError as exc:
        # While we waited for our turn another ended it.
        if exc.status is not Code.NOT_FOUND:
            raise
    await store.durable()
    store.lessor.expired += 1


async def expire(store: Store, clock: Clock) -> None:
    """End every lease when its time is over, for ever."""
    lessor = store.lessor
    while True:
        next_seconds = lessor.next_expiry_seconds()
        delay = TICK_SECONDS if next_seconds is None else min(next_seconds, TICK_SECONDS)
        before = clock.monotonic()
        await clock.sleep(delay)
        late = clock.monotonic() - before - delay
        if late > STALL_SECONDS:
            logger.warning("stood still; leases are prolonged", extra={"seconds": round(late, 1)})
            lessor.postpone(late)
        due = lessor.due()
        if due:
            await _end_all(store, due)


async def _end_all(store: Store, due: list[int]) -> None:
    try:
        for lease_id in due:
            if store.lessor.lookup(lease_id) is not None:
                await revoke(store, lease_id)
        await store.durable()
    except RpcError as exc:
        if exc.status is Code.UNAVAILABLE:
            logger.warning("leases cannot be ended", extra={"reason": exc.message})
        for lease_id in due:
            store.lessor.retry(lease_id)
    else:
        logger.debug("leases ended", extra={"count": len(due)})
