"""Statuses and their text on the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.core.rpc.status import (
    MESSAGE_BYTES_MAX,
    CallLostError,
    Code,
    RpcError,
    code_of,
    decode_message,
    encode_message,
)


@given(st.text(max_size=200))
def test_a_message_survives_percent_encoding(text: str) -> None:
    encoded = encode_message(text)
    assert all(0x20 <= byte <= 0x7E for byte in encoded)
    assert decode_message(encoded) == text


def test_a_message_is_encoded_as_the_specification_shows() -> None:
    assert encode_message("größe 100 %\n") == b"gr%C3%B6%C3%9Fe 100 %25%0A"


def test_a_message_too_long_is_cut_between_characters() -> None:
    encoded = encode_message("é" * MESSAGE_BYTES_MAX)
    assert decode_message(encoded) == "é" * (MESSAGE_BYTES_MAX // 2)


def test_a_message_that_is_not_percent_encoded_stays_readable() -> None:
    assert decode_message(b"100 % \xff%zz") == "100 % �%zz"


@pytest.mark.parametrize(
    ("value", "code"), [(b"5", Code.NOT_FOUND), (b"99", Code.UNKNOWN), (b"x", Code.UNKNOWN)]
)
def test_a_status_is_read(value: bytes, code: Code) -> None:
    assert code_of(value) is code


def test_an_error_without_text_is_named_by_its_status() -> None:
    assert str(RpcError(Code.NOT_FOUND, "")) == "not found"


def test_a_lost_call_says_whether_it_may_have_been_carried_out() -> None:
    lost = CallLostError("unix:///x", "gone", maybe_sent=True)
    assert str(lost) == (
        "lost unix:///x before the answer came (gone); the request may have been carried out"
    )
    assert "nothing was asked" in str(CallLostError("unix:///x", "gone", maybe_sent=False))
