"""Frames, built and taken apart."""

from collections.abc import Callable

import pytest

from c101.core.rpc import frames
from c101.core.rpc.frames import ConnectionFailure, ErrorCode
from c101.core.rpc.limits import FRAME_BYTES_MAX
from tests.rpc.raw_peer import split_frames


def test_a_frame_has_a_length_a_type_flags_and_a_stream() -> None:
    assert frames.frame(frames.PING, 1, 0, b"12345678") == b"\0\0\x08\x06\x01\0\0\0\x0012345678"
    assert frames.data_header(16_384, 7) == b"\0\x40\0\0\0\0\0\0\x07"


def test_a_long_header_block_is_continued() -> None:
    block = bytes(range(256)) * 200
    found, rest = split_frames(frames.headers(3, block, end_stream=True))
    assert rest == b""
    assert [frame.kind for frame in found] == [1, 9, 9, 9]
    assert [frame.flags for frame in found] == [frames.END_STREAM, 0, 0, frames.END_HEADERS]
    assert b"".join(frame.payload for frame in found) == block
    assert max(len(frame.payload) for frame in found) < FRAME_BYTES_MAX


def test_a_prefix_goes_before_the_block_and_into_the_length() -> None:
    built = frames.prepend_to_block(b"\x20", frames.headers(3, b"abc", end_stream=False))
    assert built == frames.headers(3, b"\x20abc", end_stream=False)


BROKEN: list[tuple[str, Callable[[], object], ErrorCode]] = [
    ("settings cut", lambda: frames.parse_settings(b"12345"), ErrorCode.FRAME_SIZE_ERROR),
    ("push 2", lambda: frames.parse_settings(b"\0\2\0\0\0\2"), ErrorCode.PROTOCOL_ERROR),
    (
        "window of 2^31",
        lambda: frames.parse_settings(b"\0\4\x80\0\0\0"),
        ErrorCode.FLOW_CONTROL_ERROR,
    ),
    ("frame size 1", lambda: frames.parse_settings(b"\0\5\0\0\0\1"), ErrorCode.PROTOCOL_ERROR),
    (
        "frame size 2^24",
        lambda: frames.parse_settings(b"\0\5\1\0\0\0"),
        ErrorCode.PROTOCOL_ERROR,
    ),
    ("window update", lambda: frames.parse_window_update(b"123"), ErrorCode.FRAME_SIZE_ERROR),
    ("reset", lambda: frames.parse_rst_stream(b"12345"), ErrorCode.FRAME_SIZE_ERROR),
    ("goaway", lambda: frames.parse_goaway(b"1234567"), ErrorCode.FRAME_SIZE_ERROR),
    ("no pad length", lambda: frames.unpad(b"", frames.PADDED), ErrorCode.FRAME_SIZE_ERROR),
    ("too padded", lambda: frames.unpad(b"\3a\0", frames.PADDED), ErrorCode.PROTOCOL_ERROR),
    (
        "priority cut",
        lambda: frames.strip_priority(1, b"1234", frames.PRIORITISED),
        ErrorCode.FRAME_SIZE_ERROR,
    ),
    (
        "depends on itself",
        lambda: frames.strip_priority(1, b"\0\0\0\1\0rest", frames.PRIORITISED),
        ErrorCode.PROTOCOL_ERROR,
    ),
]


@pytest.mark.parametrize(
    ("parse", "error"),
    [pytest.param(parse, error, id=name) for name, parse, error in BROKEN],
)
def test_a_broken_payload_names_the_error_of_the_rfc(
    parse: Callable[[], object], error: ErrorCode
) -> None:
    with pytest.raises(ConnectionFailure) as caught:
        parse()
    assert caught.value.error is error


def test_padding_and_priority_come_off() -> None:
    payload = b"\2\0\0\0\5\x10block\0\0"
    flags = frames.PADDED | frames.PRIORITISED
    assert frames.strip_priority(1, frames.unpad(payload, flags), flags) == b"block"
    assert frames.unpad(b"\2a\0\0", frames.PADDED) == b"a"
    assert frames.unpad(b"\0", frames.PADDED) == b""


def test_an_error_code_that_http2_does_not_know_has_a_name_too() -> None:
    assert frames.error_name(8) == "CANCEL"
    assert frames.error_name(99) == "error 99"
