"""Both windows in both directions, slow readers, and turns between streams."""

import asyncio

from c101.core.rpc import frames
from c101.core.rpc.frames import ErrorCode
from c101.core.rpc.limits import KIB, MIB, OUTPUT_BYTES_MAX, WINDOW_BYTES_DEFAULT, Limits
from c101.core.rpc.messages import prefixed
from c101.core.rpc.server import ServerStream, UnaryCall
from c101.core.rpc.status import RpcError
from tests.rpc.conftest import MakePeer
from tests.rpc.raw_peer import RawPeer, head_for

STREAM = head_for("/test.Echo/Stream")


def open_stream(peer: RawPeer, number: int, path: str = "/test.Echo/Stream") -> None:
    peer.say(frames.headers(number, peer.block(head_for(path)), end_stream=False))


def large(call: UnaryCall, message: bytes) -> None:
    call.reply(bytes(int(message)))


async def test_an_answer_stops_at_the_window_and_goes_on_when_it_opens(
    make_peer: MakePeer,
) -> None:
    peer = make_peer(Large=large)
    answer = peer.call(1, b"100000", head_for("/test.Echo/Large"))
    assert len(answer.data) == WINDOW_BYTES_DEFAULT
    assert peer.connection.pending_bytes == 100_005 - WINDOW_BYTES_DEFAULT
    peer.say(frames.window_update(1, 10))
    assert len(answer.data) == WINDOW_BYTES_DEFAULT
    peer.say(frames.window_update(0, 10))
    assert len(answer.data) == WINDOW_BYTES_DEFAULT + 10
    peer.say(frames.window_update(0, MIB) + frames.window_update(1, MIB))
    assert (answer.messages, answer.ended) == ([bytes(100_000)], True)
    assert peer.connection.pending_bytes == 0


async def test_a_zero_window_sends_heads_and_no_data(make_peer: MakePeer) -> None:
    peer = make_peer(greet=False)
    peer.greet({frames.SETTING_INITIAL_WINDOW_SIZE: 0})
    answer = peer.call(1, b"x")
    assert answer.fields[":status"] == "200"
    assert (answer.data, answer.ended) == (b"", False)
    peer.say(frames.settings({frames.SETTING_INITIAL_WINDOW_SIZE: 3}))
    assert answer.data == prefixed(b"x")[:3]
    peer.say(frames.settings({frames.SETTING_INITIAL_WINDOW_SIZE: 1}))
    peer.say(frames.window_update(1, 4))
    assert answer.data == prefixed(b"x")[:5]
    peer.say(frames.window_update(1, 1))
    assert answer.messages == [b"x"]
    assert answer.ended


async def test_an_error_needs_no_window(make_peer: MakePeer) -> None:
    peer = make_peer(greet=False)
    peer.greet({frames.SETTING_INITIAL_WINDOW_SIZE: 0})
    assert peer.call(1, b"x", head_for("/no.Such/Method")).ended


async def test_a_stream_window_over_its_maximum_resets_the_stream(make_peer: MakePeer) -> None:
    peer = make_peer()
    open_stream(peer, 1)
    peer.say(frames.window_update(1, 2**31 - 1))
    assert peer.answers[1].reset == ErrorCode.FLOW_CONTROL_ERROR
    assert peer.call(3, b"x").messages == [b"x"]


async def test_a_client_that_ignores_a_stream_window_is_reset(make_peer: MakePeer) -> None:
    peer = make_peer(Limits(stream_window_bytes=64 * KIB))
    open_stream(peer, 1)
    chunk = prefixed(bytes(16_000))
    for _ in range(5):
        # The reader has no turn of the loop: nothing is read, so nothing is given back.
        peer.say(frames.frame(frames.DATA, 0, 1, chunk))
    assert peer.answers[1].reset == ErrorCode.FLOW_CONTROL_ERROR
    assert peer.connection.held_bytes == 0


async def test_the_window_of_the_connection_is_given_back_as_data_comes(
    make_peer: MakePeer,
) -> None:
    peer = make_peer(Limits(connection_window_bytes=100_000))
    open_stream(peer, 1)
    start = updates(peer, 0)
    assert start == 100_000 - WINDOW_BYTES_DEFAULT
    for _ in range(10):
        peer.say(frames.frame(frames.DATA, 0, 1, prefixed(bytes(9_995))))
    # A stalled reader holds back its stream, never the connection.
    assert 50_000 <= updates(peer, 0) - start <= 100_000
    assert updates(peer, 1) == 0


async def test_the_window_of_a_stream_is_given_back_as_its_reader_reads(
    make_peer: MakePeer,
) -> None:
    may_read = asyncio.Semaphore(0)
    read: list[bytes] = []

    async def read_on_demand(stream: ServerStream) -> None:
        async for message in stream:
            read.append(message)
            await may_read.acquire()

    peer = make_peer(Limits(stream_window_bytes=100_000), Demand=read_on_demand)
    open_stream(peer, 1, "/test.Echo/Demand")
    for _ in range(10):
        peer.say(frames.frame(frames.DATA, 0, 1, prefixed(bytes(9_995))))
    await peer.settle()
    assert len(read) == 1
    assert updates(peer, 1) == 0
    for _ in range(3):
        may_read.release()
    await peer.settle()
    assert (len(read), updates(peer, 1)) == (4, 0)
    may_read.release()
    await peer.settle()
    # Half a window was read: it is given back in one piece.
    assert (len(read), updates(peer, 1)) == (5, 50_000)
    assert peer.connection.held_bytes == 50_000


