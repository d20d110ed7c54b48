"""Waking the tasks that wait for something to change."""

import asyncio
from collections.abc import Generator
from types import coroutine


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


@coroutine
def next_turn() -> Generator[None, None, None]:
    """Go on when everybody else who is ready had a turn."""
    yield
