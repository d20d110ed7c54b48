"""Looking after members: status, alarms, hashes, space, leadership, snapshots.

Most of it is about one member: the one at *endpoint*, an address as ``client.cluster.endpoints``
has it, or the one in use.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import TypeVar

from google.protobuf.message import Message

from c101.core.errors import DeadlineExceededError, LinkError
from c101.core.etcd import members
from c101.core.etcd.caller import Verbs
from c101.core.etcd.endpoint import Endpoint
from c101.core.etcd.members import Status
from c101.core.proto import rpc_pb2

_M = TypeVar("_M", bound=Message)

#: Called with the bytes that came, and how many there are to be.
Progress = Callable[[int, int], None]

_MAINTENANCE = "/etcdserverpb.Maintenance/"
STATUS = _MAINTENANCE + "Status"


class AlarmKind(IntEnum):
    """What an alarm is about."""

    #: The quota is reached: no writes until space is made and the alarm disarmed.
    NOSPACE = 1
    #: Members hold different data: no writes.
    CORRUPT = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm that a member has raised."""

    member_id: int
    kind: AlarmKind


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHash:
    """A hash over all that was written up to a revision; equal on all members.

    ``compact_revision`` is where history begins, -1 when it was never compacted: hashes of
    different ones cannot be compared.
    """

    hash: int
    revision: int
    compact_revision: int


def _untold(_done: int, _of: int) -> None:
    """Tell nobody how far it is."""


