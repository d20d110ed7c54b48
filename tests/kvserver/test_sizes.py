"""How large a request may be: what writes by etcd's measure, what only reads by a message's."""

from collections.abc import Callable

import grpc
import pytest
from google.protobuf.message import Message

from c101.core.proto import rpc_pb2
from tests.kvserver.processes import HAVE_ETCD, Client, Etcd, Ours

pytestmark = pytest.mark.integration

REQUEST_MAX = 1_572_864
#: What etcd's log adds to a request; a byte or two less where ids are short.
LOG_ENTRY = 18
MESSAGE_MAX = REQUEST_MAX + 512 * 1024

Make = Callable[[bytes], tuple[str, Message, type[Message]]]


def put(filler: bytes) -> tuple[str, Message, type[Message]]:
    return "KV/Put", rpc_pb2.PutRequest(value=filler, key=b"k"), rpc_pb2.PutResponse


def txn(filler: bytes) -> tuple[str, Message, type[Message]]:
    request = rpc_pb2.TxnRequest()
    request.success.add().request_put.MergeFrom(rpc_pb2.PutRequest(value=filler, key=b"k"))
    return "KV/Txn", request, rpc_pb2.TxnResponse


def delete(filler: bytes) -> tuple[str, Message, type[Message]]:
    return "KV/DeleteRange", rpc_pb2.DeleteRangeRequest(key=filler), rpc_pb2.DeleteRangeResponse


def read(filler: bytes) -> tuple[str, Message, type[Message]]:
    return "KV/Range", rpc_pb2.RangeRequest(key=filler), rpc_pb2.RangeResponse


def reading_txn(filler: bytes) -> tuple[str, Message, type[Message]]:
    request = rpc_pb2.TxnRequest()
    request.success.add().request_range.key = filler
    return "KV/Txn", request, rpc_pb2.TxnResponse


WRITES: list[Make] = [put, txn, delete]
READS: list[Make] = [read, reading_txn]


def ask(client: Client, make: Make, size: int) -> str:
    """Send a request of *size* bytes; return how that ended."""
    length = size - 64
    path, request, response = make(b"x" * length)
    # What is around the filler grows by a byte or two on the way.
    while request.ByteSize() != size:
        length += size - request.ByteSize()
        path, request, response = make(b"x" * length)
    try:
        client.call(path, request, response)
    except grpc.RpcError as error:
        return f"{error.code().name} {error.details()}"
    return "done"


@pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here")
@pytest.mark.parametrize("make", [*WRITES, *READS])
@pytest.mark.parametrize(
    "size", [REQUEST_MAX - 40, REQUEST_MAX + 1, MESSAGE_MAX, MESSAGE_MAX + 1, MESSAGE_MAX + 70_000]
)
def test_what_is_too_large_is_refused_as_by_a_real_etcd(
    ours: Ours, etcd: Etcd, make: Make, size: int
) -> None:
    answers = []
    for process in (ours, etcd):
        client = process.client()
        answers.append(ask(client, make, size))
        client.close()
    assert answers[0] == answers[1]


@pytest.mark.parametrize("make", WRITES)
def test_the_largest_write_is_the_one_whose_log_entry_fits(client: Client, make: Make) -> None:
    assert ask(client, make, REQUEST_MAX - LOG_ENTRY) == "done"
    refused = "INVALID_ARGUMENT etcdserver: request is too large"
    assert ask(client, make, REQUEST_MAX - LOG_ENTRY + 1) == refused


def test_a_connection_outlives_a_message_that_is_too_large(client: Client) -> None:
    assert ask(client, put, MESSAGE_MAX + 1) == (
        f"RESOURCE_EXHAUSTED grpc: received message larger than max ({MESSAGE_MAX + 1} vs. 2097152)"
    )
    assert ask(client, put, 100) == "done"
