"""Very many watches of one key, for ``benchmarks.loop``."""

import asyncio
from contextlib import AsyncExitStack

from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Channel
from c101.core.rpc.client_stream import ClientStream

#: How long a stream that was closed may take to leave nothing behind, in seconds.
CLOSING_SECONDS = 1.0


class Watches:
    """*count* watches of *key* in all, on *streams* streams of one connection."""

    def __init__(self, channel: Channel, count: int, key: bytes, streams: int = 1) -> None:
        self._channel = channel
        self._key = key
        self._per_stream = count // streams
        self._count = streams
        self._streams: list[ClientStream] = []
        self._open = AsyncExitStack()

    async def create(self) -> None:
        """Ask for all at once, and wait until they are created."""
        create = rpc_pb2.WatchCreateRequest(key=self._key)
        body = rpc_pb2.WatchRequest(create_request=create).SerializeToString()
        for _ in range(self._count):
            opening = self._channel.stream("/etcdserverpb.Watch/Watch")
            stream = await self._open.enter_async_context(opening)
            self._streams.append(stream)
            for _ in range(self._per_stream):
                stream.send(body)
        await self._take()

    async def put(self) -> None:
        """Put the key, and wait until every watch has told it."""
        request = rpc_pb2.PutRequest(key=self._key, value=b"v").SerializeToString()
        await asyncio.gather(self._channel.unary("/etcdserverpb.KV/Put", request), self._take())

    async def _take(self) -> None:
        await asyncio.gather(*map(self._take_of, self._streams))

    async def _take_of(self, stream: ClientStream) -> None:
        for _ in range(self._per_stream):
            await anext(stream)

    async def close(self) -> None:
        """Give up the streams."""
        self._streams.clear()
        await self._open.aclose()
        await asyncio.sleep(CLOSING_SECONDS)
