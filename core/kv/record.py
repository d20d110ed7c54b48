"""What is kept of a key, and the bytes that go over the wire.

A state is a plain tuple, because a hundred thousand of them live in memory and one is made
for every put. Its first item is the encoded ``KeyValue`` with tag and length, as *field 2*: that is
what ``RangeResponse.kvs``, ``PutResponse.prev_kv`` and ``Event.kv`` all have, so answers are joined
from it without encoding anything.
"""

from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from c101.core.kv import refusal
from c101.core.kv.refusal import refuse
from c101.core.kv.revision import SHIFT
from c101.core.proto import kv_pb2, rpc_pb2

#: (field 2 with the encoded KeyValue, change id, create revision, version, lease)
State = tuple[bytes, int, int, int, int]
FIELD: Final = 0
CHANGE: Final = 1
CREATE: Final = 2
VERSION: Final = 3
LEASE: Final = 4

#: What happened to a key: (key, its state or None when deleted, change id)
Change = tuple[bytes, State | None, int]

KeyValue = kv_pb2.KeyValue
_TAG_2 = b"\x12"
_TAG_3 = b"\x1a"


def varint(value: int) -> bytes:
    """Encode *value* as protobuf does; negative numbers take ten bytes."""
    if 0 <= value < 128:
        return bytes((value,))
    value &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


_SMALL = [varint(length) for length in range(4096)]
_FIELD_2 = [_TAG_2 + length for length in _SMALL]


def length_delimited(tag: bytes, payload: bytes) -> bytes:
    """Return *payload* as a field: its tag (already encoded), its length, itself."""
    length = len(payload)
    return tag + (_SMALL[length] if length < 4096 else varint(length)) + payload


def make_state(
    change: int, key: bytes, value: bytes, lease: int, previous: State | None
) -> tuple[bytes, State]:
    """Return the record and the state that a put leaves, *previous* being what it replaces."""
    if previous is None:
        create, version = change >> SHIFT, 1
    else:
        create, version = previous[CREATE], previous[VERSION] + 1
    record = KeyValue(
        key=key,
        value=value,
        create_revision=create,
        mod_revision=change >> SHIFT,
        version=version,
        lease=lease,
    ).SerializeToString()
    length = len(record)
    tag = _FIELD_2[length] if length < 4096 else _TAG_2 + varint(length)
    return record, (tag + record, change, create, version, lease)


def state_of(change: int, record: bytes) -> State:
    """Return the state that a stored record describes.

    Raises RpcError (DATA_LOSS) for a record that is none, or another's.
    """
    try:
        kv = KeyValue.FromString(record)
    except DecodeError as exc:
        raise refuse(refusal.CORRUPT) from exc
    if kv.mod_revision != change >> SHIFT:
        raise refuse(refusal.CORRUPT)
    field = length_delimited(_TAG_2, record)
    return (field, change, kv.create_revision, kv.version, kv.lease)


def record_of(state: State) -> bytes:
    """Return the encoded KeyValue without tag and length, as it is stored."""
    field = state[FIELD]
    offset = 2
    while field[offset - 1] & 128:
        offset += 1
    return field[offset:]


def decode(state: State) -> kv_pb2.KeyValue:
    """Return the KeyValue of *state*."""
    return KeyValue.FromString(record_of(state))


def value_of(state: State) -> bytes:
    """Return the value of *state*."""
    return decode(state).value


def as_field_3(state: State) -> bytes:
    """Return the KeyValue as field 3: ``DeleteRangeResponse.prev_kvs`` and ``Event.prev_kv``."""
    return _TAG_3 + state[FIELD][1:]


def without_value(state: State) -> bytes:
    """Return field 2 of *state* with the value left out."""
    kv = decode(state)
    kv.ClearField("value")
    return length_delimited(_TAG_2, kv.SerializeToString())


def header_encoder(cluster_id: int, member_id: int, raft_term: int) -> Callable[[int], bytes]:
    """Return a function from revision to the encoded header (field 1) of any answer."""
    # One message whose revision is overwritten: the C encoder beats joining bytes in Python.
    response = rpc_pb2.PutResponse(
        header=rpc_pb2.ResponseHeader(
            cluster_id=cluster_id, member_id=member_id, raft_term=raft_term
        )
    )
    header = response.header
    serialize = response.SerializeToString

    def encode(revision: int) -> bytes:
        header.revision = revision
        return serialize()

    return encode


def inner_header(revision: int) -> bytes:
    """Return the header (field 1) of an answer within a transaction: a revision only."""
    return length_delimited(b"\x0a", b"\x18" + varint(revision) if revision else b"")
