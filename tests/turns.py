"""Counts what is done between two turns of the loop: work, not time."""

import asyncio
from collections.abc import Callable


class Turns:
    """How much is done between two turns of the loop; *look* is called once a turn."""

    def __init__(self, look: Callable[[], None] = lambda: None) -> None:
        self.done = 0
        self.most = 0
        self._look = look
        self._task = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while True:
            self.most = max(self.most, self.done)
            self.done = 0
            self._look()
            await asyncio.sleep(0)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
