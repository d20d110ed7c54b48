"""The KV's members, and the endpoints by which a client reaches them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from c101.core.errors import C101Error, ConfigError
from c101.core.etcd import members
from c101.core.etcd.caller import Verbs
from c101.core.etcd.endpoint import Endpoint
from c101.core.etcd.errors import from_rpc
from c101.core.etcd.maintenance import STATUS
from c101.core.etcd.member_sync import MEMBER_LIST, MemberSync
from c101.core.etcd.members import Member, Status
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Dialer
from c101.core.rpc.status import RpcError

_CLUSTER = "/etcdserverpb.Cluster/"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealth:
    """How one endpoint is.

    ``seconds`` it took to say so. ``status`` is ``None`` where it did not answer. ``problem`` says
    what is wrong: no answer, no leader, an alarm, a learner; ``None`` where it is healthy.
    """

    endpoint: str
    seconds: float
    status: Status | None
    problem: str | None

    @property
    def healthy(self) -> bool:
        """Whether it serves reads and writes."""
        return self.problem is None


class Cluster(Verbs):
    """Members and endpoints: ``client.cluster``.

    A KV of one member that cannot grow refuses the verbs that change members (KVError).

    Example::

        members = await client.cluster.members()
        assert members[0].client_urls == (url,)
        assert client.cluster.endpoints == (url,)
        assert await client.cluster.sync() == (url,)
        (health,) = await client.cluster.health()
        assert health.healthy and health.seconds < 5
        assert health.status is not None and health.status.leader == members[0].id
    """

    def follow_members(
        self, dial: Callable[[str], Dialer], *, every_seconds: float | None = None
    ) -> None:
        """Say how a member's URL is dialled, which ``sync`` needs; ``connect`` has said it.

        With *every_seconds* the client synchronises by itself, when it is used and that much time
        has passed since it last did.

        Example::

            from c101.core.rpc.channel import dialer_for

            client.cluster.follow_members(dialer_for, every_seconds=300)
        """
        endpoints = self._caller.endpoints
        endpoints.sync = MemberSync(endpoints, dial, every_seconds=every_seconds)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The addresses this client uses, the one in use first."""
        used = self._caller.endpoints
        index = used.all.index(used.current)
        return tuple(endpoint.name for endpoint in used.all[index:] + used.all[:index])

    async def sync(self) -> tuple[str, ...]:
        """Use the endpoints that the members say they have; return their addresses.

        Those of learners and of members that have not started are left out. What runs on an
        endpoint that is not among them ends there in its own time.

        Raises ConfigError: the client was given dialers and cannot make others.
        """
        sync = self._caller.endpoints.sync
        if sync is None:
            raise ConfigError(
                "this client does not know how to dial a member's URL",
                hint="say so by follow_members, or make the client by connect",
            )
        await sync.now(self._caller.timeout_seconds)
        return self.endpoints

    async def health(self) -> list[EndpointHealth]:
        """Ask every endpoint how it is, at once; raises nothing of what they answer.

        Healthy is an endpoint that says within the time limit that it has a leader, no alarm, and
        is no learner.
        """
        asked = [
            asyncio.create_task(self._health(endpoint), name=f"health of {endpoint.name}")
            for endpoint in self._caller.endpoints.all
        ]
        try:
            await asyncio.wait(asked)
        finally:
            for task in asked:
                task.cancel()
        return [task.result() for task in asked]

    async def members(self) -> list[Member]:
        """Return the members of the KV's cluster. A member without a name has not started."""
        request = rpc_pb2.MemberListRequest()
        answer = await self._caller.read(
            MEMBER_LIST, request, rpc_pb2.MemberListResponse, needs_leader=False
        )
        return [members.member(member) for member in answer.members]

    async def add_member(self, peer_urls: Sequence[str], *, is_learner: bool = False) -> Member:
        """Add a member that is about to start; as a learner, it has no vote until it is promoted.

        Raises, beside KVError, InvalidRequestError: the URLs are none.
        """
        request = rpc_pb2.MemberAddRequest(peerURLs=peer_urls, isLearner=is_learner)
        answer = await self._caller.write(
            _CLUSTER + "MemberAdd", request, rpc_pb2.MemberAddResponse
        )
        return members.member(answer.member)

    async def remove_member(self, member_id: int) -> None:
        """Remove a member; it stops. KVError: there is no such member."""
        request = rpc_pb2.MemberRemoveRequest(ID=member_id)
        await self._caller.write(_CLUSTER + "MemberRemove", request, rpc_pb2.MemberRemoveResponse)

    async def update_member(self, member_id: int, peer_urls: Sequence[str]) -> None:
        """Have the others reach a member elsewhere. KVError: there is no such member."""
        request = rpc_pb2.MemberUpdateRequest(ID=member_id, peerURLs=peer_urls)
        await self._caller.write(_CLUSTER + "MemberUpdate", request, rpc_pb2.MemberUpdateResponse)

    async def promote_member(self, member_id: int) -> None:
        """Give a learner its vote. KVError: it is none, or has not caught up."""
        request = rpc_pb2.MemberPromoteRequest(ID=member_id)
        await self._caller.write(_CLUSTER + "MemberPromote", request, rpc_pb2.MemberPromoteResponse)

    async def _health(self, endpoint: Endpoint) -> EndpointHealth:
        before = self.clock.monotonic()
        status: Status | None = None
        try:
            answer = await self._caller.ask(
                STATUS, rpc_pb2.StatusRequest(), rpc_pb2.StatusResponse, endpoint=endpoint
            )
            status = members.status(answer)
            problem = _problem(status)
        except C101Error as exc:
            problem = str(from_rpc(exc) if isinstance(exc, RpcError) else exc)
        seconds = self.clock.monotonic() - before
        return EndpointHealth(
            endpoint=endpoint.name, seconds=seconds, status=status, problem=problem
        )


def _problem(status: Status) -> str | None:
    if not status.leader:
        return "it has no leader"
    if status.is_learner:
        return "it is a learner"
    return "; ".join(status.errors) or None
