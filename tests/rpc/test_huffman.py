"""Huffman strings against the hpack package."""

import pytest
from hpack.exceptions import HPACKDecodingError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given
from hypothesis import strategies as st

from c101.core.rpc import huffman

encoder = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


@given(st.binary(max_size=100))
def test_what_was_encoded_is_decoded(text: bytes) -> None:
    assert huffman.decode(encoder.encode(text)) == text


@given(st.binary(min_size=1, max_size=12))
def test_garbage_is_judged_as_the_hpack_package_judges_it(coded: bytes) -> None:
    try:
        expected = decode_huffman(coded)
    except HPACKDecodingError:
        with pytest.raises(ValueError, match="code"):
            huffman.decode(coded)
    else:
        assert huffman.decode(coded) == expected


def test_the_empty_string_is_complete() -> None:
    assert huffman.decode(b"") == b""
