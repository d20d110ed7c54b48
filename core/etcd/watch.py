"""A watch that outlives its connections.

One gRPC stream a watch, so that each has flow control of its own; ``watch_group`` puts many on one.
How it is kept over lost links is ``watch_stream``'s part.
"""

from types import TracebackType
from typing import Self

from c101.core.errors import C101Error
from c101.core.etcd.caller import Caller
from c101.core.etcd.events import WatchBatch
from c101.core.etcd.watch_stream import EndedError, WatchStream
from c101.core.etcd.watched import Watched, WatchOptions

__all__ = ["Watch", "WatchOptions"]


class Watch:
    """Changes of a key or a range, in order, each once: ``async for batch in watch``.

    Entering it returns when the server has the watch: what is written after that is seen. Raises
    LinkError: no endpoint took it in time. CompactedError and its kin come with the first batch.
    One consumer at a time; cancelling a wait for the next batch loses nothing. A slow consumer
    holds up nobody: the server reads up for it from its history.

    Iterating waits however long the next changes take and however often the link is lost. It
    raises, and the watch is then over:

    - CompactedError: the revision to go on from is gone;
    - HistoryChangedError: the KV is another one, or was set back;
    - PermissionDeniedError: the range is not ours to read;
    - WatchCancelledError: the server ended it for another reason;
    - AuthError, HostKeyError: the server, back again, refuses us or shows another key.

    Example::

        written = await client.put("/lamp", "on")
        async with client.watch("/lamp", start_revision=written.revision) as watch:
            await client.delete("/lamp")
            kinds = []
            async for batch in watch:
                kinds += [event.kind for event in batch.events]
                if len(kinds) == 2:
                    break
            assert kinds == ["put", "delete"]
            watch.request_progress()
            batch = await anext(watch)
            assert batch.progress and batch.revision >= written.revision + 1
    """

    def __init__(self, caller: Caller, key: bytes, range_end: bytes, options: WatchOptions) -> None:
        self._stream = WatchStream(caller, options.get("on_link"), options.get("on_problem"))
        self._stream.add(Watched(key, range_end, options))

    @property
    def connected(self) -> bool:
        """Whether there was a link when the watch last looked."""
        return self._stream.connected

    @property
    def problem(self) -> C101Error | None:
        """Why there is no link; ``None`` while there is one."""
        return self._stream.problem

    @property
    def cluster_id(self) -> int:
        """The id of the KV's cluster."""
        return self._stream.cluster_id

    async def __aenter__(self) -> Self:
        await self._stream.establish()
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

    async def __anext__(self) -> WatchBatch:
        try:
            _, batch = await self._stream.next()
        except EndedError as ended:
            await self._stream.close()
            raise ended.reason from None
        return batch

    def request_progress(self) -> None:
        """Ask how far the watch is: a batch with ``progress`` set will say, once it has caught up.

        Does nothing while there is no link.
        """
        self._stream.request_progress()
