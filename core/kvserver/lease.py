"""etcdserverpb.Lease, and what ends leases when their time is over."""

import asyncio
import logging
import secrets
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import TypeVar

from c101.core.clock import Clock
from c101.core.kv import write
from c101.core.kv.auth import checks
from c101.core.kv.auth.caller import Caller
from c101.core.kv.lessor import LEASES_PER_STEP, Lease, Lessor
from c101.core.kv.pieces import Pieces
from c101.core.kv.record import length_delimited, varint
from c101.core.kv.stepper import Steps
from c101.core.kv.store import Store
from c101.core.kvserver.context import Context, parse
from c101.core.kvserver.kv import answer_errors
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import ServerStream, UnaryCall, UnaryHandler
from c101.core.rpc.status import Code, RpcError

logger = logging.getLogger(__name__)

_KEY = b"\x2a"  # field 5 of LeaseTimeToLiveResponse
_LEASE = b"\x12"  # field 2 of LeaseLeasesResponse
_ID = b"\x08"  # field 1 of LeaseStatus

#: How often leases are looked at if none ends earlier; a new lease lasts longer than that.
TICK_SECONDS = 0.5
#: What a grant takes of the quota, as etcd reckons it.
LEASE_BYTES = 64
#: When the process stood still for this long beyond what it slept, leases are given that time:
#: renewals that came in meanwhile have not been read.
STALL_SECONDS = 1.0

_T = TypeVar("_T")


