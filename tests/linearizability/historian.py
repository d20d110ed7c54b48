"""Somebody who sees everything: our client's watch of all keys, over every restart."""

import asyncio
from contextlib import AsyncExitStack
from typing import Self

from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.etcd.events import WatchEvent
from c101.core.rpc.channel import TcpDialer
from tests.linearizability.replay import Event, Replay, Stored, shown

#: What has been written and is not seen by then never will be.
SEEN_SECONDS = 60.0


class Historian:
    """Follows a server from its first revision on; the replay refuses a gap and a repetition."""

    def __init__(self, port: int) -> None:
        self._dialer = TcpDialer("127.0.0.1", port)
        self._stack = AsyncExitStack()
        self._following: asyncio.Task[None] | None = None
        self._more = asyncio.Condition()
        self.replay = Replay()

    async def __aenter__(self) -> Self:
        client = Client([self._dialer], clock=SystemClock(), timeout_seconds=SEEN_SECONDS)
        self._client = await self._stack.enter_async_context(client)
        self._following = asyncio.create_task(self._follow(), name="historian")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._following is not None
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self._stack.aclose()

    @property
    def revision(self) -> int:
        """The last revision seen."""
        return self.replay.revision

    async def _follow(self) -> None:
        async with self._client.watch_prefix(b"", start_revision=2) as watch:
            async for batch in watch:
                for event in batch.events:
                    self.replay.add(_event(event))
                async with self._more:
                    self._more.notify_all()

    async def seen(self, revision: int) -> None:
        """Wait until *revision* was seen; raise what ended the watch, if something did."""
        assert self._following is not None
        async with self._more:
            waiting = asyncio.create_task(self._wait(revision))
        done, _ = await asyncio.wait(
            (waiting, self._following), timeout=SEEN_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        if self._following in done:
            self._following.result()
        assert waiting in done, f"revision {revision} was not seen, the last is {self.revision}"

    async def _wait(self, revision: int) -> None:
        async with self._more:
            await self._more.wait_for(lambda: self.revision >= revision)


def _event(event: WatchEvent) -> Event:
    kv = event.kv
    if event.kind == "delete":
        return Event(kv.mod_revision, kv.key, None)
    stored = Stored(shown(kv.value), kv.create_revision, kv.mod_revision, kv.version, kv.lease)
    return Event(kv.mod_revision, kv.key, stored)
