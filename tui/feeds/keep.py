"""A stream that is opened again whenever it ends, and says how it is."""

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.tui.render.sanitise import sanitise
from c101.tui.store.pane_status import Freshness, PaneStatus

logger = logging.getLogger(__name__)

#: The first and the longest pause before a stream is opened again, in seconds.
RETRY_SECONDS_MIN = 0.2
RETRY_SECONDS_MAX = 5.0

T = TypeVar("T")
Report = Callable[[PaneStatus], None]


async def keep(
    open_stream: Callable[[], AsyncGenerator[T, None]],
    take: Callable[[T], None],
    report: Report,
    clock: Clock,
    wake: asyncio.Event | None = None,
) -> None:
    """Give every item of the stream to *take*, for ever; *report* what changes about it.

    A link that is lost is ordinary: ``RECONNECTING``. Anything else is a fault of ours, and stays
    in this stream: ``FAILED``, in the log with its traceback, and tried again like the other.
    *wake* ends a pause early: the other side is known to be back.
    """
    pause = RETRY_SECONDS_MIN
    since = clock.time()
    while True:
        problem = PaneStatus(Freshness.RECONNECTING, since, "the stream ended")
        try:
            async with contextlib.aclosing(open_stream()) as stream:
                live = False
                async for item in stream:
                    take(item)
                    pause, since = RETRY_SECONDS_MIN, clock.time()
                    if not live:
                        live = True
                        report(PaneStatus(Freshness.LIVE, since))
                since = clock.time()
        except C101Error as exc:
            problem = PaneStatus(Freshness.RECONNECTING, since, sanitise(str(exc)))
        except Exception as exc:  # the edge of a pane: its fault must not take the others
            logger.exception("feed failed")
            text = sanitise(f"{type(exc).__name__}: {exc}")
            problem = PaneStatus(Freshness.FAILED, since, text)
        report(problem)
        # Spread, so that what lost one host does not come back all at once.
        await _rest(pause * random.uniform(0.7, 1.3), clock, wake)  # noqa: S311 - no secret
        pause = min(RETRY_SECONDS_MAX, pause * 2)


async def _rest(seconds: float, clock: Clock, wake: asyncio.Event | None) -> None:
    if wake is None:
        await clock.sleep(seconds)
        return
    wake.clear()
    waits = {asyncio.ensure_future(clock.sleep(seconds)), asyncio.create_task(wake.wait())}
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
