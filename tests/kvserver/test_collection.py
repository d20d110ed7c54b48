"""Full passes of the garbage collector: taken while nobody asks, and only then."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from c101.core.kvserver.collection import (
    BUSY_TIMES_MAX,
    IDLE_SECONDS,
    INTERVAL_SECONDS,
    collect_when_idle,
)
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import TcpDialer
from c101.core.rpc.server import Server, unary
from tests.fakes.clock import FakeClock


class Site:
    """A server, a client, and a clock that is moved by hand."""

    def __init__(self, channel: Channel, clock: FakeClock) -> None:
        self.channel = channel
        self.clock = clock
        self.working = False


class Knot:
    """What holds itself."""

    def __init__(self) -> None:
        self.held: Knot | None = self


def old_garbage() -> "weakref.ref[Knot]":
    """Return a cycle that became old before it was garbage: no short pass finds it."""
    knot = Knot()
    gc.collect()
    gc.collect(1)
    found = weakref.ref(knot)
    del knot
    gc.collect(1)
    assert found() is not None
    return found


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    clock = FakeClock()
    server = Server({"/s/echo": unary(_echo)}, {})
    listener = await server.serve_tcp("127.0.0.1", 0)
    channel = Channel(TcpDialer("127.0.0.1", listener.sockets[0].getsockname()[1]))
    await channel.unary("/s/echo", b"hello")
    site = Site(channel, clock)
    collecting = asyncio.create_task(collect_when_idle([server], clock, lambda: site.working))
    await clock.advance(0)
    yield site
    collecting.cancel()
    with suppress(asyncio.CancelledError):
        await collecting
    await channel.close()
    await server.close(0)


async def _echo(message: bytes) -> bytes:
    return message


async def test_what_is_old_is_collected_while_nobody_asks(site: Site) -> None:
    found = old_garbage()
    await site.clock.advance(INTERVAL_SECONDS)
    assert found() is not None
    await site.clock.advance(IDLE_SECONDS)
    assert found() is None


async def test_whoever_asks_meanwhile_does_not_wait_for_a_collection(site: Site) -> None:
    found = old_garbage()
    for _ in range(BUSY_TIMES_MAX):
        await site.clock.advance(INTERVAL_SECONDS)
        await site.channel.unary("/s/echo", b"busy")
        await site.clock.advance(IDLE_SECONDS)
        assert found() is not None
    # But a server that is busy for ten minutes does not grow for ever.
    await site.clock.advance(INTERVAL_SECONDS)
    await site.channel.unary("/s/echo", b"busy")
    await site.clock.advance(IDLE_SECONDS)
    assert found() is None


async def test_a_long_request_that_is_being_worked_on_is_no_idling(site: Site) -> None:
    found = old_garbage()
    site.working = True
    await site.clock.advance(INTERVAL_SECONDS + IDLE_SECONDS)
    assert found() is not None
    site.working = False
    await site.clock.advance(INTERVAL_SECONDS + IDLE_SECONDS)
    assert found() is None


async def test_with_little_made_since_the_last_time_nothing_is_looked_for(site: Site) -> None:
    await site.clock.advance(INTERVAL_SECONDS + IDLE_SECONDS)
    gc.disable()
    try:
        gc.collect()
        began = gc.get_stats()[2]["collections"]
        for _ in range(3):
            await site.clock.advance(INTERVAL_SECONDS + IDLE_SECONDS)
        assert gc.get_stats()[2]["collections"] == began
    finally:
        gc.enable()
