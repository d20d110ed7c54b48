"""What keeps a KV in order: snapshots, space, alarms, hashes."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from c101.core.errors import DeadlineExceededError
from c101.core.etcd.endpoints import Endpoints, decode
from c101.core.etcd.errors import from_rpc
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import RpcError

_MAINTENANCE = "/etcdserverpb.Maintenance/"
#: A snapshot of which nothing comes for so long is given up.
SNAPSHOT_SILENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """An alarm that is raised: ``kind`` is NOSPACE or CORRUPT, at the member of that id."""

    member_id: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HashKV:
    """What a member's keys up to ``revision`` hash to, as far back as ``compact_revision``.

    Equal data has equal hashes on members of one kind. ``revision`` is 0 where a member does not
    say it: etcd before 3.6.
    """

    hash: int
    revision: int
    compact_revision: int


class Maintenance:
    """The verbs that concern a KV itself. Raises what every verb does (``client``)."""

    def __init__(self, endpoints: Endpoints, timeout_seconds: float) -> None:
        self._endpoints = endpoints
        self._timeout_seconds = timeout_seconds

    async def snapshot(self) -> AsyncGenerator[tuple[bytes, int]]:
        """Yield the KV's database as it is, a blob at a time, and how many bytes are to come.

        The last blob is the SHA-256 of all others. It may take as long as it takes, as long as
        something comes. Close the generator (``contextlib.aclosing``) where it is not read to its
        end. Raises DeadlineExceededError when nothing comes for SNAPSHOT_SILENCE_SECONDS.
        """
        endpoint = self._endpoints.current
        await self._endpoints.connect(endpoint, self._timeout_seconds)
        try:
            async with self._endpoints.stream(endpoint, _MAINTENANCE + "Snapshot") as stream:
                stream.send(rpc_pb2.SnapshotRequest().SerializeToString())
                stream.end()
                while True:
                    async with asyncio.timeout(SNAPSHOT_SILENCE_SECONDS):
                        raw = await anext(stream, None)
                    if raw is None:
                        return
                    response = decode(rpc_pb2.SnapshotResponse, raw)
                    yield response.blob, response.remaining_bytes
        except RpcError as exc:
            raise from_rpc(exc) from exc
        except TimeoutError as exc:
            text = f"{endpoint.name} sent nothing of it for {SNAPSHOT_SILENCE_SECONDS:g} s"
            raise DeadlineExceededError(f"snapshot: {text}") from exc

    async def defragment(self) -> None:
        """Have the member in use give free space back to its disk."""
        await self._endpoints.call(
            _MAINTENANCE + "Defragment",
            rpc_pb2.DefragmentRequest(),
            rpc_pb2.DefragmentResponse,
            timeout_seconds=self._timeout_seconds,
            repeatable=False,
        )

    async def hash_kv(self, revision: int = 0) -> HashKV:
        """Return the hash of the keys up to *revision*, 0 for the current one.

        Raises CompactedError, FutureRevisionError.
        """
        answer = await self._endpoints.call(
            _MAINTENANCE + "HashKV",
            rpc_pb2.HashKVRequest(revision=revision),
            rpc_pb2.HashKVResponse,
            timeout_seconds=self._timeout_seconds,
            repeatable=True,
            revision=revision,
        )
        return HashKV(
            hash=answer.hash,
            revision=answer.hash_revision,
            compact_revision=answer.compact_revision,
        )

    async def alarms(self) -> list[Alarm]:
        """Return the alarms that are raised."""
        return _alarms(await self._alarm(rpc_pb2.AlarmRequest(), repeatable=True))

    async def disarm(self, alarm: Alarm) -> list[Alarm]:
        """End *alarm*; return it, or nothing if it was not raised."""
        request = rpc_pb2.AlarmRequest(
            action=rpc_pb2.AlarmRequest.DEACTIVATE,
            memberID=alarm.member_id,
            alarm=alarm.kind,
        )
        return _alarms(await self._alarm(request, repeatable=False))

    async def _alarm(
        self, request: rpc_pb2.AlarmRequest, *, repeatable: bool
    ) -> rpc_pb2.AlarmResponse:
        return await self._endpoints.call(
            _MAINTENANCE + "Alarm",
            request,
            rpc_pb2.AlarmResponse,
            timeout_seconds=self._timeout_seconds,
            repeatable=repeatable,
        )


def _alarms(response: rpc_pb2.AlarmResponse) -> list[Alarm]:
    return [
        Alarm(member_id=one.memberID, kind=rpc_pb2.AlarmType.Name(one.alarm))
        for one in response.alarms
    ]
