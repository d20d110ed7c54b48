"""One of two servers that are asked the same: it plays sequences and writes down all it answers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import zip_longest

from google.protobuf.message import Message

from c101.core.errors import C101Error
from c101.core.proto import kv_pb2, rpc_pb2
from c101.core.rpc.channel import Channel, ClientStream, TcpDialer
from c101.core.rpc.status import RpcError
from tests.kvserver.operations import METHODS, Binding, Operation, ending, opening

#: An answer, or an event, that is not there by then is missing.
ANSWER_SECONDS = 20.0

_Filter = rpc_pb2.WatchCreateRequest

#: A response, or the status and text of a refusal.
Answer = Message | tuple[str, str]


@dataclass(slots=True, kw_only=True)
class Transcript:
    """What a server answered to a sequence, what its watches saw, and how it all began."""

    operations: list[Operation]
    revision: int
    answers: list[Answer] = field(default_factory=list)
    events: dict[int, list[kv_pb2.Event]] = field(default_factory=dict)

    def difference(self, other: "Transcript") -> str:
        """Say where two transcripts of one sequence part; empty when they are the same."""
        if self.revision != other.revision:
            return f"they began at revisions {self.revision} and {other.revision}"
        for operation, mine, theirs in zip(
            self.operations, self.answers, other.answers, strict=True
        ):
            if mine != theirs:
                return f"{operation}\nours: {_text(mine)}\netcd: {_text(theirs)}"
        compacted = self._compacted()
        for watch_id in sorted({*self.events, *other.events}):
            seen = self.events.get(watch_id, []), other.events.get(watch_id, [])
            for number, (event, their) in enumerate(zip_longest(*seen)):
                if event != their and not _without_prev_kv(event, their, compacted):
                    return (
                        f"event {number} of watch {watch_id}"
                        f"\nours: {_text(event)}\netcd: {_text(their)}"
                    )
        return ""

    def _compacted(self) -> int:
        """Return the last revision that a compaction of the sequence reached."""
        done = [
            operation.request.revision  # type: ignore[attr-defined]
            for operation, answer in zip(self.operations, self.answers, strict=True)
            if operation.path == "KV/Compact" and not isinstance(answer, tuple)
        ]
        return self.revision + max(done) if done else 0

    def count(self, mix: Counter[str]) -> None:
        """Add to *mix* what was asked, what was refused, and what was seen."""
        for operation, answer in zip(self.operations, self.answers, strict=True):
            mix[operation.path.partition("/")[2]] += 1
            mix["refused"] += isinstance(answer, tuple)
        mix["watches"] += len(self.events)
        mix["events compared"] += sum(map(len, self.events.values()))


def _text(answer: Answer | kv_pb2.Event | None) -> str:
    return ": ".join(answer) if isinstance(answer, tuple) else str(answer).replace("\n", " ")


def _without_prev_kv(
    event: kv_pb2.Event | None, their: kv_pb2.Event | None, compacted: int
) -> bool:
    """Say whether *their* event lacks a prev_kv that a compaction took.

    etcd looks it up when it sends the event, so a compaction asked for later may come before.
    """
    if event is None or their is None or their.HasField("prev_kv"):
        return False
    plain = kv_pb2.Event(type=event.type, kv=event.kv)
    return plain == their and their.kv.mod_revision - 1 < compacted


class Side:
    """A server under comparison, on one connection."""

    def __init__(self, channel: Channel, keep_alive: ClientStream) -> None:
        self._channel = channel
        self._keep_alive = keep_alive
        #: the revision after the last answer
        self.revision = 1

    @classmethod
    @asynccontextmanager
    async def of(cls, port: int) -> AsyncIterator["Side"]:
        """Connect to *port*."""
        channel = Channel(TcpDialer("127.0.0.1", port))
        async with channel.stream("/etcdserverpb.Lease/LeaseKeepAlive") as keep_alive:
            side = cls(channel, keep_alive)
            await side._ask(Operation("KV/Range", rpc_pb2.RangeRequest(key=b"a")), None)
            yield side
        await channel.close()

    async def play(self, binding: Binding, sequence: Iterable[Operation]) -> Transcript:
        """Play *sequence* between its opening and its ending, three watches and more alive."""
        operations = [*opening(), *sequence, *ending()]
        transcript = Transcript(operations=operations, revision=self.revision)
        async with AsyncExitStack() as stack:
            stream = await stack.enter_async_context(
                self._channel.stream("/etcdserverpb.Watch/Watch")
            )
            watches = Watches(stream, transcript.events)
            for request in _lasting_watches():
                await watches.create(binding.bind(request))
            for operation in operations:
                transcript.answers.append(await self.answer(binding, operation, watches))
            await watches.seen_by_all(self.revision)
        return transcript

    async def answer(self, binding: Binding, operation: Operation, watches: "Watches") -> Answer:
        """Send one operation and return its answer without what differs between servers."""
        request = binding.bind(operation.request)
        bound = Operation(operation.path, request)
        try:
            return await self._ask(bound, watches)
        except RpcError as exc:
            return (exc.status.name, exc.message)

    async def _ask(self, operation: Operation, watches: "Watches | None") -> Message:
        path, request = operation.path, operation.request
        if path == "Watch/Watch":
            assert watches is not None
            created = await watches.create(request)
            if request.start_revision:  # type: ignore[attr-defined]
                # Of history, which comes after the opening: whole before anything is compacted.
                await watches.seen_by_all(self.revision)
            return _masked(created)
        if path == "Lease/LeaseKeepAlive":
            self._keep_alive.send(request.SerializeToString())
            async with asyncio.timeout(ANSWER_SECONDS):
                raw = await anext(self._keep_alive)
        else:
            raw = await self._channel.unary(
                "/etcdserverpb." + path, request.SerializeToString(), timeout=ANSWER_SECONDS
            )
        response = METHODS[path].response.FromString(raw)
        self.revision = max(self.revision, response.header.revision)  # type: ignore[attr-defined]
        return _masked(response)


class Watches:
    """The watches of one sequence, all on one stream; events are kept by watch."""

    def __init__(self, stream: ClientStream, events: dict[int, list[kv_pb2.Event]]) -> None:
        self._stream = stream
        self._events = events
        self._requests: dict[int, rpc_pb2.WatchCreateRequest] = {}

    async def create(self, request: Message) -> rpc_pb2.WatchResponse:
        """Create a watch and return what the server says to that."""
        assert isinstance(request, _Filter)
        self._stream.send(rpc_pb2.WatchRequest(create_request=request).SerializeToString())
        while not (response := await self._next()).created:
            self._keep(response)
        if not response.canceled:
            self._requests[response.watch_id] = request
            self._events[response.watch_id] = []
        return response

    async def seen_by_all(self, revision: int) -> None:
        """Read until every watch has seen the last event up to *revision* that it wants.

        That is at *revision*, or for a watch that wants no deletions at the one before.
        """
        while behind := [
            one for one in self._requests if self._last(one) < self._end(one, revision)
        ]:
            try:
                self._keep(await self._next())
            except TimeoutError:
                raise C101Error(f"watches {behind} did not see revision {revision}") from None

    def _last(self, watch_id: int) -> int:
        events = self._events[watch_id]
        return events[-1].kv.mod_revision if events else 0

    def _end(self, watch_id: int, revision: int) -> int:
        return revision - (_Filter.NODELETE in self._requests[watch_id].filters)

    def _keep(self, response: rpc_pb2.WatchResponse) -> None:
        self._events[response.watch_id].extend(response.events)

    async def _next(self) -> rpc_pb2.WatchResponse:
        async with asyncio.timeout(ANSWER_SECONDS):
            return rpc_pb2.WatchResponse.FromString(await anext(self._stream))


def _lasting_watches() -> list[rpc_pb2.WatchCreateRequest]:
    return [
        _Filter(key=b"a", range_end=b"*", prev_kv=True),
        _Filter(key=b"ab"),
        _Filter(key=b"a", range_end=b"*", filters=[_Filter.NODELETE]),
    ]


def _masked(response: Message) -> Message:
    """Take out what no two servers have in common: ids, terms, and how time passed."""
    header = response.header  # type: ignore[attr-defined]
    for name in ("cluster_id", "member_id", "raft_term"):
        header.ClearField(name)
    if isinstance(response, rpc_pb2.LeaseTimeToLiveResponse):
        ordered = sorted(response.keys)
        del response.keys[:]
        response.keys.extend(ordered)
        response.TTL = min(response.TTL, 1)
    elif isinstance(response, rpc_pb2.LeaseLeasesResponse):
        response.leases.sort(key=lambda lease: lease.ID)
    return response