class Maintenance(Verbs):
    """Looking after members: ``client.maintenance``.

    Example::

        written = await client.put("/hashed", "1")
        maintenance = client.maintenance
        status = await maintenance.status(endpoint=url)
        assert status.revision >= written.revision and status.errors == ()
        found = await maintenance.hash_kv(written.revision)
        assert found.hash == (await maintenance.hash_kv(written.revision, endpoint=url)).hash
        assert await maintenance.hash() > 0
        await maintenance.defragment()
        assert await maintenance.alarms() == []
    """

    async def status(self, *, endpoint: str | None = None) -> Status:
        """Return how a member is. ConfigError: there is no such endpoint."""
        answer = await self._ask(
            "Status", rpc_pb2.StatusRequest(), rpc_pb2.StatusResponse, endpoint
        )
        return members.status(answer)

    async def alarms(self) -> list[Alarm]:
        """Return all alarms of all members."""
        return await self._alarm(rpc_pb2.AlarmRequest(action=rpc_pb2.AlarmRequest.GET))

    async def create_alarm(self, kind: AlarmKind, member_id: int) -> list[Alarm]:
        """Raise an alarm in the name of a member, as a drill; return it.

        Example::

            from c101.core.etcd.maintenance import AlarmKind

            status = await client.status()
            raised = await client.maintenance.create_alarm(AlarmKind.NOSPACE, status.member_id)
            assert await client.maintenance.alarms() == raised
            assert await client.maintenance.disarm_alarm() == raised
        """
        return await self._alarm(
            rpc_pb2.AlarmRequest(
                action=rpc_pb2.AlarmRequest.ACTIVATE,
                memberID=member_id,
                alarm=rpc_pb2.AlarmType.Name(kind),
            )
        )

    async def disarm_alarm(self) -> list[Alarm]:
        """Disarm all alarms; return those that were. Their cause is to be mended first.

        Example::

            assert await client.maintenance.disarm_alarm() == []
        """
        disarmed: list[Alarm] = []
        for alarm in await self.alarms():
            disarmed += await self._alarm(
                rpc_pb2.AlarmRequest(
                    action=rpc_pb2.AlarmRequest.DEACTIVATE,
                    memberID=alarm.member_id,
                    alarm=rpc_pb2.AlarmType.Name(alarm.kind),
                )
            )
        return disarmed

    async def defragment(self, *, endpoint: str | None = None) -> None:
        """Give the disk back what a member's file does not need. The member stalls meanwhile.

        It may take minutes: use ``client.within(seconds)``. ConfigError: no such endpoint.
        """
        request = rpc_pb2.DefragmentRequest()
        await self._ask("Defragment", request, rpc_pb2.DefragmentResponse, endpoint)

    async def hash(self, *, endpoint: str | None = None) -> int:
        """Return the hash of all that a member has on disk. ConfigError: no such endpoint."""
        answer = await self._ask("Hash", rpc_pb2.HashRequest(), rpc_pb2.HashResponse, endpoint)
        return answer.hash

    async def hash_kv(self, revision: int = 0, *, endpoint: str | None = None) -> KeyHash:
        """Return the hash of what was written up to *revision*; 0 is the present.

        Raises CompactedError, FutureRevisionError; ConfigError: no such endpoint.
        """
        request = rpc_pb2.HashKVRequest(revision=revision)
        answer = await self._ask(
            "HashKV", request, rpc_pb2.HashKVResponse, endpoint, revision=revision
        )
        return KeyHash(
            hash=answer.hash,
            revision=revision or answer.header.revision,
            compact_revision=answer.compact_revision,
        )

    async def move_leader(self, member_id: int) -> None:
        """Have another member lead. It is asked of the leader, which must be among the endpoints.

        KVError: it is not, or the member cannot lead.

        Example::

            status = await client.status()
            await client.maintenance.move_leader(status.member_id)
        """
        await self._caller.ask(
            _MAINTENANCE + "MoveLeader",
            rpc_pb2.MoveLeaderRequest(targetID=member_id),
            rpc_pb2.MoveLeaderResponse,
            endpoint=await self._leader(),
            repeatable=False,
        )

    async def snapshot(
        self, *, endpoint: str | None = None, progress: Progress | None = None
    ) -> AsyncGenerator[bytes, None]:
        """Yield a member's database, piece by piece, as it was at one moment.

        The last 32 bytes are the SHA-256 of what was before: together they are the file that
        ``etcdctl snapshot save`` writes and ``restore`` reads. A link that is lost ends it with
        LinkLostError: it is not taken up elsewhere, for another member's file is another.
        *progress* is called with the bytes that came and how many there are to be.

        Example::

            size = 0
            async for piece in client.maintenance.snapshot():
                size += len(piece)
            assert size % 512 == 32
        """
        from c101.core.etcd.snapshot import pieces  # noqa: PLC0415

        source = pieces(self._caller, self._named(endpoint), progress or _untold)
        async with aclosing(source) as found:
            async for piece in found:
                yield piece

    async def save_snapshot(
        self, path: str | Path, *, endpoint: str | None = None, progress: Progress | None = None
    ) -> int:
        """Write a member's database to the file *path*, mode 0600; return its size in bytes.

        The file appears, or takes the place of another, when it is whole, checked and on disk.
        Raises SnapshotError: it came damaged, or cannot be written; nothing is left behind.

        Example::

            import tempfile
            from pathlib import Path

            with tempfile.TemporaryDirectory() as directory:
                path = Path(directory) / "backup.db"
                size = await client.maintenance.save_snapshot(path)
                assert path.stat().st_size == size
        """
        from c101.core.etcd.snapshot import save  # noqa: PLC0415

        return await save(self.snapshot(endpoint=endpoint, progress=progress), Path(path))

    async def _alarm(self, request: rpc_pb2.AlarmRequest) -> list[Alarm]:
        # Raised or disarmed twice is raised or disarmed once.
        answer = await self._caller.read(_MAINTENANCE + "Alarm", request, rpc_pb2.AlarmResponse)
        return [
            Alarm(member_id=alarm.memberID, kind=AlarmKind(alarm.alarm)) for alarm in answer.alarms
        ]

    async def _ask(
        self,
        method: str,
        request: Message,
        answer: type[_M],
        endpoint: str | None,
        *,
        revision: int = 0,
    ) -> _M:
        named = self._named(endpoint)
        return await self._caller.ask(
            _MAINTENANCE + method, request, answer, endpoint=named, revision=revision
        )

    async def _leader(self) -> Endpoint | None:
        """Return the endpoint of the leader, ``None`` when it is none of ours."""
        for endpoint in self._caller.endpoints.all:
            try:
                status = await self.status(endpoint=endpoint.name)
            except (LinkError, DeadlineExceededError):
                continue
            if status.leader == status.member_id:
                return endpoint
        return None

    def _named(self, endpoint: str | None) -> Endpoint | None:
        return None if endpoint is None else self._caller.endpoints.named(endpoint)
