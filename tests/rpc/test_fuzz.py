"""Good conversations, damaged: whatever comes, both sides keep their books and end their calls."""

import asyncio
import random

import pytest

from c101.core.rpc import frames
from c101.core.rpc.client_connection import ClientConnection
from c101.core.rpc.client_stream import ClientStream
from c101.core.rpc.client_unary import ClientUnary
from c101.core.rpc.connection import Connection
from c101.core.rpc.header_block import OK_TRAILERS, RESPONSE, request, trailers
from c101.core.rpc.limits import Limits
from c101.core.rpc.messages import prefixed
from c101.core.rpc.status import Code
from tests.rpc.raw_peer import RawPeer, echo, echo_stream, split_frames
from tests.rpc.test_connection import conversation

CONVERSATIONS = 300


def damaged(random_: random.Random, good: bytes) -> bytes:
    """Return *good* with some bytes changed, cut out, put in or repeated."""
    data = bytearray(good)
    for _ in range(random_.randint(1, 6)):
        at = random_.randrange(len(data))
        match random_.randrange(4):
            case 0:
                data[at] = random_.randrange(256)
            case 1:
                del data[at : at + random_.randint(1, 9)]
            case 2:
                data[at:at] = random_.randbytes(random_.randint(1, 9))
            case _:
                start = random_.randrange(len(data))
                data[at:at] = data[start : start + random_.randint(1, 40)]
        data = data or bytearray(1)
    return bytes(data)


def feed(random_: random.Random, connection: Connection, data: bytes) -> None:
    """Give *connection* the data in pieces, its transport filling and emptying meanwhile."""
    while data:
        size = random_.choice((len(data), random_.randint(1, len(data))))
        connection.receive(data[:size])
        data = data[size:]
        if random_.random() < 0.3:
            connection.pause()
        if random_.random() < 0.5:
            connection.resume()
        connection.take_output()
        connection.flushed()
        check_books(connection)


def check_books(connection: Connection) -> None:
    streams = connection.streams.values()
    assert connection.pending_bytes == sum(stream.pending_bytes for stream in streams)
    held = [stream.inbound.held for stream in streams if stream.inbound is not None]
    assert connection.held_bytes == sum(held)
    assert all(stream in streams for stream in connection.blocked)
    assert not (connection.closed and connection.streams)


@pytest.mark.parametrize("seed", range(3))
async def test_a_server_keeps_its_books(seed: int) -> None:
    random_ = random.Random(seed)
    for _ in range(CONVERSATIONS):
        peer = RawPeer({"/test.Echo/Unary": echo}, {"/test.Echo/Stream": echo_stream})
        feed(random_, peer.connection, damaged(random_, conversation(peer)))
        await asyncio.sleep(0)
        await peer.close()
        check_books(peer.connection)


def whole_frames(data: bytes) -> list[bytes]:
    """Cut *data* between its frames."""
    found, rest = split_frames(data)
    assert not rest
    return [
        frames.frame(frame.kind, frame.flags, frame.stream_id, frame.payload) for frame in found
    ]


@pytest.mark.parametrize("seed", range(3))
async def test_frames_in_any_order_left_out_or_repeated_break_no_books(seed: int) -> None:
    random_ = random.Random(seed)
    for _ in range(CONVERSATIONS):
        peer = RawPeer({"/test.Echo/Unary": echo}, {"/test.Echo/Stream": echo_stream})
        said = whole_frames(conversation(peer))
        # Mostly a neighbour or two: what is in total disorder is refused at its first frame.
        for _ in range(random_.choice((1, 1, 2, 5, 40))):
            first, second = random_.randrange(len(said)), random_.randrange(len(said))
            match random_.randrange(3):
                case 0:
                    said[first], said[second] = said[second], said[first]
                case 1:
                    said.insert(first, said[second])
                case _:
                    said[first] = said[first][: random_.randrange(9, len(said[first]) + 1)]
        feed(random_, peer.connection, b"".join(said))
        await asyncio.sleep(0)
        await peer.close()
        check_books(peer.connection)


async def test_a_conversation_that_stops_after_any_frame_leaves_nothing_behind() -> None:
    count = len(whole_frames(conversation(RawPeer({}, {}))))
    for length in range(count + 1):
        peer = RawPeer({"/test.Echo/Unary": echo}, {"/test.Echo/Stream": echo_stream})
        peer.say(b"".join(whole_frames(conversation(peer))[:length]))
        await peer.settle()
        assert peer.goaway is None
        await peer.close()
        assert not peer.connection.streams
        check_books(peer.connection)


def answers() -> bytes:
    """Everything a server may say to four calls."""
    return b"".join(
        [
            frames.settings({1: 0, 3: 100, 4: 100_000}),
            frames.headers(1, RESPONSE, end_stream=False),
            frames.frame(frames.DATA, 0, 1, prefixed(b"hello")),
            frames.headers(1, OK_TRAILERS, end_stream=True),
            frames.headers(3, RESPONSE + trailers(Code.NOT_FOUND, "no"), end_stream=True),
            frames.rst_stream(5, frames.ErrorCode.REFUSED_STREAM),
            frames.headers(7, RESPONSE, end_stream=False),
            frames.frame(frames.DATA, 8, 7, b"\3" + prefixed(b"one") + prefixed(b"two") + bytes(3)),
            frames.window_update(7, 1_000),
            frames.window_update(0, 100_000),
            frames.frame(frames.PING, 1, 0, bytes(8)),
            frames.goaway(5, frames.ErrorCode.NO_ERROR, "bye"),
            frames.headers(7, OK_TRAILERS, end_stream=True),
        ]
    )


@pytest.mark.parametrize("seed", range(3))
async def test_a_client_keeps_its_books_and_ends_every_call(seed: int) -> None:
    random_ = random.Random(seed)
    loop = asyncio.get_running_loop()
    block = request(b"/test.Echo/Unary", b"localhost", b"http", ())
    for _ in range(CONVERSATIONS):
        client = ClientConnection("x", Limits(), now=loop.time, wake=lambda: None)
        calls = [ClientUnary(client, "/test.Echo/Unary", block, None) for _ in range(3)]
        for call in calls:
            call.ask(b"abc")
        stream = ClientStream(client, "/test.Echo/Stream", block, 1.0)
        stream.send(bytes(70_000))
        feed(random_, client, damaged(random_, answers()))
        client.lose("the test is over")
        check_books(client)
        for call in calls:
            assert call.answer.done()
            call.answer.exception()
        assert stream.over
