"""A server's connection, frame by frame: every way to cut it, and what is refused."""

import asyncio
import gc

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from c101.core.rpc import frames
from c101.core.rpc.frames import ErrorCode
from c101.core.rpc.limits import FRAME_BYTES_MAX, Limits
from c101.core.rpc.messages import prefixed
from c101.core.rpc.server import ServerStream, UnaryCall, unary
from c101.core.rpc.status import Code
from tests.rpc.conftest import MakePeer
from tests.rpc.raw_peer import HEAD, RawPeer, echo, echo_stream, head_for


def conversation(peer: RawPeer) -> bytes:
    """Everything a client may say in a while, in one piece."""
    block = peer.block()
    again = peer.block()
    stream = peer.block(head_for("/test.Echo/Stream"))
    padded = b"\4\0\0\0\0\x0f" + again + b"\0" * 4
    return b"".join(
        [
            frames.settings({4: 100_000, 99: 1}),
            frames.headers(1, block, end_stream=False),
            frames.frame(frames.DATA, 1, 1, prefixed(b"whole")),
            frames.frame(frames.PRIORITY, 0, 3, b"\0\0\0\1\x0f"),
            frames.frame(frames.HEADERS, 0x2C, 3, padded),
            frames.frame(frames.DATA, 8, 3, b"\3" + prefixed(b"in two parts")[:7] + b"\0" * 3),
            frames.frame(0x42, 0xFF, 3, b"unknown kinds are ignored"),
            frames.frame(frames.DATA, 1, 3, prefixed(b"in two parts")[7:]),
            frames.frame(frames.HEADERS, 0, 5, stream[:3]),
            frames.frame(frames.CONTINUATION, 0, 5, stream[3:4]),
            frames.frame(frames.CONTINUATION, 4, 5, stream[4:]),
            frames.frame(frames.DATA, 0, 5, prefixed(b"one") + prefixed(b"two")),
            frames.frame(frames.PING, 0, 0, b"12345678"),
            frames.window_update(0, 1_000),
            frames.window_update(5, 1_000),
            frames.frame(frames.DATA, 1, 5, prefixed(b"three")),
        ]
    )


async def check_conversation(peer: RawPeer) -> None:
    await peer.settle()
    assert peer.goaway is None
    assert peer.answers[1].messages == [b"whole"]
    assert peer.answers[3].messages == [b"in two parts"]
    assert peer.answers[5].messages == [b"one", b"two", b"three"]
    assert all(peer.answers[number].fields["grpc-status"] == "0" for number in (1, 3, 5))
    assert any(frame.kind == frames.PING and frame.flags == 1 for frame in peer.frames)
    assert not peer.connection.streams
    assert peer.connection.held_bytes == peer.connection.pending_bytes == 0


async def test_a_conversation_cut_at_any_byte_is_understood(make_peer: MakePeer) -> None:
    size = len(conversation(make_peer(greet=False)))
    for cut in range(size + 1):
        peer = make_peer(greet=False)
        said = conversation(peer)
        peer.say(said[:cut])
        peer.say(said[cut:])
        await check_conversation(peer)


async def test_a_conversation_byte_by_byte_is_understood(make_peer: MakePeer) -> None:
    peer = make_peer(greet=False)
    for byte in conversation(peer):
        peer.say(bytes((byte,)))
    await check_conversation(peer)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.binary(max_size=80), st.integers(0, 12), st.integers(0, 255), st.integers(0, 9))
def test_any_frame_is_taken_or_refused(payload: bytes, kind: int, flags: int, stream: int) -> None:
    async def say() -> None:
        peer = RawPeer({"/test.Echo/Unary": echo}, {"/test.Echo/Stream": echo_stream})
        peer.say(conversation(peer)[:-20])
        peer.say(frames.frame(kind, flags, stream, payload))
        peer.say(frames.frame(frames.PING, 0, 0, bytes(8)))
        # Either the connection goes on and answers, or it has said why not, or it waits for
        # the rest of a header block or of a message.
        assert peer.goaway is not None or not peer.connection.closed
        await peer.close()

    asyncio.run(say())


