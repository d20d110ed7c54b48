"""The verbs on leases."""

import math
from typing import TYPE_CHECKING

from c101.core.etcd.caller import Caller, Verbs
from c101.core.etcd.errors import LeaseNotFoundError
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import Code

# Imported by the verbs that need it: a command that reads one key should not load the rest.
if TYPE_CHECKING:
    from c101.core.etcd.lease import HeldLease, Lease, LeaseInfo

_LEASE = "/etcdserverpb.Lease/"


class LeaseVerbs(Verbs):
    """Granting, renewing and ending leases; part of ``Client``.

    Leases belong to the whole KV, also in a namespace.
    """

    async def lease(self, ttl_seconds: float, lease_id: int = 0) -> "Lease":
        """Grant a lease, by the id given or one that the KV chooses. It is not renewed by itself.

        The KV counts in whole seconds (*ttl_seconds* is rounded up) and may grant more: etcd's
        least is 2. Raises LeaseExistsError.

        Example::

            lease = await client.lease(30)
            await client.put("/session", "x", lease=lease.id)
            assert lease.ttl == 30
        """
        from c101.core.etcd.lease import Lease  # noqa: PLC0415

        request = rpc_pb2.LeaseGrantRequest(TTL=math.ceil(ttl_seconds), ID=lease_id)
        answer = await self._caller.write(
            _LEASE + "LeaseGrant", request, rpc_pb2.LeaseGrantResponse
        )
        return Lease(id=answer.ID, ttl=answer.TTL)

    def held_lease(self, ttl_seconds: float, *, keep: bool = False) -> "HeldLease":
        """Hold a lease while a block runs; what clientv3 calls a session. See :class:`HeldLease`.

        Example::

            async with client.held_lease(10) as lease:
                await client.put("/here", "me", lease=lease.id)
                assert not lease.lost.is_set()
            assert await client.get("/here") is None
        """
        from c101.core.etcd.lease import HeldLease  # noqa: PLC0415

        return HeldLease(self, ttl_seconds, keep=keep)

    async def refresh_lease(self, lease_id: int, *, timeout_seconds: float | None = None) -> int:
        """Give a lease its whole time again; return the seconds it now has.

        Raises LeaseNotFoundError.

        Example::

            lease = await client.lease(30)
            assert await client.refresh_lease(lease.id) == 30
        """
        answer = await self._timed(timeout_seconds).exchange(
            _LEASE + "LeaseKeepAlive",
            rpc_pb2.LeaseKeepAliveRequest(ID=lease_id),
            rpc_pb2.LeaseKeepAliveResponse,
        )
        if answer.TTL <= 0:
            raise _no_lease(lease_id)
        return answer.TTL

    async def revoke_lease(self, lease_id: int, *, timeout_seconds: float | None = None) -> None:
        """End a lease and delete the keys under it. Raises LeaseNotFoundError.

        Example::

            lease = await client.lease(30)
            await client.revoke_lease(lease.id)
        """
        request = rpc_pb2.LeaseRevokeRequest(ID=lease_id)
        await self._timed(timeout_seconds).write(
            _LEASE + "LeaseRevoke", request, rpc_pb2.LeaseRevokeResponse
        )

    async def get_lease_info(self, lease_id: int, *, keys: bool = False) -> "LeaseInfo":
        """Return what is left of a lease, and with *keys* the keys under it.

        Raises LeaseNotFoundError.

        Example::

            lease = await client.lease(30)
            await client.put("/mine", "x", lease=lease.id)
            info = await client.get_lease_info(lease.id, keys=True)
            assert info.keys == (b"/mine",) and info.granted_ttl == 30
        """
        from c101.core.etcd.lease import LeaseInfo  # noqa: PLC0415

        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=keys)
        answer = await self._caller.read(
            _LEASE + "LeaseTimeToLive", request, rpc_pb2.LeaseTimeToLiveResponse
        )
        if answer.TTL < 0:
            raise _no_lease(lease_id)
        return LeaseInfo(
            id=answer.ID, ttl=answer.TTL, granted_ttl=answer.grantedTTL, keys=tuple(answer.keys)
        )

    async def leases(self) -> list[int]:
        """Return the ids of all leases of the KV.

        Example::

            lease = await client.lease(30)
            assert lease.id in await client.leases()
        """
        answer = await self._caller.read(
            _LEASE + "LeaseLeases", rpc_pb2.LeaseLeasesRequest(), rpc_pb2.LeaseLeasesResponse
        )
        return [lease.ID for lease in answer.leases]

    def _timed(self, timeout_seconds: float | None) -> Caller:
        return self._caller.within(timeout_seconds) if timeout_seconds else self._caller


def _no_lease(lease_id: int) -> LeaseNotFoundError:
    return LeaseNotFoundError(f"lease {lease_id:x} not found", status=Code.NOT_FOUND)
