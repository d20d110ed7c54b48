"""The verbs: python-etcd3's, async.

::

    async with Client([TcpDialer("127.0.0.1", 2379)], clock=SystemClock()) as client:
        await client.put("/services/db", "10.0.0.7")
        async with client.watch_prefix("/services/") as watch:
            async for batch in watch:
                ...

Keys and values are bytes, or text that is sent as UTF-8; answers hold bytes. Every request ends
within ``timeout_seconds``. Reads are asked again, of another endpoint if there is one, until that
time is up; a write is asked again only when it was certainly not sent, so a write that fails with
``LinkLostError``, ``DeadlineExceededError`` or ``UnavailableError`` may have been carried out: read
to find out, or make it a transaction that can be repeated.

Raised by every verb: ``LinkError`` (no endpoint answers; the three above say more),
``InvalidRequestError``, ``PermissionDeniedError``, ``NoSpaceError``, ``KVError``. What else a verb
raises is said there.
"""

import math
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from google.protobuf.message import Message

from c101.core.clock import Clock
from c101.core.etcd import results
from c101.core.etcd.endpoints import Endpoints
from c101.core.etcd.errors import LeaseNotFoundError
from c101.core.etcd.keys import Bytes, as_bytes, prefix_end, prefix_start
from c101.core.etcd.ranges import RangeOptions, range_request
from c101.core.etcd.results import PutResult, RangeResult, TxnResult
from c101.core.model.key_value import KeyValue
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Dialer
from c101.core.rpc.status import Code

# Imported by the verbs that need them: a command that reads one key should not load the rest.
if TYPE_CHECKING:
    from c101.core.etcd.lease import HeldLease, Lease, LeaseInfo
    from c101.core.etcd.lock import Lock
    from c101.core.etcd.maintenance import Maintenance
    from c101.core.etcd.members import Member, Status
    from c101.core.etcd.txn import Compare, Op
    from c101.core.etcd.watch import Watch, WatchOptions

_M = TypeVar("_M", bound=Message)

_KV = "/etcdserverpb.KV/"
_LEASE = "/etcdserverpb.Lease/"
_MAINTENANCE = "/etcdserverpb.Maintenance/"
_CLUSTER = "/etcdserverpb.Cluster/"