frame = frames.frame
STREAM_ERRORS: list[tuple[str, tuple[tuple[str, str], ...]]] = [
    ("no path", tuple(field for field in HEAD if field[0] != ":path")),
    ("no scheme", tuple(field for field in HEAD if field[0] != ":scheme")),
    ("a pseudo field twice", (*HEAD[:1], *HEAD)),
    ("a pseudo field at the end", (*HEAD, (":authority", "x"))),
    ("a pseudo field that is none", ((":nonsense", "x"), *HEAD)),
    ("a name in upper case", (*HEAD, ("Upper", "x"))),
    ("a name with a space", (*HEAD, ("a b", "x"))),
    ("a field of HTTP/1.1", (*HEAD, ("connection", "close"))),
    ("te other than trailers", (*HEAD[:5], ("te", "gzip"))),
    ("a value of two lines", (*HEAD, ("x", "a\r\nb"))),
]


@pytest.mark.parametrize(
    "fields", [pytest.param(fields, id=name) for name, fields in STREAM_ERRORS]
)
async def test_a_malformed_request_is_reset_and_the_connection_goes_on(
    make_peer: MakePeer, fields: tuple[tuple[str, str], ...]
) -> None:
    peer = make_peer()
    assert peer.call(1, b"x", fields).reset == ErrorCode.PROTOCOL_ERROR
    assert peer.call(3, b"good").messages == [b"good"]
    assert peer.goaway is None


REFUSALS = [
    ("another service", head_for("/a.B/C"), "12", "unknown service a.B"),
    ("another method", head_for("/test.Echo/No"), "12", "unknown method No for service test.Echo"),
    ("no service", head_for("nonsense"), "12", 'malformed method name: "nonsense"'),
    (
        "compression",
        (*HEAD, ("grpc-encoding", "gzip")),
        "12",
        'grpc: Decompressor is not installed for grpc-encoding "gzip"',
    ),
    ("a bad timeout", (*HEAD, ("grpc-timeout", "soon")), "13", "malformed grpc-timeout"),
    ("too much metadata", (*HEAD, ("x", "y" * 16_300)), "8", "grpc: received too much metadata"),
    (
        "another content type",
        (*HEAD[:4], ("content-type", "text/html")),
        "3",
        'invalid gRPC request content-type "text/html"',
    ),
    ("GET", ((":method", "GET"), *HEAD[1:]), "13", "the method of gRPC is POST, not GET"),
]


@pytest.mark.parametrize(
    ("fields", "status", "text"),
    [pytest.param(fields, status, text, id=name) for name, fields, status, text in REFUSALS],
)
async def test_a_request_that_is_not_served_is_told_so(
    make_peer: MakePeer, fields: tuple[tuple[str, str], ...], status: str, text: str
) -> None:
    peer = make_peer()
    answer = peer.call(1, b"x", fields)
    assert (answer.fields["grpc-status"], answer.fields["grpc-message"]) == (status, text)
    assert answer.ended
    assert answer.data == b""
    assert peer.call(3, b"good").messages == [b"good"]


BAD_MESSAGES = [
    ("compressed", b"\1\0\0\0\1x", "12", "grpc: compressed messages are not supported"),
    ("cut", b"\0\0\0\0\5abc", "13", "grpc: stream ended within a message"),
    ("none", b"", "13", "grpc: a unary call without a message"),
    ("two", prefixed(b"a") * 2, "13", "grpc: a second message on a unary call"),
    (
        "too large",
        b"\0\0\x20\0\1",
        "8",
        "grpc: received message larger than max (2097153 vs. 2097152)",
    ),
]


