"""``set --hold``: a key that is there as long as the command runs."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable

from c101.core.errors import ConflictError, DeadlineExceededError, LinkError
from c101.core.etcd.backoff import Backoff
from c101.core.etcd.errors import UnavailableError
from c101.tui.ctl.output import say
from c101.tui.ctl.session import Session

#: Writes the key under a lease.
_Write = Callable[[Session, int], Awaitable[None]]


async def hold(session: Session, write: _Write, ttl_seconds: int) -> None:
    """Keep the key under a lease until SIGTERM or SIGINT, and delete it then.

    A lease that is lost, to a KV that was away for longer than it lasts, is followed by another
    one as soon as the KV answers. Raises what *write* raises, and LinkError where no KV was ever
    reached.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    backoff = Backoff()
    held = False
    while not stop.is_set():
        try:
            async with session.client.held_lease(ttl_seconds) as lease:
                await write(session, lease.id)
                held = True
                backoff.reset()
                say("held")
                await _first(stop.wait(), lease.lost.wait())
        except (LinkError, DeadlineExceededError, UnavailableError) as error:
            if not held:
                raise
            say(f"not held: {error}; trying again")
            await _first(stop.wait(), session.clock.sleep(backoff.next()))
        except ConflictError:
            if not held:
                raise
            # Our own key of the lease before may not be gone yet.
            await _first(stop.wait(), session.clock.sleep(backoff.next()))


async def _first(*waits: Awaitable[object]) -> None:
    """Wait until one of *waits* is over; the others are given up."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
