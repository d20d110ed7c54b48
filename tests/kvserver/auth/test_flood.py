"""A flood of Authenticate is refused at a bound, and delays nobody else's requests."""

import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import grpc
import psutil
import pytest

from c101.core.kv.auth.passwords import WAITING_MAX
from c101.core.proto import rpc_pb2
from tests.kvserver.auth.pair import Grant, Session, permission, set_up
from tests.kvserver.processes import Ours

pytestmark = [pytest.mark.integration, pytest.mark.slow]

FLOOD = 3_000
PUTS = 5
#: Beyond what the waiting ones may hold: 100 requests of a few kilobytes.
GROWTH_BYTES_MAX = 64 << 20


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Ours]:
    process = Ours(tmp_path)
    process.start()
    yield process
    process.stop()


@pytest.mark.timeout(600)
def test_a_flood_of_wrong_passwords_is_bounded_and_puts_go_on_meanwhile(own: Ours) -> None:
    session = Session(own.client())
    set_up(session, {"u": Grant(permission("READWRITE", b"u/", b"u0"))})
    process = psutil.Process(own.pid)
    before = process.memory_info().rss
    flooding = own.client()
    authenticate = flooding.channel.unary_unary(
        "/etcdserverpb.Auth/Authenticate",
        request_serializer=rpc_pb2.AuthenticateRequest.SerializeToString,
        response_deserializer=rpc_pb2.AuthenticateResponse.FromString,
    )
    results: Counter[grpc.StatusCode] = Counter()
    answered = threading.Event()

    def done(call: grpc.Future) -> None:
        results[call.code()] += 1
        if sum(results.values()) == FLOOD:
            answered.set()

    request = rpc_pb2.AuthenticateRequest(name="u", password="w" * 1000)
    for _ in range(FLOOD):
        authenticate.future(request, timeout=300).add_done_callback(done)
    # All of the flood is before them, and a wrong password takes some 50 ms: were they behind it,
    # puts would be answered when it is over.
    token = session.tokens["u"]
    put = session.client.channel.unary_unary(
        "/etcdserverpb.KV/Put",
        request_serializer=rpc_pb2.PutRequest.SerializeToString,
        response_deserializer=rpc_pb2.PutResponse.FromString,
    )
    for _ in range(PUTS):
        put(rpc_pb2.PutRequest(key=b"u/k"), timeout=300, metadata=(("token", token),))
    assert not answered.is_set()
    assert answered.wait(300)
    assert set(results) == {grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INVALID_ARGUMENT}
    # More may be checked than wait at a time: places become free.
    assert results[grpc.StatusCode.INVALID_ARGUMENT] >= WAITING_MAX
    assert process.memory_info().rss - before < GROWTH_BYTES_MAX
    # Whoever comes when it is over gets in.
    session.log_in("u", "u")
    flooding.close()
    session.client.close()