@pytest.mark.parametrize(
    ("data", "status", "text"),
    [pytest.param(data, status, text, id=name) for name, data, status, text in BAD_MESSAGES],
)
async def test_a_bad_message_ends_its_call_only(
    make_peer: MakePeer, data: bytes, status: str, text: str
) -> None:
    peer = make_peer()
    head = frames.headers(1, peer.block(), end_stream=False)
    peer.say(head + frame(frames.DATA, 1, 1, data))
    fields = peer.answers[1].fields
    assert (fields["grpc-status"], fields["grpc-message"]) == (status, text)
    assert peer.call(3, b"good").messages == [b"good"]
    assert peer.connection.held_bytes == 0


async def test_a_call_answered_before_its_end_tells_the_client_to_stop(
    make_peer: MakePeer,
) -> None:
    peer = make_peer()
    head = frames.headers(1, peer.block(), end_stream=False)
    peer.say(head + frame(frames.DATA, 0, 1, b"\1"))
    peer.say(frame(frames.DATA, 0, 1, b"\0\0\0\1x"))
    assert peer.answers[1].ended
    assert peer.answers[1].reset == ErrorCode.NO_ERROR
    # What was on its way is dropped, trailers too, and their block still moves the table.
    trailers = peer.block((("x-late", "value"),))
    peer.say(frame(frames.DATA, 0, 1, b"late") + frames.headers(1, trailers, end_stream=True))
    assert peer.call(3, b"x", (*HEAD, ("x-late", "value"))).messages == [b"x"]


async def test_data_after_the_end_of_a_stream_resets_it(make_peer: MakePeer) -> None:
    kept: list[UnaryCall] = []
    peer = make_peer(Keep=lambda call, _message: kept.append(call))
    peer.call(1, b"x", head_for("/test.Echo/Keep"))
    peer.say(frame(frames.DATA, 0, 1, b"more"))
    assert peer.answers[1].reset == ErrorCode.STREAM_CLOSED
    assert kept[0].cancelled


async def test_trailers_of_a_client_end_its_stream(make_peer: MakePeer) -> None:
    peer = make_peer()
    peer.say(
        frames.headers(1, peer.block(), end_stream=False)
        + frame(frames.DATA, 0, 1, prefixed(b"x"))
        + frames.headers(1, peer.block((("x-sum", "1"),)), end_stream=True)
    )
    assert peer.answers[1].messages == [b"x"]


async def test_a_second_head_on_a_stream_resets_it(make_peer: MakePeer) -> None:
    peer = make_peer()
    head = frames.headers(1, peer.block(), end_stream=False)
    peer.say(head + frames.headers(1, peer.block(), end_stream=False))
    assert peer.answers[1].reset == ErrorCode.PROTOCOL_ERROR


async def test_a_reply_to_a_cancelled_call_goes_nowhere(make_peer: MakePeer) -> None:
    kept: list[UnaryCall] = []
    peer = make_peer(Keep=lambda call, _message: kept.append(call))
    peer.call(1, b"x", head_for("/test.Echo/Keep"))
    before = kept[0].cancelled
    peer.say(frames.rst_stream(1, ErrorCode.CANCEL))
    assert (before, kept[0].cancelled) == (False, True)
    told = len(peer.frames)
    kept[0].reply(b"too late")
    kept[0].fail(Code.NOT_FOUND, "too late")
    peer.collect()
    assert len(peer.frames) == told


async def test_a_call_cancelled_before_its_handler_began_leaves_nothing_behind(
    make_peer: MakePeer,
) -> None:
    begun: list[bytes] = []

    async def answer(message: bytes) -> bytes:
        begun.append(message)
        return message

    peer = make_peer(Later=unary(answer))
    peer.say(
        frames.headers(1, peer.block(head_for("/test.Echo/Later")), end_stream=False)
        + frames.frame(frames.DATA, 1, 1, prefixed(b"x"))
        + frames.rst_stream(1, ErrorCode.CANCEL)
    )
    await peer.settle()
    assert not begun
    assert not peer.connection.streams
    # A coroutine that nobody awaits would be told here.
    gc.collect()


