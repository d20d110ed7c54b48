"""A TCP relay before a server: the link that tests may cut, silence and mend."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

CHUNK_BYTES = 65_536
#: What may be on the way at once; a sender is held up by more.
CHUNKS_MAX = 1_000


class Relay:
    """Relays each connection to *port* of 127.0.0.1, on a port of its own.

    ``cut`` ends all connections, and those that come until ``mend``; ``silence`` keeps them open
    and passes nothing on until then, like a network that went away; ``forget`` never passes
    anything on again over those that are open, like a NAT that lost its table.
    ``delay_seconds`` is what data takes longer, either way; what follows is not held up by it.
    """

    def __init__(self, port: int) -> None:
        self.port = 0
        self.accepted = 0
        self.delay_seconds = 0.0
        self._target = port
        self._whole = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cut(self) -> None:
        self._whole = False
        for link in self._links:
            link.cancel()

    def silence(self) -> None:
        self._flowing.clear()

    def forget(self) -> None:
        self._flowing.clear()
        # Those that are open wait for an event that nobody will set.
        self._flowing = asyncio.Event()
        self._flowing.set()

    def mend(self) -> None:
        self._whole = True
        self._flowing.set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._links:
            await asyncio.wait(self._links)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        link = asyncio.current_task()
        assert link is not None
        self._links.add(link)
        try:
            if self._whole:
                await self._relay(reader, writer)
        except (OSError, asyncio.CancelledError):
            # A cut is this task's cancellation; stream servers report any other way to end.
            pass
        finally:
            self._links.discard(link)
            writer.transport.abort()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        there = asyncio.create_task(self._pump(reader, far_writer))
        back = asyncio.create_task(self._pump(far_reader, writer))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            there.cancel()
            back.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait({there, back})
            far_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        flowing = self._flowing
        loop = asyncio.get_running_loop()
        arrived: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(CHUNKS_MAX)

        async def read() -> None:
            while data := await reader.read(CHUNK_BYTES):
                await arrived.put((loop.time() + self.delay_seconds, data))
            await arrived.put((0.0, b""))

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            with contextlib.suppress(OSError):
                while True:
                    due, data = await arrived.get()
                    if not data:
                        break
                    await asyncio.sleep(due - loop.time())
                    await flowing.wait()
                    writer.write(data)
                    await writer.drain()
            reading.cancel()


@asynccontextmanager
async def relay_to(port: int) -> AsyncIterator[Relay]:
    """Run a relay to *port*."""
    relay = Relay(port)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()
