"""Waking the tasks that wait for something to change."""

import asyncio


class Signal:
    """Wakes every task that is waiting; remembers nothing.

    The waiter checks its condition, waits, and checks again.
    """

    __slots__ = ("_waiters",)

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def notify(self) -> None:
        """Wake all that wait at this moment."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        """Wait for the next ``notify``."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)


async def turn() -> None:
    """Let everybody else who is ready have a turn of the loop."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    loop.call_soon(_wake, waiter)
    await waiter


def _wake(waiter: asyncio.Future[None]) -> None:
    # Done already when the one who waits was cancelled.
    if not waiter.done():
        waiter.set_result(None)
