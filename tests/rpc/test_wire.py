"""Output goes to the socket at once where the loop would put it off, and stays in its order."""

import asyncio
import os
import random
import socket
from collections.abc import Callable

import pytest
import uvloop

from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import TcpDialer
from c101.core.rpc.server import Server, UnaryCall
from c101.core.rpc.server_wire import ServerWire
from tests.rpc.conftest import port_of

SMALL_BUFFER_BYTES = 4_096


def large(call: UnaryCall, message: bytes) -> None:
    size, seed = (int(word) for word in message.split())
    call.reply(random.Random(seed).randbytes(size))


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every accepted connection take little at a time."""
    made = ServerWire.connection_made

    def connection_made(wire: ServerWire, transport: asyncio.BaseTransport) -> None:
        accepted = transport.get_extra_info("socket")
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER_BYTES)
        made(wire, transport)

    monkeypatch.setattr(ServerWire, "connection_made", connection_made)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What was asked to be written to sockets at once, and how much of it was."""
    found: list[tuple[int, int]] = []
    write: Callable[[int, bytes], int] = os.write

    def watched(descriptor: int, data: bytes) -> int:
        try:
            sent = write(descriptor, data)
        except BlockingIOError:
            found.append((len(data), 0))
            raise
        found.append((len(data), sent))
        return sent

    monkeypatch.setattr("c101.core.rpc.wire.os.write", watched)
    return found


async def ask(port: int) -> None:
    async def one(channel: Channel, size: int, seed: int) -> None:
        answer = await channel.unary("/t/Large", b"%d %d" % (size, seed))
        assert answer == random.Random(seed).randbytes(size)

    channel = Channel(TcpDialer("127.0.0.1", port))
    sizes = [1, 100, 5_000, 70_000, 300_000] * 8
    await asyncio.gather(*(one(channel, size, seed) for seed, size in enumerate(sizes)))
    await channel.close()


async def serve_and_ask() -> None:
    server = Server({"/t/Large": large}, {})
    await ask(port_of(await server.serve_tcp("127.0.0.1", 0)))
    await server.close(0)


def test_what_a_socket_does_not_take_follows_in_its_order(
    narrow: None, writes: list[tuple[int, int]]
) -> None:
    del narrow
    uvloop.run(serve_and_ask())
    assert any(sent == size for size, sent in writes)
    assert any(0 < sent < size for size, sent in writes)


def test_other_loops_write_for_themselves(writes: list[tuple[int, int]]) -> None:
    asyncio.run(serve_and_ask())
    assert writes == []


def test_a_peer_that_is_gone_ends_its_connection_and_no_other() -> None:
    async def run() -> None:
        waiting: list[UnaryCall] = []
        server = Server({"/t/Large": large, "/t/Wait": lambda call, _: waiting.append(call)}, {})
        port = port_of(await server.serve_tcp("127.0.0.1", 0))
        leaving = Channel(TcpDialer("127.0.0.1", port))
        asked = asyncio.create_task(leaving.unary("/t/Wait", b""))
        while not waiting:
            await asyncio.sleep(0)
        asked.cancel()
        await leaving.close()
        for call in waiting:
            call.reply(b"late")
        await ask(port)
        await server.close(0)

    uvloop.run(run())


async def test_the_rest_of_a_long_answer_is_put_off_and_nobody_elses() -> None:
    server = Server({"/t/Large": large}, {})
    put_off: list[Callable[[], None]] = []
    server.put_off = put_off.append
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    waiting, hurrying = (Channel(TcpDialer("127.0.0.1", port)) for _ in range(2))
    long = asyncio.create_task(waiting.unary("/t/Large", b"1500000 7"))
    while not put_off:
        await asyncio.sleep(0)
    # However often the connection is written to, it is put off once.
    for size in (10, 200_000):
        assert len(await hurrying.unary("/t/Large", b"%d 1" % size)) == size
    assert len(put_off) == 1
    assert not long.done()
    parts = 0
    while not long.done():
        while put_off:
            parts += 1
            put_off.pop()()
        await asyncio.sleep(0)
    assert long.result() == random.Random(7).randbytes(1_500_000)
    assert parts > 1
    await waiting.close()
    await hurrying.close()
    await server.close(0)


async def test_what_was_put_off_when_the_connection_went_is_forgotten() -> None:
    server = Server({"/t/Large": large}, {})
    put_off: list[Callable[[], None]] = []
    server.put_off = put_off.append
    channel = Channel(TcpDialer("127.0.0.1", port_of(await server.serve_tcp("127.0.0.1", 0))))
    long = asyncio.create_task(channel.unary("/t/Large", b"1500000 7"))
    while not put_off:
        await asyncio.sleep(0)
    long.cancel()
    await channel.close()
    while server.connections:
        await asyncio.sleep(0)
    for part in put_off:
        part()
    await server.close(0)
