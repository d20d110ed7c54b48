"""Ours and a real etcd side by side: play a sequence on both, say where they differ."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from tests.kvserver.operations import Binding, Operation
from tests.kvserver.side import Side


class Pair:
    """Two servers that have seen the same; each sequence has a prefix and leases of its own."""

    def __init__(self, ours: Side, etcd: Side) -> None:
        self._sides = ours, etcd
        self._numbers = itertools.count(1)
        #: what was compared: operations by method, refusals, watches, events
        self.mix: Counter[str] = Counter()

    @classmethod
    @asynccontextmanager
    async def of(cls, ours: int, etcd: int) -> AsyncIterator["Pair"]:
        """Connect to both, by port."""
        async with Side.of(ours) as mine, Side.of(etcd) as theirs:
            yield cls(mine, theirs)

    async def compare(self, sequence: Sequence[Operation]) -> str:
        """Play *sequence* on both at once; return where they differ, if they do."""
        number = next(self._numbers)
        binding = Binding(
            prefix=b"/%d/" % number, revision=self._sides[0].revision, lease=number * 1000
        )
        mine, theirs = await asyncio.gather(*(side.play(binding, sequence) for side in self._sides))
        mine.count(self.mix)
        self.mix["sequences"] += 1
        self.mix["random operations"] += len(sequence)
        return mine.difference(theirs)
