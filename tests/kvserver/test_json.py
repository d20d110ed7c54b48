"""JSON values found in bytes, and messages made of them and back."""

import json
import re

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from c101.core.kvserver.json_decoder import decode, decode_base64, parse_json
from c101.core.kvserver.json_encoder import WHOLE_BYTES_MAX, encode, encode_pieces, quote
from c101.core.kvserver.json_scanner import DEPTH_MAX, MARKS_MAX, JsonError, JsonScanner
from c101.core.proto import kv_pb2, rpc_pb2

_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=10,
)


def scan(*parts: bytes) -> tuple[bool, int]:
    """Scan what arrives in *parts*; return whether a value is there, and where it ends."""
    scanner = JsonScanner()
    at = 0
    for part in parts:
        taken = scanner.feed(part)
        at += taken
        if taken < len(part):
            break
    return scanner.done, at


@given(_VALUES, st.sampled_from([None, 1]), st.booleans())
@settings(deadline=None)
def test_a_value_ends_where_it_does_however_it_is_cut(
    value: object, indent: int | None, plain: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain).encode("utf-8", "surrogatepass")
    data = b" " + text + b" "
    end = len(data) - 1
    assert scan(data) == (True, end)
    for cut in range(1, len(data)):
        assert scan(data[:cut], data[cut:]) == (True, end)


@given(st.text(alphabet='{}[]":,\\/tru0e.-+ \n\x01a', max_size=12))
@settings(max_examples=2_000, deadline=None)
def test_what_is_taken_for_a_value_is_what_the_standard_library_takes_for_one(text: str) -> None:
    data = text.encode()
    scanner = JsonScanner()
    try:
        end = scanner.feed(data)
        scanner.finish()
    except JsonError:
        end = -1
    start = len(text) - len(text.lstrip(" \n"))
    try:
        _, wanted = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        wanted = -1
    # The library stops a number early where the rest of it is malformed: 1.x is 1.
    if end != wanted:
        assert end == -1
        assert re.match(r"-?[0-9]", text[start:])


def test_a_value_is_refused_at_its_bounds() -> None:
    assert scan(b"[" * DEPTH_MAX + b"]" * DEPTH_MAX) == (True, 2 * DEPTH_MAX)
    with pytest.raises(JsonError, match="exceeded max depth"):
        scan(b"[" * (DEPTH_MAX + 1))
    with pytest.raises(JsonError, match=f"more than {MARKS_MAX} commas"):
        scan(b"[" + b"1," * MARKS_MAX)
    parse_json(b'{"a":' * DEPTH_MAX + b"1" + b"}" * DEPTH_MAX)


@given(st.binary(max_size=40))
@settings(deadline=None)
def test_base64_is_read_as_it_was_written(data: bytes) -> None:
    message = kv_pb2.KeyValue(key=data)
    text = json.loads(encode(message)).get("key", "")
    assert decode_base64(text.encode()) == data
    assert decode_base64("\n".join(text).encode()) == data


_int64 = st.integers(-(2**63), 2**63 - 1)
_key_values = st.builds(
    kv_pb2.KeyValue,
    key=st.binary(max_size=8),
    value=st.binary(max_size=8),
    create_revision=_int64,
    lease=_int64,
)
_headers = st.builds(rpc_pb2.ResponseHeader, cluster_id=st.integers(0, 2**64 - 1), revision=_int64)
_ranges = st.builds(
    rpc_pb2.RangeResponse,
    header=st.none() | _headers,
    kvs=st.lists(_key_values, max_size=3),
    more=st.booleans(),
    count=_int64,
)
_messages: st.SearchStrategy[Message] = st.one_of(
    _ranges,
    st.builds(
        rpc_pb2.WatchResponse,
        created=st.booleans(),
        cancel_reason=st.text(st.characters(codec="utf-8"), max_size=10),
        events=st.lists(
            st.builds(kv_pb2.Event, type=st.sampled_from([0, 1, 7]), kv=_key_values), max_size=3
        ),
    ),
    st.builds(rpc_pb2.StatusResponse, errors=st.lists(st.sampled_from(["", "a", "<"]), max_size=3)),
    st.builds(rpc_pb2.LeaseTimeToLiveResponse, keys=st.lists(st.binary(max_size=3), max_size=3)),
    st.builds(rpc_pb2.WatchCreateRequest, filters=st.lists(st.sampled_from([0, 1]), max_size=3)),
    st.builds(rpc_pb2.HashResponse, hash=st.integers(0, 2**32 - 1)),
    st.builds(
        rpc_pb2.TxnResponse,
        succeeded=st.booleans(),
        responses=st.lists(
            st.builds(rpc_pb2.ResponseOp, response_range=_ranges)
            | st.builds(rpc_pb2.ResponseOp, response_put=st.builds(rpc_pb2.PutResponse)),
            max_size=3,
        ),
    ),
)


