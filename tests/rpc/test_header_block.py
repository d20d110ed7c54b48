"""Header blocks of ours, read by the hpack package."""

import pytest
from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from c101.core.rpc import header_block
from c101.core.rpc.status import Code


def read(block: bytes) -> list[tuple[str, str]]:
    return [(str(name), str(value)) for name, value in Decoder().decode(block)]


def test_the_head_of_an_answer_and_its_trailers_are_read_by_others() -> None:
    assert read(header_block.RESPONSE) == [(":status", "200"), ("content-type", "application/grpc")]
    assert read(header_block.OK_TRAILERS) == [("grpc-status", "0")]
    block = header_block.trailers(Code.NOT_FOUND, "kein Schlüssel")
    assert read(block) == [("grpc-status", "5"), ("grpc-message", "kein Schl%C3%BCssel")]


def test_the_head_of_a_request_is_read_by_others() -> None:
    path = "/" + "p" * 200
    block = header_block.request(path.encode(), b"host:1", b"https", [(b"Token", b"x" * 300)])
    assert read(block + header_block.timeout_field(1.5)) == [
        (":method", "POST"),
        (":path", path),
        (":scheme", "https"),
        (":authority", "host:1"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        ("user-agent", "c101"),
        ("token", "x" * 300),
        ("grpc-timeout", "1500000u"),
    ]


@given(st.floats(1e-6, 1e9))
def test_a_timeout_is_never_shortened_and_hardly_lengthened(seconds: float) -> None:
    [(_, value)] = read(header_block.timeout_field(seconds))
    parsed = header_block.parse_timeout(value.encode())
    assert parsed is not None
    if seconds < 99_999_999:
        assert seconds * 0.999_999 <= parsed <= seconds * 1.001 + 1e-6


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"1H", 3_600.0),
        (b"2M", 120.0),
        (b"3S", 3.0),
        (b"40m", 0.04),
        (b"50u", 5e-5),
        (b"6n", 6e-9),
        (b"", None),
        (b"S", None),
        (b"1", None),
        (b"-1S", None),
        (b"1.5S", None),
        (b"123456789S", None),
        (b"1x", None),
    ],
)
def test_a_timeout_is_read_strictly(value: bytes, seconds: float | None) -> None:
    assert header_block.parse_timeout(value) == pytest.approx(seconds)


@given(st.integers(0, 1 << 30), st.integers(4, 7))
def test_integers_are_encoded_as_the_rfc_says(value: int, bits: int) -> None:
    encoded = header_block.integer(value, bits, 0)
    top = (1 << bits) - 1
    decoded = encoded[0]
    if decoded == top:
        decoded += sum((byte & 0x7F) << (7 * at) for at, byte in enumerate(encoded[1:]))
    assert decoded == value
