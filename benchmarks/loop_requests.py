"""The heavy requests of ``benchmarks.loop``, one after the other."""

import asyncio
import os
from collections.abc import Awaitable, Callable

from benchmarks.loop_watches import Watches
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import TcpDialer
from c101.core.rpc.limits import Limits

VALUE_BYTES = 256
PUTS_IN_FLIGHT = 500
LEASE = 77
#: Long enough for very many to be granted; then they end.
SHORT_TTL_SECONDS = 30
#: Compares of the deepest nesting that a transaction may have most of: 40 x 40.
NESTED = 40
LOW, HIGH = b"k", b"l"
_LIMITS = Limits(message_bytes_max=1 << 30, held_bytes_max=1 << 30)


class Heavy:
    """One connection for heavy requests."""

    def __init__(self, port: int, keys: int) -> None:
        self.channel = Channel(TcpDialer("127.0.0.1", port), limits=_LIMITS)
        self.keys = keys
        self.filled_at = 0

    async def call(self, method: str, request: bytes) -> bytes:
        """Make one call."""
        return await self.channel.unary(f"/etcdserverpb.{method}", request)

    async def range(self, **options: object) -> None:
        """Range over all the keys."""
        request = rpc_pb2.RangeRequest(key=LOW, range_end=HIGH, **options)  # type: ignore[arg-type]
        await self.call("KV/Range", request.SerializeToString())

    async def fill(self, lease: int = 0) -> None:
        """Put every key."""
        for first in range(0, self.keys, PUTS_IN_FLIGHT):
            await asyncio.gather(
                *(
                    self.call(
                        "KV/Put",
                        rpc_pb2.PutRequest(
                            key=b"k%07d" % number, value=os.urandom(VALUE_BYTES), lease=lease
                        ).SerializeToString(),
                    )
                    for number in range(first, min(first + PUTS_IN_FLIGHT, self.keys))
                )
            )
        self.filled_at = await self.revision()

    async def revision(self) -> int:
        """Return the store's revision."""
        answer = await self.call("KV/Range", rpc_pb2.RangeRequest(key=b"x").SerializeToString())
        return rpc_pb2.RangeResponse.FromString(answer).header.revision

    async def delete(self, *, prev_kv: bool = False) -> None:
        """Delete every key by one request."""
        request = rpc_pb2.DeleteRangeRequest(key=LOW, range_end=HIGH, prev_kv=prev_kv)
        await self.call("KV/DeleteRange", request.SerializeToString())

    async def delete_watched(self, *, start: int = 0) -> None:
        """Delete, or catch up with a deletion, while a watch of all keys reads the events."""
        create = rpc_pb2.WatchCreateRequest(key=LOW, range_end=HIGH, start_revision=start)
        deletion: asyncio.Task[None] | None = None
        async with self.channel.stream("/etcdserverpb.Watch/Watch") as stream:
            stream.send(rpc_pb2.WatchRequest(create_request=create).SerializeToString())
            seen = 0
            async for message in stream:
                response = rpc_pb2.WatchResponse.FromString(message)
                seen += len(response.events)
                if response.created and not start:
                    deletion = asyncio.create_task(self.delete())
                if seen >= self.keys:
                    break
            if deletion is not None:
                await deletion

    async def txn_delete(self) -> None:
        """Delete every key by a transaction."""
        request = rpc_pb2.TxnRequest()
        operation = request.success.add().request_delete_range
        operation.key, operation.range_end = LOW, HIGH
        await self.call("KV/Txn", request.SerializeToString())

    async def compare(self, *, write: bool = False, nested: int = 0) -> None:
        """Compare every key, also in *nested* transactions; *write* something, or only read."""
        request = rpc_pb2.TxnRequest()
        self._compare_all(request)
        for _ in range(nested):
            self._compare_all(request.success.add().request_txn)
        operation = request.success.add()
        if write:
            operation.request_put.key = b"compared"
        else:
            operation.request_range.key = LOW
        answer = rpc_pb2.TxnResponse.FromString(
            await self.call("KV/Txn", request.SerializeToString())
        )
        assert answer.succeeded

    @staticmethod
    def _compare_all(request: rpc_pb2.TxnRequest) -> None:
        compare = request.compare.add(key=LOW, range_end=HIGH, version=0)
        compare.target, compare.result = compare.VERSION, compare.GREATER

    async def put_nested(self) -> None:
        """Put very many keys by nested transactions."""
        request = rpc_pb2.TxnRequest()
        for first in range(NESTED):
            middle = request.success.add().request_txn
            for second in range(NESTED):
                inner = middle.success.add().request_txn
                for third in range(NESTED):
                    inner.success.add().request_put.key = b"n%02d%02d%02d" % (first, second, third)
        await self.call("KV/Txn", request.SerializeToString())

    async def burst(self) -> None:
        """Get one key very often, all in one write."""
        body = rpc_pb2.RangeRequest(key=LOW, range_end=LOW + b"x", limit=1).SerializeToString()
        await asyncio.gather(*(self.call("KV/Range", body) for _ in range(4 * PUTS_IN_FLIGHT)))

    async def grant_many(self) -> None:
        """Grant as many leases as there are keys."""
        body = rpc_pb2.LeaseGrantRequest(TTL=SHORT_TTL_SECONDS).SerializeToString()
        for first in range(0, self.keys, PUTS_IN_FLIGHT):
            count = min(PUTS_IN_FLIGHT, self.keys - first)
            await asyncio.gather(*(self.call("Lease/LeaseGrant", body) for _ in range(count)))

    async def leases(self) -> int:
        """List the leases; return how many there are."""
        answer = await self.call("Lease/LeaseLeases", b"")
        return len(rpc_pb2.LeaseLeasesResponse.FromString(answer).leases)

    async def list_leases(self) -> None:
        """List the leases some times."""
        for _ in range(3):
            await self.leases()

    async def all_ended(self) -> None:
        """Wait until no lease is left."""
        while await self.leases():
            await asyncio.sleep(1)

    async def grant(self) -> None:
        """Grant the lease."""
        request = rpc_pb2.LeaseGrantRequest(ID=LEASE, TTL=3600)
        await self.call("Lease/LeaseGrant", request.SerializeToString())

    async def time_to_live(self) -> None:
        """List the lease's keys."""
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=LEASE, keys=True)
        await self.call("Lease/LeaseTimeToLive", request.SerializeToString())

    async def revoke(self) -> None:
        """Revoke the lease."""
        request = rpc_pb2.LeaseRevokeRequest(ID=LEASE)
        await self.call("Lease/LeaseRevoke", request.SerializeToString())

    async def compact(self) -> None:
        """Compact everything."""
        request = rpc_pb2.CompactionRequest(revision=await self.revision(), physical=True)
        await self.call("KV/Compact", request.SerializeToString())

    async def old(self, **options: object) -> None:
        """Range at the revision at which the keys were all there."""
        await self.range(revision=self.filled_at, **options)


