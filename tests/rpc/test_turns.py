"""What comes in one read is not handled in one turn of the loop, and its order is kept.

As in ``tests/kv/test_turns.py`` it is work that is counted, not time.
"""

import asyncio

from c101.core.rpc import frames
from c101.core.rpc.limits import FRAMES_PER_TURN, MESSAGES_PER_TURN
from c101.core.rpc.messages import prefixed
from c101.core.rpc.server import Server, ServerStream, UnaryCall
from tests.rpc.conftest import MakePeer, port_of
from tests.rpc.raw_peer import RawPeer, head_for
from tests.turns import Turns

REQUESTS = 1_000
#: A small request is two frames.
REQUESTS_PER_TURN = FRAMES_PER_TURN // 2


def requests(peer: RawPeer, first: int, count: int) -> bytes:
    """Return *count* calls, each with its number as the message."""
    said = b""
    for number in range(first, first + count):
        stream_id = 2 * number + 1
        said += frames.headers(stream_id, peer.block(), end_stream=False)
        said += frames.frame(frames.DATA, 1, stream_id, prefixed(b"%d" % number))
    return said


async def test_many_requests_of_one_read_take_turns_in_their_order_while_reading_waits(
    make_peer: MakePeer,
) -> None:
    seen: list[int] = []
    reading: set[bool] = set()

    def handle(call: UnaryCall, message: bytes) -> None:
        turns.done += 1
        seen.append(int(message))
        call.reply(message)

    def look() -> None:
        for wire in server._wires:
            assert wire.transport is not None
            if 0 < len(seen) < REQUESTS:
                reading.add(wire.transport.is_reading())

    server = Server({"/test.Echo/Unary": handle}, {})
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    turns = Turns(look)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    said = frames.PREFACE + frames.settings({}) + requests(make_peer(), 0, REQUESTS)
    writer.write(said)
    async with asyncio.timeout(30):
        while len(seen) < REQUESTS:
            await asyncio.sleep(0)
        [wire] = server._wires
        while wire.transport is None or not wire.transport.is_reading():
            await asyncio.sleep(0)
    await turns.end()
    assert seen == list(range(REQUESTS))
    assert turns.most <= REQUESTS_PER_TURN
    assert False in reading
    writer.write(requests(make_peer(), REQUESTS, 1))
    async with asyncio.timeout(30):
        while len(seen) <= REQUESTS:
            await asyncio.sleep(0)
    writer.close()
    del reader
    await server.close(0)


async def test_what_comes_although_reading_waits_comes_after_what_waits(
    make_peer: MakePeer,
) -> None:
    seen: list[int] = []

    def handle(call: UnaryCall, message: bytes) -> None:
        seen.append(int(message))
        call.reply(message)

    peer = make_peer(Unary=handle)
    connection = peer.connection
    first, then = requests(peer, 0, 300), requests(peer, 300, 100)
    # Cut within a frame.
    connection.receive(first[:-4])
    assert len(seen) == REQUESTS_PER_TURN
    connection.receive(first[-4:] + then[:7])
    connection.receive(then[7:])
    assert len(seen) == REQUESTS_PER_TURN
    while connection.more:
        connection.go_on()
    assert seen == list(range(400))


async def test_a_connection_that_ends_between_two_turns_takes_nothing_more(
    make_peer: MakePeer,
) -> None:
    seen: list[bytes] = []

    def handle(call: UnaryCall, message: bytes) -> None:
        seen.append(message)
        call.reply(message)

    peer = make_peer(Unary=handle)
    peer.connection.receive(requests(peer, 0, 300))
    assert peer.connection.more
    peer.connection.lose("gone")
    peer.connection.go_on()
    assert len(seen) == REQUESTS_PER_TURN


async def test_the_messages_of_one_frame_are_read_some_at_a_time(make_peer: MakePeer) -> None:
    turns = Turns()
    seen: list[int] = []

    async def read(stream: ServerStream) -> None:
        async for message in stream:
            turns.done += 1
            seen.append(int(message))

    peer = make_peer(Read=read)
    head = frames.headers(1, peer.block(head_for("/test.Echo/Read")), end_stream=False)
    messages = b"".join(prefixed(b"%d" % number) for number in range(REQUESTS))
    peer.connection.receive(head + frames.frame(frames.DATA, 1, 1, messages))
    async with asyncio.timeout(30):
        while len(seen) < REQUESTS:
            await asyncio.sleep(0)
    await turns.end()
    assert seen == list(range(REQUESTS))
    assert turns.most <= MESSAGES_PER_TURN


async def test_a_frame_of_many_messages_is_the_last_of_its_turn(make_peer: MakePeer) -> None:
    async def wait(stream: ServerStream) -> None:
        async for _ in stream:
            pass

    peer = make_peer(Wait=wait)
    head = frames.headers(1, peer.block(head_for("/test.Echo/Wait")), end_stream=False)
    frame = frames.frame(frames.DATA, 0, 1, prefixed(b"") * FRAMES_PER_TURN)
    peer.connection.receive(head + 5 * frame)
    count = 1
    while peer.connection.more:
        peer.connection.go_on()
        count += 1
    assert count == 5
