"""Random work of concurrent clients, and watches of every kind meanwhile.

What is asked follows from a seed; what happens in which order does not, and is recorded.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator

from c101.core.proto import rpc_pb2
from c101.core.rpc.status import RpcError
from tests.linearizability.history import (
    Delete,
    Get,
    Grant,
    Held,
    Put,
    PutAll,
    Request,
    Revoke,
    Swap,
)
from tests.linearizability.recorder import (
    PREFIX,
    PREFIX_END,
    CutOffError,
    RecordingClient,
    RecordingWatch,
)
from tests.linearizability.validators import Recording

KEYS = ("a", "b", "c", "d", "e")
#: Written together by one client, so large that an event with its prev_kv comes in fragments.
LARGE_KEYS = ("u", "v", "w", "x", "y")
LARGE_BYTES = 280_000
#: Enough for a watch that does not read to fall behind.
PADDING_BYTES = 2_000
LEASES = (1, 2)
CLIENTS = 7
#: Large values are written each time after so many calls.
CALLS_PER_LARGE = 100
#: Compactions follow one another after so many calls, this far behind what was seen at most.
CALLS_PER_COMPACTION = 150
COMPACTED_BEHIND_MAX = 200
#: How far in the past a watch of history begins.
HISTORY_REVISIONS_MAX = 400

_Watch = rpc_pb2.WatchCreateRequest


class Load:
    """One round: clients and watches at work on *port* until they are told to stop, or cut off.

    With *single* every request is about one key, so that each key can be judged by itself.
    *seen* returns the last revision that somebody has seen and kept: compactions stay behind it.
    """

    def __init__(
        self,
        port: int,
        random_: random.Random,
        ticks: Iterator[int],
        *,
        revision: int,
        seen: Callable[[], int],
        single: bool,
    ) -> None:
        self._random = random_
        self._single = single
        self._seen = seen
        self._revision = revision
        self.clients = [
            RecordingClient(number, port, ticks, PADDING_BYTES) for number in range(CLIENTS)
        ]
        #: the client that writes large values
        self.large = RecordingClient(CLIENTS, port, ticks, LARGE_BYTES)
        self._compacting = RecordingClient(CLIENTS + 1, port, ticks, 0)
        self._watches = [
            RecordingWatch(port),
            RecordingWatch(port),
            RecordingWatch(port, slow=True),
        ]
        self._compacted = 0
        #: what was done, by kind
        self.mix: Counter[str] = Counter()
        self._done = asyncio.Condition()
        self._stopped = False

    async def open(self) -> None:
        """Connect, and create the watches."""
        for client in (*self.clients, self.large, self._compacting):
            await client.connect()
        everything = _Watch(key=PREFIX, range_end=PREFIX_END, prev_kv=True, fragment=True)
        past = max(2, self._revision - self._random.randrange(HISTORY_REVISIONS_MAX))
        live, history, slow = self._watches
        await live.open(
            everything,
            _Watch(key=PREFIX, range_end=PREFIX_END, filters=[_Watch.NODELETE]),
            _Watch(key=PREFIX + b"a", prev_kv=True),
            _Watch(key=PREFIX + b"c", range_end=b"\0", filters=[_Watch.NOPUT], prev_kv=True),
        )
        await history.open(
            _Watch(key=PREFIX, range_end=PREFIX_END, start_revision=past, prev_kv=True),
            _Watch(key=PREFIX + b"b", start_revision=past),
            _Watch(key=PREFIX, range_end=PREFIX_END, start_revision=self._revision + 20),
        )
        await slow.open(everything)
        live.begin()
        history.begin()

    async def run(self) -> None:
        """Work until ``stop``, or until the server is gone."""
        async with asyncio.TaskGroup() as tasks:
            for client in self.clients:
                seed = self._random.random()
                tasks.create_task(self._work(client, random.Random(seed)))
            tasks.create_task(self._write_large())
            tasks.create_task(self._compact())

    async def done(self, calls: int) -> None:
        """Wait until so many calls were answered, or all is over."""
        async with self._done:
            await self._done.wait_for(lambda: self.mix.total() >= calls or self._stopped)

    def read_slow(self) -> None:
        """Let the watch that stood still read."""
        self._watches[2].begin()

    def stop(self) -> None:
        """Have every client end after its call."""
        self._stopped = True

    async def caught_up(self, revision: int) -> None:
        """Wait until every watch is at *revision*."""
        for watch in self._watches:
            await watch.caught_up(revision)

    async def close(self) -> list[Recording]:
        """Let go of all connections; return what was recorded of watches."""
        recordings: list[Recording] = []
        for watch in self._watches:
            recordings += await watch.close()
        for client in (*self.clients, self.large, self._compacting):
            await client.close()
        for recording in recordings:
            recording.compacted = self._compacted
        return recordings

    async def _work(self, client: RecordingClient, random_: random.Random) -> None:
        known: dict[str, Held | None] = {}
        for number in range(1 << 30):
            if self._stopped:
                return
            value = f"{self._revision}.{client.number}.{number}"
            request = self._request(random_, value, known)
            try:
                outcome = await client.call(request)
            except CutOffError:
                break
            if isinstance(request, Get) and (
                isinstance(outcome.result, Held) or outcome.result is None
            ):
                known[request.key] = outcome.result
            await self._count(type(request).__name__)
        await self._over()

    def _request(
        self, random_: random.Random, value: str, known: dict[str, Held | None]
    ) -> Request:
        key = random_.choice(KEYS)
        lease = random_.choice(LEASES)
        requests: list[Request] = [
            *[Put(key=key, value=value)] * 3,
            *[Get(key=key)] * 3,
            Delete(key=key),
            # Read a while ago: others may have been faster.
            *[Swap(key=key, expected=known.get(key), value=value)] * 3,
        ]
        if not self._single:
            requests += [
                *[PutAll(keys=tuple(random_.sample(KEYS, 3)), value=value)] * 2,
                Put(key=key, value=value, lease=lease),
                Grant(lease=lease),
                Revoke(lease=lease),
            ]
        return random_.choice(requests)

    async def _write_large(self) -> None:
        while not self._stopped and not self._single:
            # The second one replaces the first: both are in its event.
            for number in range(2):
                value = f"{self._revision}.large.{self.mix.total()}.{number}"
                try:
                    await self.large.call(PutAll(keys=LARGE_KEYS, value=value))
                except CutOffError:
                    await self._over()
                    return
                await self._count("large writes")
            await self.done(self.mix.total() + CALLS_PER_LARGE)

    async def _compact(self) -> None:
        while not self._stopped:
            self._watches[0].ask_progress()
            await self.done(self.mix.total() + CALLS_PER_COMPACTION)
            revision = self._seen() - self._random.randrange(COMPACTED_BEHIND_MAX)
            if revision < 1 or self._stopped:
                continue
            self._compacted = max(self._compacted, revision)
            request = rpc_pb2.CompactionRequest(revision=revision)
            try:
                await self._compacting.send("KV/Compact", request, rpc_pb2.CompactionResponse)
            except RpcError:
                # Compacted already, or the server ends.
                continue
            except CutOffError:
                break
            await self._count("compaction")
        await self._over()

    async def _count(self, kind: str) -> None:
        async with self._done:
            self.mix[kind] += 1
            self._done.notify_all()

    async def _over(self) -> None:
        async with self._done:
            self._stopped = True
            self._done.notify_all()