@given(_messages)
@settings(deadline=None)
def test_a_message_comes_back_from_its_json(message: Message) -> None:
    again = type(message)()
    text = encode(message)
    decode(again, parse_json(text.encode()))
    assert again == message


@given(_messages)
@settings(deadline=None)
def test_camel_case_is_understood_as_well(message: Message) -> None:
    def camel(value: object) -> object:
        if isinstance(value, dict):
            return {re.sub(r"_(.)", lambda m: m[1].upper(), k): camel(v) for k, v in value.items()}
        return [camel(item) for item in value] if isinstance(value, list) else value

    again = type(message)()
    decode(again, camel(parse_json(encode(message).encode())))
    assert again == message


def large_txn() -> rpc_pb2.TxnResponse:
    response = rpc_pb2.TxnResponse(succeeded=True)
    response.header.revision = 5
    for number in range(3):
        ranged = response.responses.add().response_range
        ranged.header.revision = number
        ranged.count, ranged.more = 1, True
        for key in range(2_000 * (number != 1)):
            ranged.kvs.add(key=b"%d" % key, value=bytes(10), mod_revision=key)
    response.responses.add().response_put.SetInParent()
    return response


def test_a_large_message_in_pieces_is_the_same_as_in_one() -> None:
    status = rpc_pb2.StatusResponse(version="x" * 20_000, errors=["", "a"], dbSize=-1)
    leases = rpc_pb2.LeaseTimeToLiveResponse(keys=[b"k%d" % n for n in range(9_000)], ID=7)
    value = rpc_pb2.RangeResponse(kvs=[kv_pb2.KeyValue(key=b"k", value=bytes(50_000))])
    for message in (large_txn(), status, leases, value, kv_pb2.KeyValue()):
        data = message.SerializeToString()
        descriptor = rpc_pb2.DESCRIPTOR.pool.FindMessageTypeByName(message.DESCRIPTOR.full_name)
        pieces = list(encode_pieces(descriptor, data))
        assert "".join(pieces) == encode(message)
        if message is not value and len(data) > WHOLE_BYTES_MAX:
            assert max(map(len, pieces)) < len(data) / 2 or message is status


def test_strings_are_escaped_as_in_go() -> None:
    text = '<b>&\u2028\u2029\x01\x7f\\"\t\n\b\f\\b/\u00e9\U0001f600'
    wanted = (
        r'"\u003cb\u003e\u0026\u2028\u2029\u0001'
        "\x7f"
        r"\\\"\t\n\u0008\u000c\\b/"
        '\u00e9\U0001f600"'
    )
    assert quote(text) == wanted
    assert json.loads(wanted) == text


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    message = rpc_pb2.AuthUserGetRequest()
    decode(message, parse_json(b'{"name":"a\\ud83d\\ud83d\\ude00\\ude00z"}'))
    assert message.name == "a\ufffd\U0001f600\ufffdz"


def test_null_in_a_list_is_what_is_zero() -> None:
    message = rpc_pb2.TxnRequest()
    decode(message, parse_json(b'{"success":[null,{"request_put":{}}]}'))
    assert [op.WhichOneof("request") for op in message.success] == [None, "request_put"]
    member = rpc_pb2.MemberAddRequest()
    decode(member, parse_json(b'{"peerURLs":[null,"x"]}'))
    assert list(member.peerURLs) == ["", "x"]