def updates(peer: RawPeer, stream_id: int) -> int:
    return sum(
        frames.parse_window_update(frame.payload)
        for frame in peer.frames
        if frame.kind == frames.WINDOW_UPDATE and frame.stream_id == stream_id
    )


async def test_a_message_larger_than_the_window_arrives(make_peer: MakePeer) -> None:
    peer = make_peer(Limits(stream_window_bytes=20_000))
    peer.say(frames.window_update(0, 4 * MIB) + frames.settings({4: 4 * MIB}))
    message = bytes(1_000_000)
    data = prefixed(message)
    peer.say(frames.headers(1, peer.block(), end_stream=False))
    sent = 0
    while sent < len(data):
        room = 20_000 + updates(peer, 1) - sent
        assert room > 0
        chunk = data[sent : sent + min(room, 16_384)]
        sent += len(chunk)
        end = frames.END_STREAM if sent == len(data) else 0
        peer.say(frames.frame(frames.DATA, end, 1, chunk))
    assert peer.answers[1].messages == [message]


async def test_too_much_that_is_not_read_ends_the_stream_that_brought_it(
    make_peer: MakePeer,
) -> None:
    peer = make_peer(Limits(held_bytes_max=100_000))
    for number in (1, 3, 5):
        peer.say(frames.headers(number, peer.block(), end_stream=False))
        part = prefixed(bytes(50_000))[:16_000]
        peer.say(frames.frame(frames.DATA, 0, number, part) * 3)
    assert not {1, 3} & set(peer.answers)
    assert peer.answers[5].ended
    assert peer.answers[5].fields["grpc-status"] == "8"
    assert peer.connection.held_bytes == 96_000


async def test_what_a_reader_does_not_take_is_bounded(make_peer: MakePeer) -> None:
    ended: list[str] = []

    async def pour(stream: ServerStream) -> None:
        try:
            while True:
                stream.send(bytes(10_000))
        except RpcError as error:
            ended.append(error.message)
            raise

    peer = make_peer(Limits(pending_bytes_max=1 * MIB), Pour=pour)
    open_stream(peer, 1, "/test.Echo/Pour")
    await peer.settle()
    assert ended[0].startswith("the reader is too slow")
    assert peer.connection.pending_bytes < MIB + 20_000
    # While so much waits, further calls on the connection are refused.
    assert peer.call(3, b"x").reset == ErrorCode.REFUSED_STREAM
    peer.say(frames.window_update(0, 4 * MIB) + frames.window_update(1, 4 * MIB))
    assert peer.answers[1].fields["grpc-status"] == "8"
    assert peer.call(5, b"x").messages == [b"x"]


async def test_drain_waits_for_the_reader(make_peer: MakePeer) -> None:
    sent: list[int] = []

    async def pour(stream: ServerStream) -> None:
        for number in range(100):
            stream.send(bytes(10_000))
            sent.append(number)
            await stream.drain()

    peer = make_peer(Pour=pour)
    open_stream(peer, 1, "/test.Echo/Pour")
    await peer.settle()
    first = len(sent)
    # The window and the low-water mark, in messages of ten thousand bytes.
    assert 12 <= first <= 15
    await peer.settle()
    assert len(sent) == first
    peer.say(frames.window_update(0, 100_000) + frames.window_update(1, 100_000))
    await peer.settle()
    assert first + 9 <= len(sent) <= first + 11


async def test_a_full_transport_holds_back_answers_and_their_ends(make_peer: MakePeer) -> None:
    peer = make_peer()
    peer.connection.pause()
    for number, data in ((1, prefixed(b"x")), (101, b"broken")):
        peer.connection.receive(
            frames.headers(number, peer.block(), end_stream=False)
            + frames.frame(frames.DATA, 1, number, data)
        )
    peer.collect()
    assert (peer.answers[1].data, peer.answers[1].ended) == (b"", False)
    assert 101 not in peer.answers
    assert len(peer.connection.streams) == 2
    peer.connection.resume()
    peer.collect()
    assert peer.answers[1].messages == [b"x"]
    assert peer.answers[101].fields["grpc-status"] == "13"
    assert not peer.connection.streams


async def test_one_write_is_bounded_and_streams_take_turns(make_peer: MakePeer) -> None:
    peer = make_peer(Large=large)
    peer.say(frames.window_update(0, 16 * MIB) + frames.settings({4: 16 * MIB}))
    path = head_for("/test.Echo/Large")
    for number in (1, 3):
        peer.connection.receive(
            frames.headers(number, peer.block(path), end_stream=False)
            + frames.frame(frames.DATA, 1, number, prefixed(b"2000000"))
        )
    peer.connection.receive(
        frames.headers(5, peer.block(path), end_stream=False)
        + frames.frame(frames.DATA, 1, 5, prefixed(b"10"))
    )
    writes = []
    while output := peer.connection.take_output():
        writes.append(len(output))
        peer._take(output)
        peer.connection.flushed()
    assert max(writes) < OUTPUT_BYTES_MAX + 20_000
    assert [len(peer.answers[number].messages[0]) for number in (1, 3, 5)] == [2_000_000] * 2 + [10]
    ends = [frame.stream_id for frame in peer.frames if frame.kind == 1 and frame.flags & 1]
    # The small answer did not wait for the large ones, and those came side by side.
    assert ends[0] == 5
    first_of_3 = next(at for at, f in enumerate(peer.frames) if f.kind == 0 and f.stream_id == 3)
    last_of_1 = max(at for at, f in enumerate(peer.frames) if f.kind == 0 and f.stream_id == 1)
    assert first_of_3 < last_of_1
