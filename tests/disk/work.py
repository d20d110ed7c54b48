"""Work on a store by itself, one thing after the other, that says when each was begun and done."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from c101.core.clock import SystemClock
from c101.core.kv import write
from c101.core.kv.compactor import Compactor
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from c101.core.proto import rpc_pb2
from c101.core.rpc.status import RpcError

#: The log is checkpointed so often that all happens to it that may in a long life.
SMALL_LOG = {"CHECKPOINT_PAGES": 12, "LOG_BYTES_RESERVED": 100_000}
STEPS = 70
SEED = 101
BUCKET = "test"


class Dump(NamedTuple):
    """What a reader sees of a store."""

    revision: int
    compact_revision: int
    states: dict[bytes, bytes]
    leases: dict[int, int]
    bucket: dict[bytes, bytes]


def dump(store: Store) -> Dump:
    """Return all that *store* shows."""
    return Dump(
        revision=store.revision,
        compact_revision=store.compact_revision,
        states={key: state[0] for key, state in store.index.states.items()},
        leases=dict(store.storage.load_leases()),
        bucket=store.storage.load_bucket(BUCKET),
    )


class Work:
    """What is done, drawn at random."""

    def __init__(
        self,
        store: Store,
        compactor: Compactor,
        random_: random.Random,
        *,
        value_bytes: Sequence[int] = (1, 200, 3_000, 9_000),
    ) -> None:
        self._value_bytes = value_bytes
        self._store = store
        self._compactor = compactor
        self._random = random_
        self._numbers = iter(range(1 << 30))

    def next(self) -> Callable[[], Awaitable[None]]:
        """Return the next thing to do."""
        return self._random.choice(
            [
                *[self._put] * 6,
                *[self._put_together] * 4,
                *[self._delete] * 2,
                *[self._lease] * 2,
                self._note,
                self._compact,
                self._defragment,
            ]
        )

    def _stage_put(self, lease: int = 0) -> None:
        key = b"%d" % self._random.randrange(12)
        value = b"%d" % next(self._numbers) + b"x" * self._random.choice(self._value_bytes)
        write.put(self._store, rpc_pb2.PutRequest(key=key, value=value, lease=lease))

    async def _put(self) -> None:
        self._stage_put()
        await self._store.durable()

    async def _put_together(self) -> None:
        for _ in range(self._random.randrange(2, 40)):
            self._stage_put()
        await self._store.durable()

    async def _delete(self) -> None:
        first = b"%d" % self._random.randrange(12)
        request = rpc_pb2.DeleteRangeRequest(key=first, range_end=first[:1] + b"z")
        self._store.gate.perform(write.delete_range(self._store, request), _raise)
        await self._store.durable()

    async def _lease(self) -> None:
        lease = self._random.randrange(1, 4)
        if self._store.lessor.lookup(lease) is None:
            self._store.stage_lease(lease, 1_000)
            self._stage_put(lease)
        else:
            self._store.gate.perform(write.revoke(self._store, lease), _raise)
        await self._store.durable()

    async def _note(self) -> None:
        self._store.stage_bucket(BUCKET, b"k%d" % self._random.randrange(3), os.urandom(8))
        await self._store.durable()

    async def _compact(self) -> None:
        revision = self._store.revision - self._random.randrange(20)
        if revision > self._store.compact_revision:
            self._compactor.schedule(revision)
        await self._store.durable()
        # What it drops goes on beside whatever comes next.
        self._compactor.begin()

    async def _defragment(self) -> None:
        await self._store.defragment()


def _raise(result: list[bytes] | RpcError) -> None:
    if isinstance(result, RpcError):
        raise result


async def work(directory: Path) -> list[Dump]:
    """Work on the store in *directory*/kv; return what a reader saw after each thing done.

    *directory*/marks gets a line when something is begun and when it is acknowledged.
    """
    marks = os.open(directory / "marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    store = Store(Storage(directory / "kv"), SystemClock())
    compactor = Compactor(store, SystemClock())
    compacting = asyncio.create_task(compactor.run())
    doing = Work(store, compactor, random.Random(SEED))
    dumps = [dump(store)]
    os.write(marks, b"open\n")
    for _ in range(STEPS):
        do = doing.next()
        os.write(marks, b"begin\n")
        await do()
        os.write(marks, b"done\n")
        dumps.append(dump(store))
    compacting.cancel()
    await asyncio.gather(compacting, return_exceptions=True)
    await store.close()
    os.close(marks)
    return dumps