class LeaseService:
    """The Lease service on a store."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._store = context.store
        self._lessor = context.store.lessor
        self._auth = context.auth

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
        if self._auth.enabled:
            self._auth.require_named(self._auth.caller_of(call))
        if self._store.gate.closed:
            self._store.gate.wait(partial(answer_errors, self._grant, call, message))
        else:
            self._grant(call, message)

    def _grant(self, call: UnaryCall, message: bytes) -> None:
        request = parse(rpc_pb2.LeaseGrantRequest, message)
        store = self._store
        store.admit()
        if store.admission.put_bytes_max < LEASE_BYTES:
            store.refuse_growth(call)
            return
        lease_id = request.ID or self._free_id()
        try:
            ttl = self._lessor.check_grant(lease_id, request.TTL)
        except RpcError as exc:
            store.refuse(call, exc)
            return
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
        store, auth = self._store, self._auth
        caller = auth.caller_of(call)
        if auth.enabled:
            auth.require_named(caller)

        def steps() -> Steps:
            store.admit()
            if auth.enabled:
                auth.require_fresh(caller)
                yield from checks.check_lease(auth, self._lessor, caller, request.ID)
            return (yield from write.revoke(store, request.ID))

        def finished(result: list[bytes] | RpcError) -> None:
            if isinstance(result, RpcError):
                store.refuse(call, result)
            else:
                store.answer(call, self._context.header(store.staged_revision))

        store.gate.perform(steps(), finished)

    def time_to_live(self, call: UnaryCall, message: bytes) -> None:
        """Tell how long a lease still lasts, and with ``keys`` what hangs on it."""
        request = parse(rpc_pb2.LeaseTimeToLiveRequest, message)
        if self._store.merging and (request.keys or self._lessor.committed(request.ID) is None):
            # What of it and of its keys is seen must belong together.
            self._store.after_merge(partial(answer_errors, self._time_to_live, call, request))
        else:
            self._time_to_live(call, request)

    def _time_to_live(self, call: UnaryCall, request: rpc_pb2.LeaseTimeToLiveRequest) -> None:
        caller = None
        if self._auth.enabled:
            caller = self._auth.caller_of(call)
            self._auth.require_named(caller)
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
            steps = self._permitted(caller, attached, _key_fields(attached))
            self._context.reads.run(steps, finished, lambda: call.cancelled)

    def _permitted(self, caller: Caller | None, keys: list[bytes], steps: Steps) -> Steps:
        """Return *steps*, with *keys* checked before and the auth store found as it was after."""
        if caller is None:
            return (yield from steps)
        yield from checks.check_lease_keys(self._auth, caller, keys)
        result = yield from steps
        self._auth.require_unchanged(caller)
        return result

    def leases(self, call: UnaryCall, message: bytes) -> None:
        """List all leases, the next to end first."""
        request = parse(rpc_pb2.LeaseLeasesRequest, message)
        self._store.after_merge(partial(answer_errors, self._leases, call, request))

    def _leases(self, call: UnaryCall, _request: rpc_pb2.LeaseLeasesRequest) -> None:
        header = self._context.current_header()
        steps = _lease_fields(self._lessor)
        if self._auth.enabled:
            caller = self._auth.caller_of(call)
            self._auth.require_named(caller)
            steps = self._if_permitted(caller, steps)

        def finished(found: list[bytes] | RpcError) -> None:
            if isinstance(found, RpcError):
                call.fail(found.status, found.message)
            else:
                call.reply_parts([header, *found])

        self._context.reads.run(steps, finished, lambda: call.cancelled)

    def _if_permitted(self, caller: Caller, listing: Steps) -> Steps:
        """Check that *caller* may read every key of every lease, then list them."""
        if not self._auth.is_admin(caller):
            looked_at = 0
            for lease_id in (yield from self._lessor.by_expiry()):
                keys = self._lessor.attached(lease_id)
                yield from checks.check_lease_keys(self._auth, caller, keys)
                looked_at += 1 + len(keys)
                if looked_at >= checks.KEYS_PER_STEP:
                    yield
                    looked_at = 0
            self._auth.require_unchanged(caller)
        return (yield from listing)

    async def keep_alive(self, stream: ServerStream) -> None:
        """Renew the leases named on *stream*; one that is gone is answered with a TTL of 0."""
        self._context.streams.add(stream)
        try:
            async for message in stream:
                request = parse(rpc_pb2.LeaseKeepAliveRequest, message)
                if self._auth.enabled:
                    await self._may_renew(stream, request.ID)
                header = self._context.current_header()
                response = rpc_pb2.LeaseKeepAliveResponse(
                    ID=request.ID, TTL=await self._renewed(request.ID)
                )
                stream.send(header + response.SerializeToString())
                await stream.drain()
        finally:
            self._context.streams.discard(stream)

    async def _may_renew(self, stream: ServerStream, lease_id: int) -> None:
        """Check that who asks on *stream* may write every key of a lease."""
        caller = self._auth.caller_of(stream)
        self._auth.require_named(caller)
        for _ in checks.check_lease(self._auth, self._lessor, caller, lease_id):
            await self._context.clock.sleep(0)
        self._auth.require_unchanged(caller)

    async def _renewed(self, lease_id: int) -> int:
        lease = self._lessor.committed(lease_id)
        if lease is None or self._lessor.lookup(lease_id) is None:
            if lease is not None or self._store.merging:
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


def _lease_fields(lessor: Lessor) -> Steps:
    """Return field 2 of LeaseLeasesResponse for each lease, the next to end first."""
    ids = yield from lessor.by_expiry()
    fields = Pieces()
    for first in range(0, len(ids), LEASES_PER_STEP):
        if first:
            yield
        some = ids[first : first + LEASES_PER_STEP]
        fields.extend([length_delimited(_LEASE, _ID + varint(lease_id)) for lease_id in some])
    return fields.take()


def _revocation(store: Store, lease_id: int) -> Steps:
    store.admit()
    return (yield from write.revoke(store, lease_id))


def _revocations(store: Store, lease_ids: Sequence[int]) -> Generator[None, None, int]:
    store.admit()
    return (yield from write.revoke_some(store, lease_ids))


async def perform(store: Store, steps: Generator[None, None, _T]) -> _T:
    """Run *steps*, which stage, when other writes let us; return what they do.

    Raises RpcError for what they raise.
    """
    staged: asyncio.Future[_T] = asyncio.get_running_loop().create_future()

    def finished(result: _T | RpcError) -> None:
        if staged.done():
            return
        if isinstance(result, RpcError):
            staged.set_exception(result)
        else:
            staged.set_result(result)

    store.gate.perform(steps, finished)
    return await staged


async def end(store: Store, lease: Lease) -> None:
    """Revoke *lease*, whose time is over, and wait until that is durable.

    Raises RpcError when the store takes no writes, or their commit fails.
    """
    try:
        await perform(store, _revocation(store, lease.id))
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
        if due and not await end_all(store, clock, due):
            # Whatever forbids it stays for a while: an alarm, a disk that failed.
            await clock.sleep(TICK_SECONDS)


async def end_all(store: Store, clock: Clock, due: list[int]) -> bool:
    """Revoke the leases *due*, some at a time, and wait until that is durable.

    Returns whether that was possible; what cannot be ended is found due again.
    """
    try:
        done = 0
        while done < len(due):
            done += await perform(store, _revocations(store, due[done:]))
            await clock.sleep(0)
        await store.durable()
    except RpcError as exc:
        if exc.status is Code.UNAVAILABLE:
            logger.warning("leases cannot be ended", extra={"reason": exc.message})
        for lease_id in due:
            store.lessor.retry(lease_id)
        return False
    logger.debug("leases ended", extra={"count": len(due)})
    return True