Action = Callable[[], Awaitable[None]]


def schedule(heavy: Heavy) -> list[tuple[str, Action]]:
    """Return what is done one after the other; what has no name is preparation."""

    async def fill() -> None:
        await heavy.fill()

    async def fill_leased() -> None:
        await heavy.grant()
        await heavy.fill(LEASE)

    watches = Watches(heavy.channel, heavy.keys // 10, b"watched")
    spread = Watches(heavy.channel, heavy.keys // 10, b"watched", streams=100)

    async def idle() -> None:
        await asyncio.sleep(1)

    return [
        ("", fill),
        ("nothing", idle),
        ("range", heavy.range),
        ("range, keys only", lambda: heavy.range(keys_only=True)),
        ("range, sorted by value", lambda: heavy.range(sort_target=4, sort_order=1)),
        ("range, a filter and a limit", lambda: heavy.range(min_mod_revision=3, limit=10)),
        ("count", lambda: heavy.range(count_only=True)),
        ("compare all, only read", heavy.compare),
        ("compare all, and write", lambda: heavy.compare(write=True)),
        ("compare all, 20 times nested", lambda: heavy.compare(write=True, nested=20)),
        ("put 64,000 keys by one transaction", heavy.put_nested),
        ("2,000 gets at once", heavy.burst),
        ("delete, watched", heavy.delete_watched),
        ("range at an old revision", heavy.old),
        ("count at an old revision", lambda: heavy.old(count_only=True)),
        ("watch from an old revision", lambda: heavy.delete_watched(start=heavy.filled_at + 1)),
        ("put all again, 500 in flight", fill),
        ("delete, previous values returned", lambda: heavy.delete(prev_kv=True)),
        ("", fill),
        ("delete by a transaction", heavy.txn_delete),
        ("", fill_leased),
        ("keys of a lease", heavy.time_to_live),
        ("revoke a lease", heavy.revoke),
        ("compact all of it", heavy.compact),
        ("grant a lease a key", heavy.grant_many),
        ("list those leases", heavy.list_leases),
        ("they all end", heavy.all_ended),
        ("create a watch per ten keys, one stream", watches.create),
        ("one put that they all watch", watches.put),
        ("close that stream", watches.close),
        ("the same on 100 streams", spread.create),
        ("one put that they all watch ", spread.put),
        ("close those streams", spread.close),
    ]
