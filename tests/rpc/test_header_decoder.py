"""HPACK: our decoder against RFC 7541's examples and against the hpack package's encoder."""

import pytest
from hpack import Encoder
from hpack.table import HeaderTable
from hypothesis import given
from hypothesis import strategies as st

from c101.core.rpc.frames import ConnectionFailure, ErrorCode
from c101.core.rpc.header_decoder import Field, HeaderDecoder, list_bytes
from c101.core.rpc.static_table import STATIC_TABLE

# RFC 7541, appendix C.4: three requests on one connection, Huffman coded.
RFC_BLOCKS = [
    ("828684418cf1e3c2e5f23a6ba0ab90f4ff", []),
    ("828684be5886a8eb10649cbf", [(b"cache-control", b"no-cache")]),
    (
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        [(b"custom-key", b"custom-value")],
    ),
]


def rfc_fields(number: int) -> list[Field]:
    start = [(b":method", b"GET"), (b":scheme", b"https" if number == 2 else b"http")]
    path = b"/index.html" if number == 2 else b"/"
    return [
        *start,
        (b":path", path),
        (b":authority", b"www.example.com"),
        *RFC_BLOCKS[number][1],
    ]


def test_the_example_of_the_rfc_is_decoded() -> None:
    decoder = HeaderDecoder()
    for number, (block, _) in enumerate(RFC_BLOCKS):
        assert decoder.decode(bytes.fromhex(block)) == rfc_fields(number)
        assert decoder.moved


def test_the_example_of_the_docstring_becomes_entry_62() -> None:
    decoder = HeaderDecoder()
    field = (b"custom-key", b"custom-header")
    block = bytes.fromhex("400a") + b"custom-key" + b"\x0d" + b"custom-header"
    assert decoder.decode(block) == [field]
    assert decoder.moved
    assert decoder.decode(b"\xbe") == [field]
    assert not decoder.moved


names = st.sampled_from([b":path", b"grpc-timeout", b"x", b"user-agent", b"n" * 300])
values = st.one_of(st.sampled_from([b"", b"10S", b"v" * 1_000]), st.binary(max_size=40))
blocks = st.lists(st.lists(st.tuples(names, values, st.booleans()), max_size=6), max_size=12)


@given(blocks, st.booleans(), st.lists(st.integers(0, 4_096), max_size=12))
def test_whatever_another_encoder_says_is_understood(
    said: list[list[tuple[bytes, bytes, bool]]], huffman: bool, sizes: list[int]
) -> None:
    encoder, decoder = Encoder(), HeaderDecoder()
    for number, fields in enumerate(said):
        if number < len(sizes):
            encoder.header_table_size = sizes[number]
        block = encoder.encode(fields, huffman=huffman)
        assert decoder.decode(block) == [(name, value) for name, value, _ in fields]


@given(st.binary(max_size=60))
def test_garbage_is_fields_or_a_compression_error(block: bytes) -> None:
    decoder = HeaderDecoder()
    error = None
    try:
        decoder.decode(block)
    except ConnectionFailure as failure:
        error = failure.error
    assert error in (None, ErrorCode.COMPRESSION_ERROR)


def test_a_block_cut_anywhere_within_a_field_is_an_error() -> None:
    fields = [(b"a-rather-long-name", b"value" * 40)]
    block = Encoder().encode(fields, huffman=False)
    for size in range(1, len(block)):
        with pytest.raises(ConnectionFailure):
            HeaderDecoder().decode(block[:size])


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\x80", id="index 0"),
        pytest.param(b"\xbe", id="an entry that is not there"),
        pytest.param(b"\xff\xff\xff\xff\xff\xff\xff\x01", id="an endless integer"),
        pytest.param(b"\x3f\xe2\x1f", id="a table of 4,097 bytes"),
        pytest.param(b"\x82\x20", id="a table update after a field"),
        pytest.param(b"\x00\x01a\x81\x00", id="Huffman padded with zeros"),
        pytest.param(b"\x00\x01a\x84\xff\xff\xff\xff", id="Huffman with its end mark"),
    ],
)
def test_a_broken_block_is_a_compression_error(block: bytes) -> None:
    with pytest.raises(ConnectionFailure) as caught:
        HeaderDecoder().decode(block)
    assert caught.value.error is ErrorCode.COMPRESSION_ERROR


def test_a_bomb_of_references_takes_no_memory_and_is_measured() -> None:
    # One entry of 3 KiB, referred to ten thousand times: 30 MiB from 10 KiB.
    decoder = HeaderDecoder()
    entry = b"\x40\x01a\x7f\x81\x17" + b"b" * 3_072
    [field] = decoder.decode(entry)
    assert field == (b"a", b"b" * 3_072)
    bomb = decoder.decode(b"\xbe" * 10_000)
    assert all(found is field for found in bomb)
    assert list_bytes(bomb) == 10_000 * (1 + 3_072 + 32)


def test_an_entry_larger_than_the_table_empties_it() -> None:
    decoder = HeaderDecoder()
    decoder.decode(b"\x40\x01a\x01b")
    large = b"\x40\x01c\x7f\x81\x27" + b"d" * 5_120
    assert decoder.decode(large) == [(b"c", b"d" * 5_120)]
    with pytest.raises(ConnectionFailure):
        decoder.decode(b"\xbe")


def test_the_static_table_is_that_of_the_hpack_package() -> None:
    assert STATIC_TABLE[1:] == HeaderTable.STATIC_TABLE
