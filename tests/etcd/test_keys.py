"""Ends of key ranges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.core.etcd.keys import FROM_KEY, as_bytes, prefix_end, prefix_start


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        (b"a/", b"a0"),
        (b"a\xff", b"b"),
        (b"a\xff\xff", b"b"),
        (b"\xff", FROM_KEY),
        (b"", FROM_KEY),
    ],
)
def test_the_end_of_a_prefix_is_the_first_key_behind_it(prefix: bytes, end: bytes) -> None:
    assert prefix_end(prefix) == end


@given(st.binary(max_size=4), st.binary(max_size=6))
def test_a_key_is_in_the_range_of_a_prefix_exactly_if_it_begins_with_it(
    prefix: bytes, key: bytes
) -> None:
    start, end = prefix_start(prefix), prefix_end(prefix)
    inside = key >= start and (end == FROM_KEY or key < end)
    # The empty key does not exist; the range of all keys leaves it out.
    assert inside == (key.startswith(prefix) and key >= start)


def test_text_goes_on_the_wire_as_utf8() -> None:
    assert as_bytes("ä") == b"\xc3\xa4"
    assert as_bytes(b"\xff") == b"\xff"
