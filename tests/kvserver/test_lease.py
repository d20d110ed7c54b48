"""Leases on the wire: when they end, what ends with them."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest

from c101.core.kv import refusal
from c101.core.kvserver.server import KvServer
from c101.core.proto import kv_pb2, rpc_pb2
from tests.fakes.clock import FakeClock, settle
from tests.kvserver.processes import Client, WatchStream

pytestmark = pytest.mark.integration


def keep_alive(client: Client, *ids: int) -> Iterator[rpc_pb2.LeaseKeepAliveResponse]:
    requests: SimpleQueue[rpc_pb2.LeaseKeepAliveRequest | None] = SimpleQueue()
    for lease_id in ids:
        requests.put(rpc_pb2.LeaseKeepAliveRequest(ID=lease_id))
    requests.put(None)
    call = client.channel.stream_stream(
        "/etcdserverpb.Lease/LeaseKeepAlive",
        request_serializer=rpc_pb2.LeaseKeepAliveRequest.SerializeToString,
        response_deserializer=rpc_pb2.LeaseKeepAliveResponse.FromString,
    )
    yield from call(iter(requests.get, None), timeout=10)


def test_a_lease_ends_at_its_ttl_and_its_keys_go_in_one_revision(client: Client) -> None:
    watch = WatchStream(client)
    watch.create(key=b"exp/", range_end=b"exp0")
    granted = time.monotonic()
    lease_id = client.grant(2).ID
    for number in range(3):
        client.put(b"exp/%d" % number, b"x", lease=lease_id)
    watch.events(3)
    response = watch.next(5)
    elapsed = time.monotonic() - granted
    assert 1.9 <= elapsed <= 3.0
    assert [event.type for event in response.events] == [kv_pb2.Event.DELETE] * 3
    assert len({event.kv.mod_revision for event in response.events}) == 1
    assert client.time_to_live(lease_id).TTL == -1
    watch.close()


def test_keep_alive_renews_and_answers_zero_for_a_lease_that_is_gone(client: Client) -> None:
    client.grant(2, 501)
    client.put(b"kept", b"x", lease=501)
    deadline = time.monotonic() + 3.5
    while time.monotonic() < deadline:
        answers = list(keep_alive(client, 501, 502))
        assert [(answer.ID, answer.TTL) for answer in answers] == [(501, 2), (502, 0)]
        time.sleep(0.4)
    assert client.get(b"kept").count == 1
    client.revoke(501)
    assert client.get(b"kept").count == 0


@pytest.mark.parametrize("ttl", [-1, 0, 1, 2])
def test_a_short_ttl_is_raised_to_two_seconds(client: Client, ttl: int) -> None:
    granted = client.grant(ttl)
    assert granted.TTL == 2
    assert granted.ID > 0
    client.revoke(granted.ID)


def test_the_next_lease_to_end_is_listed_first(client: Client) -> None:
    for lease_id, ttl in ((601, 300), (602, 100), (603, 200)):
        client.grant(ttl, lease_id)
    listed = client.call(
        "Lease/LeaseLeases", rpc_pb2.LeaseLeasesRequest(), rpc_pb2.LeaseLeasesResponse
    )
    ids = [lease.ID for lease in listed.leases if 601 <= lease.ID <= 603]
    assert ids == [602, 603, 601]
    for lease_id in ids:
        client.revoke(lease_id)


def test_a_ttl_that_is_too_large_and_an_id_in_use_are_refused(client: Client) -> None:
    with pytest.raises(grpc.RpcError, match="too large lease TTL"):
        client.grant(9_000_000_001)
    client.grant(60, 701)
    with pytest.raises(grpc.RpcError, match="lease already exists"):
        client.grant(60, 701)
    client.revoke(701)
    with pytest.raises(grpc.RpcError, match="requested lease not found"):
        client.revoke(701)


async def test_a_lease_that_cannot_be_ended_is_tried_twice_a_second_not_in_a_loop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    async with KvServer(tmp_path, clock) as server:
        store = server.context.store
        store.stage_lease(7, 2)
        await store.durable()
        while store.lessor.committed(7) is None:
            await asyncio.sleep(0)
        store.admission.fail(refusal.STORAGE_FAILED)
        await clock.advance(3)
        tries = len(caplog.records)
        assert tries
        # No time passes: nothing is tried, however often the loop turns.
        await settle(1_000)
        assert len(caplog.records) == tries
        await clock.advance(3)
        assert tries < len(caplog.records) <= tries + 8
        assert store.lessor.committed(7) is not None
    assert {record.message for record in caplog.records} == {"leases cannot be ended"}
