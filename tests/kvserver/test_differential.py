"""The same random requests to ours and to a real etcd: the same answers, byte for byte but for ids.

Masked (differences of etcd 3.4 from later ones that we follow): a request that nobody but 3.4
accepts is not drawn; a watch that starts exactly at a compact revision whose change is a deletion
is not compared.
"""

import itertools
import os
from collections.abc import Iterator
from queue import Empty

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from c101.core.proto import kv_pb2, rpc_pb2
from tests.kvserver.operations import Binding, Operation, opening, operations
from tests.kvserver.processes import HAVE_ETCD, Client, Etcd, Ours, WatchStream

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

#: Random sequences to compare; ``make fuzz`` asks for many more.
SEQUENCES = int(os.environ.get("C101_FUZZ_SEQUENCES", "100"))
FUZZ_SECONDS = 120 + SEQUENCES
_numbers = itertools.count(1)


def answer(client: Client, operation: Operation, request: Message) -> object:
    try:
        response = client.call(operation.path, request, operation.response)
    except grpc.RpcError as exc:
        return (exc.code(), exc.details())
    for name in ("cluster_id", "member_id", "raft_term"):
        response.header.ClearField(name)  # type: ignore[attr-defined]
    if isinstance(response, rpc_pb2.LeaseTimeToLiveResponse):
        ordered = sorted(response.keys)
        del response.keys[:]
        response.keys.extend(ordered)
        if response.TTL > 0:
            response.TTL = 1
    return response


@pytest.fixture(scope="module")
def pair(ours: Ours, etcd: Etcd) -> Iterator[tuple[Client, Client]]:
    clients = ours.client(), etcd.client()
    yield clients
    for client in clients:
        client.close()


def sequences(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@pytest.mark.timeout(FUZZ_SECONDS)
@sequences(SEQUENCES)
@given(sequence=st.lists(operations(), min_size=8, max_size=25))
def test_random_requests_get_the_answers_of_a_real_etcd(
    pair: tuple[Client, Client], sequence: list[Operation]
) -> None:
    compare(pair, sequence)


def compare(pair: tuple[Client, Client], sequence: list[Operation]) -> None:
    """Send *sequence* to both, three watches alive, and compare every answer and event."""
    number = next(_numbers)
    revisions = [client.revision for client in pair]
    assert revisions[0] == revisions[1]
    prefix = b"/%d/" % number
    binding = Binding(prefix, revisions[0], number * 1000)
    streams = [WatchStream(client) for client in pair]
    try:
        for stream in streams:
            end = prefix[:-1] + b"0"
            stream.create(key=prefix, range_end=end, prev_kv=True)
            stream.create(key=prefix + b"a")
            stream.create(key=prefix, range_end=end, filters=[rpc_pb2.WatchCreateRequest.NODELETE])
        for operation in [*opening(), *sequence]:
            request = binding.bind(operation.request)
            mine, theirs = (answer(client, operation, request) for client in pair)
            if mine != theirs:
                note(f"{operation.path}\n{request}\nours: {mine}\netcd: {theirs}")
            assert mine == theirs
        # What both keep, in all their history, is the same down to the byte.
        for revision in (0, max(1, revisions[0] + len(sequence) // 2)):
            mine, theirs = (hash_kv(client, revision) for client in pair)
            assert mine == theirs
        for client in pair:
            txn = rpc_pb2.TxnRequest()
            txn.success.add().request_put.key = prefix + b"a"
            client.txn(txn)
        # The put above ends every watch: each of them wants it.
        events = [_until_last(stream, pair[0]) for stream in streams]
        assert events[0] == events[1]
    finally:
        for stream in streams:
            stream.close()


def hash_kv(client: Client, revision: int) -> object:
    try:
        response = client.hash_kv(revision)
    except grpc.RpcError as exc:
        return (exc.code(), exc.details())
    return response.header.revision, response.hash, response.compact_revision


def _until_last(stream: WatchStream, client: Client) -> dict[int, list[kv_pb2.Event]]:
    last = client.revision
    events: dict[int, list[kv_pb2.Event]] = {}
    behind = {0, 1, 2}
    while behind:
        try:
            response = stream.responses.get(timeout=10)
        except Empty:
            raise AssertionError(f"watches {behind} did not get revision {last}") from None
        events.setdefault(response.watch_id, []).extend(response.events)
        if response.events and response.events[-1].kv.mod_revision == last:
            behind.discard(response.watch_id)
    return events