async def test_a_call_is_answered_once(make_peer: MakePeer) -> None:
    kept: list[UnaryCall] = []
    peer = make_peer(Keep=lambda call, _message: kept.append(call))
    peer.call(1, b"x", head_for("/test.Echo/Keep"))
    kept[0].reply(b"first")
    kept[0].reply(b"second")
    kept[0].fail(Code.NOT_FOUND, "third")
    peer.collect()
    assert peer.answers[1].messages == [b"first"]
    assert not kept[0].cancelled


async def test_a_stream_over_the_limit_is_refused(make_peer: MakePeer) -> None:
    kept: list[UnaryCall] = []
    peer = make_peer(Limits(streams_max=2), Keep=lambda call, _message: kept.append(call))
    settings = frames.parse_settings(peer.frames[0].payload)
    assert (frames.SETTING_MAX_CONCURRENT_STREAMS, 2) in settings
    for number in (1, 3, 5):
        peer.call(number, b"x", head_for("/test.Echo/Keep"))
    assert peer.answers[5].reset == ErrorCode.REFUSED_STREAM
    assert len(kept) == 2
    kept[0].reply(b"y")
    assert peer.call(7, b"room again").messages == [b"room again"]


async def test_a_peer_that_shrinks_its_table_is_told_that_we_use_none(
    make_peer: MakePeer,
) -> None:
    peer = make_peer()
    peer.say(frames.settings({frames.SETTING_HEADER_TABLE_SIZE: 100}))
    peer.decoder.max_allowed_table_size = 100
    assert peer.call(1, b"x").messages == [b"x"]
    assert peer.call(3, b"y").messages == [b"y"]
    blocks = [frame.payload for frame in peer.frames if frame.kind == frames.HEADERS]
    assert [block[:1] == b"\x20" for block in blocks] == [True, False, False, False]


async def test_a_handler_that_fails_is_an_internal_error_and_is_logged(
    make_peer: MakePeer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_call: UnaryCall, _message: bytes) -> None:
        raise ZeroDivisionError

    async def broken_stream(_stream: ServerStream) -> None:
        raise ZeroDivisionError

    peer = make_peer(Broken=broken, BrokenStream=broken_stream)
    assert peer.call(1, b"x", head_for("/test.Echo/Broken")).fields["grpc-status"] == "13"
    answer = peer.call(3, b"x", head_for("/test.Echo/BrokenStream"))
    await peer.settle()
    assert answer.fields["grpc-message"] == "internal error"
    assert caplog.text.count("handler failed") == 2


async def test_draining_lets_open_calls_end_and_refuses_others(make_peer: MakePeer) -> None:
    kept: list[UnaryCall] = []
    peer = make_peer(Keep=lambda call, _message: kept.append(call))
    peer.call(1, b"x", head_for("/test.Echo/Keep"))
    peer.connection.drain()
    peer.collect()
    assert peer.goaway == (1, ErrorCode.NO_ERROR, "shutting down")
    assert peer.call(3, b"x").reset == ErrorCode.REFUSED_STREAM
    kept[0].reply(b"done")
    peer.collect()
    assert peer.answers[1].messages == [b"done"]


async def test_a_message_in_frames_of_every_size_arrives_whole(make_peer: MakePeer) -> None:
    peer = make_peer()
    message = bytes(range(256)) * 256
    data = prefixed(message)
    for at, size in enumerate((1_000, FRAME_BYTES_MAX, 77)):
        number = 2 * at + 1
        peer.say(frames.headers(number, peer.block(), end_stream=False))
        for start in range(0, len(data), size):
            flags = frames.END_STREAM if start + size >= len(data) else 0
            peer.say(frame(frames.DATA, flags, number, data[start : start + size]))
        # What the answer's windows hold back comes once they are opened.
        peer.say(frames.window_update(0, 1 << 20) + frames.window_update(number, 1 << 20))
        assert peer.answers[number].messages == [message]