class Client:
    """A KV, by one or more endpoints.

    Endpoints fail over in the order given. Nothing is connected before the first request. One
    client may be used by any number of tasks at once. With *fails_fast*, for commands, a request
    fails once each endpoint was tried, as long as none was ever reached; without, for what lives
    long, it waits within its time for a KV that is down to come up.
    """

    def __init__(
        self,
        dialers: Sequence[Dialer],
        *,
        clock: Clock,
        timeout_seconds: float = 5.0,
        fails_fast: bool = False,
    ) -> None:
        self._endpoints = Endpoints(dialers, clock=clock, fails_fast=fails_fast)
        self._clock = clock
        self._timeout_seconds = timeout_seconds

    @property
    def clock(self) -> Clock:
        """Where time comes from."""
        return self._clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every link. A watch that still runs ends with LinkError."""
        await self._endpoints.close()

    # Keys

    async def get(self, key: Bytes, **options: Unpack[RangeOptions]) -> KeyValue | None:
        """Return *key*; ``None`` when it does not exist.

        Raises CompactedError, FutureRevisionError: with ``revision``, one that cannot be read.
        """
        found = await self.get_range(key, b"", **options)
        return found.kvs[0] if found.kvs else None

    async def get_range(
        self, key: Bytes, range_end: Bytes, **options: Unpack[RangeOptions]
    ) -> RangeResult:
        """Return the keys from *key* up to, and without, *range_end*. Raises as ``get``."""
        request = range_request(as_bytes(key), as_bytes(range_end), options)
        answer = await self._read(
            _KV + "Range", request, rpc_pb2.RangeResponse, revision=request.revision
        )
        return results.range_result(answer)

    async def get_prefix(self, prefix: Bytes, **options: Unpack[RangeOptions]) -> RangeResult:
        """Return the keys that begin with *prefix*; an empty one means all. Raises as ``get``."""
        start = as_bytes(prefix)
        return await self.get_range(prefix_start(start), prefix_end(start), **options)

    async def put(
        self, key: Bytes, value: Bytes, *, lease: int = 0, prev_kv: bool = False
    ) -> PutResult:
        """Write *key*. Without a lease, one that it had is detached.

        Raises LeaseNotFoundError.
        """
        request = rpc_pb2.PutRequest(
            key=as_bytes(key), value=as_bytes(value), lease=lease, prev_kv=prev_kv
        )
        answer = await self._write(_KV + "Put", request, rpc_pb2.PutResponse)
        return results.put_result(answer)

    async def put_if_not_exists(self, key: Bytes, value: Bytes, *, lease: int = 0) -> bool:
        """Create *key*; return whether that was done. Raises LeaseNotFoundError."""
        from c101.core.etcd import txn  # noqa: PLC0415

        result = await self.transaction(
            compare=[txn.create_revision(key).equals(0)], success=[txn.Put(key, value, lease)]
        )
        return result.succeeded

    async def replace(self, key: Bytes, initial_value: Bytes, new_value: Bytes) -> bool:
        """Write *key* if its value is *initial_value*; return whether that was done.

        The lease it may have had is detached.
        """
        from c101.core.etcd import txn  # noqa: PLC0415

        result = await self.transaction(
            compare=[txn.value(key).equals(initial_value)], success=[txn.Put(key, new_value)]
        )
        return result.succeeded

    async def delete(self, key: Bytes) -> bool:
        """Delete *key*; return whether it existed."""
        return await self.delete_range(key, b"") > 0

    async def delete_range(self, key: Bytes, range_end: Bytes) -> int:
        """Delete the keys from *key* up to *range_end*; return how many there were."""
        request = rpc_pb2.DeleteRangeRequest(key=as_bytes(key), range_end=as_bytes(range_end))
        answer = await self._write(_KV + "DeleteRange", request, rpc_pb2.DeleteRangeResponse)
        return answer.deleted

    async def delete_prefix(self, prefix: Bytes) -> int:
        """Delete the keys that begin with *prefix*; return how many there were."""
        start = as_bytes(prefix)
        return await self.delete_range(prefix_start(start), prefix_end(start))

    async def transaction(
        self,
        *,
        compare: Sequence["Compare"],
        success: Sequence["Op"],
        failure: Sequence["Op"] = (),
    ) -> TxnResult:
        """Do *success* if every comparison holds, else *failure*, as one change or none.

        Raises LeaseNotFoundError, CompactedError, FutureRevisionError: nothing was done.
        """
        from c101.core.etcd import txn  # noqa: PLC0415

        request = txn.txn_request(txn.Txn(compare, success, failure))
        return results.txn_result(await self._write(_KV + "Txn", request, rpc_pb2.TxnResponse))

    async def compact(self, revision: int, *, physical: bool = False) -> None:
        """Forget what was before *revision*; with *physical*, return when the space is free.

        Raises CompactedError, FutureRevisionError.
        """
        request = rpc_pb2.CompactionRequest(revision=revision, physical=physical)
        await self._write(_KV + "Compact", request, rpc_pb2.CompactionResponse, revision=revision)

    # Watches

    def watch(
        self, key: Bytes, *, range_end: Bytes = b"", **options: Unpack["WatchOptions"]
    ) -> "Watch":
        """Watch *key*, or the keys from it up to *range_end*: ``async with`` it, then iterate."""
        from c101.core.etcd.watch import Watch  # noqa: PLC0415

        return Watch(
            self._endpoints,
            as_bytes(key),
            as_bytes(range_end),
            timeout_seconds=self._timeout_seconds,
            options=options,
        )

    def watch_prefix(self, prefix: Bytes, **options: Unpack["WatchOptions"]) -> "Watch":
        """Watch the keys that begin with *prefix*; an empty one means all."""
        start = as_bytes(prefix)
        return self.watch(prefix_start(start), range_end=prefix_end(start), **options)

    # Leases and locks

    async def lease(self, ttl_seconds: float, lease_id: int = 0) -> "Lease":
        """Grant a lease, by the id given or one that the KV chooses. It is not renewed by itself.

        The KV counts in whole seconds (*ttl_seconds* is rounded up) and may grant more: etcd's
        least is 2. Raises LeaseExistsError.
        """
        from c101.core.etcd.lease import Lease  # noqa: PLC0415

        request = rpc_pb2.LeaseGrantRequest(TTL=math.ceil(ttl_seconds), ID=lease_id)
        answer = await self._write(_LEASE + "LeaseGrant", request, rpc_pb2.LeaseGrantResponse)
        return Lease(id=answer.ID, ttl=answer.TTL)

    def held_lease(self, ttl_seconds: float, *, keep: bool = False) -> "HeldLease":
        """Hold a lease while a block runs: ``async with`` it. See :class:`HeldLease`."""
        from c101.core.etcd.lease import HeldLease  # noqa: PLC0415

        return HeldLease(self, ttl_seconds, keep=keep)

    async def refresh_lease(self, lease_id: int, *, timeout_seconds: float | None = None) -> int:
        """Give a lease its whole time again; return the seconds it now has.

        Raises LeaseNotFoundError.
        """
        answer = await self._endpoints.exchange(
            _LEASE + "LeaseKeepAlive",
            rpc_pb2.LeaseKeepAliveRequest(ID=lease_id),
            rpc_pb2.LeaseKeepAliveResponse,
            timeout_seconds=timeout_seconds or self._timeout_seconds,
        )
        if answer.TTL <= 0:
            raise _no_lease(lease_id)
        return answer.TTL

    async def revoke_lease(self, lease_id: int, *, timeout_seconds: float | None = None) -> None:
        """End a lease and delete the keys under it. Raises LeaseNotFoundError."""
        request = rpc_pb2.LeaseRevokeRequest(ID=lease_id)
        await self._write(
            _LEASE + "LeaseRevoke",
            request,
            rpc_pb2.LeaseRevokeResponse,
            timeout_seconds=timeout_seconds,
        )

    async def get_lease_info(self, lease_id: int, *, keys: bool = False) -> "LeaseInfo":
        """Return what is left of a lease, and with *keys* the keys under it.

        Raises LeaseNotFoundError.
        """
        from c101.core.etcd.lease import LeaseInfo  # noqa: PLC0415

        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=keys)
        answer = await self._read(
            _LEASE + "LeaseTimeToLive", request, rpc_pb2.LeaseTimeToLiveResponse
        )
        if answer.TTL < 0:
            raise _no_lease(lease_id)
        return LeaseInfo(
            id=answer.ID, ttl=answer.TTL, granted_ttl=answer.grantedTTL, keys=tuple(answer.keys)
        )

    def lock(self, name: Bytes, ttl_seconds: float) -> "Lock":
        """Hold a lock while a block runs: ``async with`` it. See :class:`Lock`."""
        from c101.core.etcd.lock import Lock  # noqa: PLC0415

        return Lock(self, as_bytes(name), ttl_seconds)

    # The KV itself

    @property
    def maintenance(self) -> "Maintenance":
        """Snapshots, space, alarms, hashes."""
        from c101.core.etcd.maintenance import Maintenance  # noqa: PLC0415

        return Maintenance(self._endpoints, self._timeout_seconds)

    async def status(self) -> "Status":
        """Return how the member in use is."""
        from c101.core.etcd import members  # noqa: PLC0415

        request = rpc_pb2.StatusRequest()
        answer = await self._read(_MAINTENANCE + "Status", request, rpc_pb2.StatusResponse)
        return members.status(answer)

    async def members(self) -> list["Member"]:
        """Return the members of the KV's cluster."""
        from c101.core.etcd import members  # noqa: PLC0415

        request = rpc_pb2.MemberListRequest()
        answer = await self._read(_CLUSTER + "MemberList", request, rpc_pb2.MemberListResponse)
        return [members.member(member) for member in answer.members]

    async def _read(
        self, path: str, request: Message, answer: type[_M], *, revision: int = 0
    ) -> _M:
        return await self._endpoints.call(
            path,
            request,
            answer,
            timeout_seconds=self._timeout_seconds,
            repeatable=True,
            revision=revision,
        )

    async def _write(
        self,
        path: str,
        request: Message,
        answer: type[_M],
        *,
        timeout_seconds: float | None = None,
        revision: int = 0,
    ) -> _M:
        return await self._endpoints.call(
            path,
            request,
            answer,
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            repeatable=False,
            revision=revision,
        )


def _no_lease(lease_id: int) -> LeaseNotFoundError:
    return LeaseNotFoundError(f"lease {lease_id:x} not found", status=Code.NOT_FOUND)
