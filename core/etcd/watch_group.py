"""Many watches over one stream, for one consumer.

A watch of its own costs the server a stream and two or three tasks; a thousand keys that one task
looks after need only one. The price is that they share flow control: whoever is slow with the
batches of one is slow with all, and the server then reads up from its history for each.
"""

from types import TracebackType
from typing import Self, Unpack

from c101.core.errors import C101Error
from c101.core.etcd.caller import Caller
from c101.core.etcd.errors import InvalidRequestError
from c101.core.etcd.events import WatchBatch
from c101.core.etcd.keys import FROM_KEY, Bytes, as_bytes, prefix_end, prefix_start
from c101.core.etcd.kv import RANGE
from c101.core.etcd.watch_stream import EndedError, WatchStream
from c101.core.etcd.watched import Watched, WatchOptions
from c101.core.proto import rpc_pb2


class WatchGroup:
    """Watches that share a stream: ``async for watched, batch in group``.

    Each batch comes with the watch it belongs to, as ``add`` returned it. Within one watch
    everything is as in :class:`Watch`; between watches there is no order. Watches may be added and
    removed at any time, also while the consumer waits.

    Iterating raises :class:`WatchEndedError` when one of them is over; the rest go on, and so may
    whoever iterates again. Other errors are as in :class:`Watch` and end the group.

    Example::

        async with client.watch_group() as group:
            rooms = [await group.add(f"/room/{number}") for number in range(3)]
            await client.put("/room/2", "taken")
            watched, batch = await anext(group)
            assert watched is rooms[2] and watched.key == b"/room/2"
            group.remove(rooms[0])
            prefix = await group.add_prefix("/hall/", no_delete=True)
            assert len(group) == 3
    """

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._stream = WatchStream(caller)
        self._added = 0

    def __len__(self) -> int:
        return len(self._stream.watches)

    async def add(
        self, key: Bytes, *, range_end: Bytes = b"", **options: Unpack[WatchOptions]
    ) -> Watched:
        """Watch *key*, or the keys from it up to *range_end*, too.

        What is written after this returned is seen. ``on_link`` and ``on_problem`` are not taken
        here. Raises what a read raises.
        """
        start, end = as_bytes(key), as_bytes(range_end)
        if end and end != FROM_KEY and end <= start:
            raise InvalidRequestError(f"the range from {start!r} to {end!r} is empty")
        if not options.get("start_revision"):
            # The server begins when it has the request, which nobody here may be waiting for.
            request = rpc_pb2.RangeRequest(key=start or FROM_KEY, count_only=True)
            answer = await self._caller.read(RANGE, request, rpc_pb2.RangeResponse)
            options["start_revision"] = answer.header.revision + 1
        self._added += 1
        watched = Watched(start, end, options, id=self._added)
        self._stream.add(watched)
        return watched

    async def add_prefix(self, prefix: Bytes, **options: Unpack[WatchOptions]) -> Watched:
        """Watch the keys that begin with *prefix*, too; an empty one means all. As ``add``."""
        start = as_bytes(prefix)
        return await self.add(prefix_start(start), range_end=prefix_end(start), **options)

    def remove(self, watched: Watched) -> None:
        """End one watch; what was on its way is dropped."""
        self._stream.remove(watched)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stream.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[Watched, WatchBatch]:
        try:
            return await self._stream.next()
        except EndedError as ended:
            raise WatchEndedError(ended.watched, ended.reason) from ended.reason


class WatchEndedError(C101Error):
    """One watch of a group is over: ``watched``, by ``reason`` (CompactedError, ...)."""

    code = "watch_ended"

    def __init__(self, watched: Watched, reason: C101Error) -> None:
        super().__init__(f"the watch of {watched.key!r} is over: {reason}", hint=reason.hint)
        self.watched = watched
        self.reason = reason
