"""The KV service on the wire: limits, texts, and what a random request rarely hits."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from c101.core.proto import rpc_pb2
from tests.kvserver.processes import Client, Ours

pytestmark = pytest.mark.integration


def refused(call: grpc.RpcError) -> tuple[str, str]:
    return call.code().name, call.details()


def test_a_transaction_of_more_than_128_operations_is_refused(client: Client) -> None:
    txn = rpc_pb2.TxnRequest()
    for number in range(129):
        txn.success.add().request_put.key = b"many/%d" % number
    with pytest.raises(grpc.RpcError) as error:
        client.txn(txn)
    assert refused(error.value) == (
        "INVALID_ARGUMENT",
        "etcdserver: too many operations in txn request",
    )
    del txn.success[128]
    assert len(client.txn(txn).responses) == 128
    outer = rpc_pb2.TxnRequest()
    outer.success.add().request_txn.CopyFrom(txn)
    with pytest.raises(grpc.RpcError, match="too many operations"):
        client.txn(outer)


def test_a_transaction_that_reads_a_compacted_revision_changes_nothing_as_in_etcd_18667(
    client: Client,
) -> None:
    client.put(b"x", b"1")
    client.put(b"x", b"2")
    revision = client.revision
    client.compact(revision)
    txn = rpc_pb2.TxnRequest()
    txn.success.add().request_put.key = b"x"
    wanted = txn.success.add().request_range
    wanted.key, wanted.revision = b"x", revision - 1
    with pytest.raises(grpc.RpcError) as error:
        client.txn(txn)
    assert refused(error.value) == (
        "OUT_OF_RANGE",
        "etcdserver: mvcc: required revision has been compacted",
    )
    assert client.revision == revision
    assert client.get(b"x").kvs[0].value == b"2"


def test_the_revision_survives_a_compaction_of_everything_as_in_etcd_17780(
    tmp_path: Path,
) -> None:
    own = Ours(tmp_path)
    own.start()
    client = own.client()
    client.put(b"x", b"1")
    client.delete(b"x")
    client.put(b"y", b"1")
    revision = client.delete(b"y").header.revision
    client.compact(revision, physical=True)
    client.close()
    own.kill()
    own.start()
    client = own.client()
    assert client.revision == revision
    assert client.put(b"z", b"1").header.revision == revision + 1
    client.close()
    own.stop()


def test_a_range_within_a_transaction_sees_what_came_before_it(client: Client) -> None:
    client.delete(b"in/", b"in0")
    txn = rpc_pb2.TxnRequest()

    def look() -> None:
        op = txn.success.add().request_range
        op.key, op.range_end = b"in/", b"in0"

    look()
    txn.success.add().request_put.key = b"in/a"
    look()
    txn.success.add().request_put.key = b"in/b"
    look()
    deletion = txn.success.add().request_delete_range
    deletion.key, deletion.range_end = b"in2", b"in3"
    look()
    answer = client.txn(txn)
    counts = [
        one.response_range.count for one in answer.responses if one.HasField("response_range")
    ]
    assert counts == [0, 1, 2, 2]


def test_a_request_that_is_too_large_is_refused_and_the_connection_stays(client: Client) -> None:
    with pytest.raises(grpc.RpcError, match="request is too large"):
        client.put(b"big", bytes(1_600_000))
    with pytest.raises(grpc.RpcError, match="received message larger than max") as error:
        client.put(b"big", bytes(3_000_000))
    assert error.value.code().name == "RESOURCE_EXHAUSTED"
    assert client.get(b"big").count == 0


def test_bytes_that_are_no_request_are_refused(client: Client) -> None:
    for path in ("KV/Put", "KV/Range", "KV/Txn"):
        method = client.channel.unary_unary("/etcdserverpb." + path)
        with pytest.raises(grpc.RpcError, match="error unmarshalling request") as error:
            method(b"\x0a\xff")
        assert error.value.code().name == "INTERNAL"


def test_an_unknown_sort_option_is_refused(client: Client) -> None:
    with pytest.raises(grpc.RpcError, match="etcdserver: invalid sort option"):
        client.get(b"a", b"b", sort_order=9)


def test_version_and_health_are_served_over_http(ours: Ours) -> None:
    def get(path: str) -> object:
        with urllib.request.urlopen(f"http://127.0.0.1:{ours.port}{path}") as answer:
            return json.loads(answer.read())

    assert get("/version") == {"etcdserver": "3.4.23", "etcdcluster": "3.4.0"}
    assert get("/health") == {"health": "true"}


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[Path]:
    command = [sys.executable, "-m", "c101.core.daemon", "kv", "--data-dir", str(tmp_path / "kv")]
    process = subprocess.Popen(
        [*command, "--socket-dir", str(tmp_path / "s")], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    assert "kv-admin.sock" in process.stderr.readline()
    yield tmp_path / "s"
    process.terminate()
    process.wait(10)
    process.stderr.close()


def test_the_admin_socket_is_its_owners_alone_and_stdio_relays_to_it(sockets: Path) -> None:
    assert (sockets / "kv-admin.sock").stat().st_mode & 0o777 == 0o600
    relay = [sys.executable, "-m", "c101.core.daemon", "--socket-dir", str(sockets)]
    request = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    done = subprocess.run(
        [*relay, "--stdio", "admin"], input=request, capture_output=True, timeout=20, check=True
    )
    assert done.stdout.endswith(b'{"health":"true"}')
    for role, text in (("viewer", "No such file"), ("../x", "not a role")):
        done = subprocess.run(
            [*relay, "--stdio", role], input=b"", capture_output=True, timeout=20, check=False
        )
        assert done.returncode != 0
        assert text in done.stderr.decode()


def test_the_relay_loads_none_of_the_store(tmp_path: Path) -> None:
    program = (
        "import sys, c101.core.daemon; "
        "print([m for m in sys.modules if m in ('asyncio', 'uvloop', 'google.protobuf')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.strip() == "[]"
