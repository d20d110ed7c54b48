"""Which keys hang on a lease, asked of the etcd: what a role may do to a lease depends on them."""

from collections.abc import Iterable
from typing import Final

from c101.core.kv.auth import checks
from c101.core.kv.auth.authority import Authority
from c101.core.kv.auth.caller import Caller
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Channel

#: Leases remembered as usable by a role; when full they are forgotten.
_KNOWN_MAX: Final = 10_000
_SECONDS_MAX: Final = 5.0


class Leases:
    """The leases of the etcd at *channel*."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._known: set[tuple[str, int]] = set()

    async def check(self, auth: Authority, caller: Caller, lease_id: int) -> None:
        """Check that *caller* may write every key of a lease. Raises RpcError."""
        attached = _Attached(await self._keys(lease_id))
        for _ in checks.check_lease(auth, attached, caller, lease_id):
            pass

    async def check_use(self, auth: Authority, caller: Caller, lease_ids: Iterable[int]) -> None:
        """Check it for renewing, and for hanging keys on it. Raises RpcError.

        Asked once a lease: what an admin hangs on it later is not what these take away.
        """
        for lease_id in lease_ids:
            known = (caller.user, lease_id)
            if lease_id and known not in self._known:
                await self.check(auth, caller, lease_id)
                if len(self._known) >= _KNOWN_MAX:
                    self._known.clear()
                self._known.add(known)

    async def _keys(self, lease_id: int) -> list[bytes]:
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=lease_id, keys=True)
        answer = await self._channel.unary(
            "/etcdserverpb.Lease/LeaseTimeToLive",
            request.SerializeToString(),
            timeout=_SECONDS_MAX,
        )
        return list(rpc_pb2.LeaseTimeToLiveResponse.FromString(answer).keys)


class _Attached:
    def __init__(self, keys: list[bytes]) -> None:
        self._keys = keys

    def attached(self, _lease_id: int, /) -> list[bytes]:
        return self._keys
