"""Every way to break a rule of HTTP/2 that ends the connection, and every flood."""

from collections.abc import Callable

import pytest

from c101.core.rpc import frames
from c101.core.rpc.frames import ErrorCode
from c101.core.rpc.header_block import RESPONSE
from c101.core.rpc.limits import CONTINUATIONS_MAX, Limits
from tests.rpc.conftest import MakePeer
from tests.rpc.raw_peer import RawPeer


def said(*parts: bytes) -> Callable[[RawPeer], bytes]:
    return lambda _peer: b"".join(parts)


def on_open_stream(*parts: bytes) -> Callable[[RawPeer], bytes]:
    """Say *parts* after stream 1 was opened and not ended."""
    return lambda peer: b"".join([frames.headers(1, peer.block(), end_stream=False), *parts])


frame = frames.frame
VIOLATIONS: list[tuple[str, Callable[[RawPeer], bytes], ErrorCode]] = [
    ("a frame over 16 KiB", said(b"\0\x40\1\0\0\0\0\0\1"), ErrorCode.FRAME_SIZE_ERROR),
    ("DATA on stream 0", said(frame(0, 0, 0, b"x")), ErrorCode.PROTOCOL_ERROR),
    ("DATA on an idle stream", said(frame(0, 0, 5, b"x")), ErrorCode.PROTOCOL_ERROR),
    ("DATA on a server's stream", said(frame(0, 0, 2, b"x")), ErrorCode.PROTOCOL_ERROR),
    ("HEADERS on stream 0", said(frame(1, 4, 0, RESPONSE)), ErrorCode.PROTOCOL_ERROR),
    ("HEADERS on an even stream", said(frame(1, 4, 2, RESPONSE)), ErrorCode.PROTOCOL_ERROR),
    ("HEADERS that cannot be decoded", said(frame(1, 4, 1, b"\xbe")), ErrorCode.COMPRESSION_ERROR),
    ("padding over the frame", said(frame(1, 0xC, 1, b"\x09abc")), ErrorCode.PROTOCOL_ERROR),
    (
        "padding over the data",
        on_open_stream(frame(0, 8, 1, b"\x04abc")),
        ErrorCode.PROTOCOL_ERROR,
    ),
    ("PRIORITY on stream 0", said(frame(2, 0, 0, bytes(5))), ErrorCode.PROTOCOL_ERROR),
    ("PRIORITY of 4 bytes", said(frame(2, 0, 1, bytes(4))), ErrorCode.FRAME_SIZE_ERROR),
    ("RST_STREAM on stream 0", said(frame(3, 0, 0, bytes(4))), ErrorCode.PROTOCOL_ERROR),
    ("RST_STREAM when idle", said(frame(3, 0, 1, bytes(4))), ErrorCode.PROTOCOL_ERROR),
    ("RST_STREAM of 3 bytes", on_open_stream(frame(3, 0, 1, b"123")), ErrorCode.FRAME_SIZE_ERROR),
    ("SETTINGS on a stream", said(frame(4, 0, 1)), ErrorCode.PROTOCOL_ERROR),
    ("SETTINGS ACK with values", said(frame(4, 1, 0, bytes(6))), ErrorCode.FRAME_SIZE_ERROR),
    ("SETTINGS of 5 bytes", said(frame(4, 0, 0, bytes(5))), ErrorCode.FRAME_SIZE_ERROR),
    ("PUSH_PROMISE", said(frame(5, 4, 1, bytes(8))), ErrorCode.PROTOCOL_ERROR),
    ("PING on a stream", said(frame(6, 0, 1, bytes(8))), ErrorCode.PROTOCOL_ERROR),
    ("PING of 7 bytes", said(frame(6, 0, 0, bytes(7))), ErrorCode.FRAME_SIZE_ERROR),
    ("GOAWAY on a stream", said(frame(7, 0, 1, bytes(8))), ErrorCode.PROTOCOL_ERROR),
    ("GOAWAY of 7 bytes", said(frame(7, 0, 0, bytes(7))), ErrorCode.FRAME_SIZE_ERROR),
    ("WINDOW_UPDATE by 0", said(frames.window_update(0, 0)), ErrorCode.PROTOCOL_ERROR),
    ("WINDOW_UPDATE when idle", said(frames.window_update(3, 1)), ErrorCode.PROTOCOL_ERROR),
    (
        "a connection window over 2^31",
        said(frames.window_update(0, 2**31 - 1)),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    (
        "stream windows over 2^31 by SETTINGS",
        on_open_stream(frames.window_update(1, 1_000), frames.settings({4: 2**31 - 1})),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    ("CONTINUATION alone", said(frame(9, 4, 1, RESPONSE)), ErrorCode.PROTOCOL_ERROR),
    (
        "a PING within a header block",
        said(frame(1, 0, 1, b"\x82"), frame(6, 0, 0, bytes(8))),
        ErrorCode.PROTOCOL_ERROR,
    ),
    (
        "CONTINUATION of another stream",
        said(frame(1, 0, 1, b"\x82"), frame(9, 4, 3, b"\x82")),
        ErrorCode.PROTOCOL_ERROR,
    ),
    (
        "an endless header block",
        said(frame(1, 0, 1), *[frame(9, 0, 1, b"\x82" * 16_384)] * 2),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    (
        "endless empty CONTINUATION frames",
        said(frame(1, 0, 1), *[frame(9, 0, 1)] * CONTINUATIONS_MAX),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    (
        "a flood of PINGs",
        said(*[frame(6, 0, 0, bytes(8))] * 300),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
    ("a flood of SETTINGS", said(*[frames.settings({})] * 300), ErrorCode.ENHANCE_YOUR_CALM),
    (
        "a flood of empty DATA",
        on_open_stream(*[frame(0, 0, 1)] * 300),
        ErrorCode.ENHANCE_YOUR_CALM,
    ),
]


@pytest.mark.parametrize(
    ("words", "error"), [pytest.param(words, error, id=name) for name, words, error in VIOLATIONS]
)
async def test_a_broken_rule_ends_the_connection_with_its_error(
    make_peer: MakePeer, words: Callable[[RawPeer], bytes], error: ErrorCode
) -> None:
    peer = make_peer()
    peer.say(words(peer))
    assert peer.goaway is not None
    assert peer.goaway[1] == error
    assert peer.connection.closed
    assert not peer.connection.streams


async def test_settings_must_come_first(make_peer: MakePeer) -> None:
    peer = make_peer(greet=False)
    peer.say(frame(frames.PING, 0, 0, bytes(8)))
    assert peer.goaway == (0, ErrorCode.PROTOCOL_ERROR, "SETTINGS must come first")


async def test_nothing_is_taken_once_the_connection_failed(make_peer: MakePeer) -> None:
    peer = make_peer()
    peer.say(frame(frames.DATA, 0, 0, b"x"))
    told = len(peer.frames)
    assert peer.call(1, b"too late").fields == {}
    assert len(peer.frames) == told


async def test_a_rapid_reset_ends_the_connection(make_peer: MakePeer) -> None:
    peer = make_peer(Limits(resets_burst=50, resets_per_second=0.0))
    for number in range(50):
        peer.say(
            frames.headers(2 * number + 1, peer.block(), end_stream=False)
            + frames.rst_stream(2 * number + 1, ErrorCode.CANCEL)
        )
    assert not peer.connection.closed
    peer.say(
        frames.headers(101, peer.block(), end_stream=False)
        + frames.rst_stream(101, ErrorCode.CANCEL)
    )
    assert peer.goaway is not None
    assert peer.goaway[1:] == (ErrorCode.ENHANCE_YOUR_CALM, "too many cancelled streams")


async def test_a_client_that_makes_us_reset_streams_is_counted_too(make_peer: MakePeer) -> None:
    peer = make_peer(Limits(resets_burst=50, resets_per_second=0.0))
    for number in range(51):
        peer.say(
            frames.headers(2 * number + 1, peer.block(), end_stream=False)
            + frames.window_update(2 * number + 1, 0)
        )
    assert peer.goaway is not None
    assert peer.goaway[1] == ErrorCode.ENHANCE_YOUR_CALM


async def test_pings_that_measure_flowing_data_are_free(make_peer: MakePeer) -> None:
    peer = make_peer(Limits(pings_burst=10, pings_per_second=0.0))
    for number in range(100):
        assert peer.call(2 * number + 1, b"data").messages == [b"data"]
        peer.say(frame(frames.PING, 0, 0, bytes(8)))
    assert peer.goaway is None


async def test_a_control_flood_by_a_peer_that_reads_nothing_ends_in_silence(
    make_peer: MakePeer,
) -> None:
    peer = make_peer(Limits(pings_burst=1 << 20))
    peer.connection.pause()
    for _ in range(1_100):
        peer.connection.receive(frame(frames.PING, 0, 0, bytes(8)))
    assert peer.connection.closed
    assert peer.connection.take_output() == b""
