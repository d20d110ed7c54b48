"""Length-prefixed messages, however they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from c101.core.rpc.messages import MessageReader, prefixed
from c101.core.rpc.status import Code, RpcError


@given(st.lists(st.binary(max_size=50), max_size=8), st.data())
def test_messages_survive_any_cutting(messages: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(prefixed(message) for message in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = MessageReader(50)
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found == messages
    assert reader.empty


def test_an_incomplete_message_is_told() -> None:
    reader = MessageReader(50)
    assert reader.feed(prefixed(b"abc")[:-1]) == []
    assert not reader.empty
    assert reader.feed(b"c") == [b"abc"]
    assert reader.empty


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (
            b"\0\0\0\0\x0b",
            Code.RESOURCE_EXHAUSTED,
            "grpc: received message larger than max (11 vs. 10)",
        ),
        (b"\1\0\0\0\1x", Code.UNIMPLEMENTED, "grpc: compressed messages are not supported"),
        (b"\7\0\0\0\1x", Code.INTERNAL, "grpc: invalid compression flag 7"),
    ],
)
def test_a_message_that_is_not_taken_is_refused_by_its_prefix(
    data: bytes, code: Code, text: str
) -> None:
    with pytest.raises(RpcError) as caught:
        MessageReader(10).feed(data)
    assert (caught.value.status, caught.value.message) == (code, text)
