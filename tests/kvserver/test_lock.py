"""The Lock service beside a real etcd, and where holders and waiters leave."""

from functools import partial
from pathlib import Path

import grpc
import pytest

from c101.core.proto import rpc_pb2
from tests.kvserver.lock_calls import begin_lock, lock, refusal, unlock, until
from tests.kvserver.processes import HAVE_ETCD, Client, Etcd, Ours, Process

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]


def waiters(client: Client, name: bytes) -> int:
    return client.get(name + b"/", name + b"0", count_only=True).count


def play(process: Process) -> list[object]:
    client = process.client()
    start = client.revision
    seen: list[object] = []

    def note(name: bytes, lease: int) -> bytes:
        answer = lock(client, name, lease)
        assert answer.header.cluster_id
        assert answer.header.member_id
        assert answer.header.raft_term
        seen.append((answer.key, answer.header.revision - start))
        return answer.key

    seen += [
        ("a lease that is not there", refusal(lambda: lock(client, b"a", 12345))),
        ("a negative one", refusal(lambda: lock(client, b"a", -5))),
        ("no key to unlock", refusal(lambda: unlock(client, b""))),
        ("too long a name", refusal(lambda: lock(client, b"x" * 1_600_000, 0))),
        ("no message at all", refusal(lambda: lock(client, b"x" * 3_000_000, 0))),
        ("none is left behind", waiters(client, b"a")),
    ]
    for lease in (0x77, 0x78):
        client.grant(600, lease)
    key = note(b"m", 0x77)
    note(b"m", 0x77)
    note(b"", 0x77)
    note(b"\xff\0n", 0x77)
    note(b"m/77", 0x78)
    # Code and text are the client's or the server's, whoever is first.
    refusal(lambda: lock(client, b"m", 0x78, seconds=0.3))
    until(lambda: client.get(b"m/78").count == 0)
    held = client.get(key).kvs[0]
    seen.append((held.value, held.version, held.lease))
    # The key below m/77/ is older than no waiter's of m/: it is waited for as well.
    waiting = begin_lock(client, b"m", 0x78)
    until(lambda: client.get(b"m/78").count == 1)
    seen.append(unlock(client, key).header.revision - start)
    seen.append(unlock(client, key).header.revision - start)
    seen.append(waiting.done())
    unlock(client, b"m/77/78")
    answer = waiting.result(10)
    seen.append((answer.key, answer.header.revision - start))
    own = lock(client, b"own", 0)
    granted = client.get(own.key).kvs[0].lease
    assert own.key == b"own/%x" % granted
    seen.append(client.time_to_live(granted).grantedTTL)
    client.close()
    return seen


def test_locks_are_given_and_refused_as_by_a_real_etcd(ours: Ours, etcd: Etcd) -> None:
    assert play(ours) == play(etcd)


@pytest.fixture(params=["ours", "etcd"])
def either(request: pytest.FixtureRequest, ours: Ours, etcd: Etcd) -> Process:
    return ours if request.param == "ours" else etcd


def test_a_lock_whose_holder_is_gone_goes_to_the_next_when_the_lease_ends(either: Process) -> None:
    holder, waiter = either.client(), either.client()
    holder.grant(2, 0x91)
    held = lock(holder, b"ends", 0x91)
    holder.close()
    waiter.grant(600, 0x92)
    got = lock(waiter, b"ends", 0x92, seconds=20)
    assert got.key == b"ends/92"
    assert waiter.get(held.key).count == 0
    assert got.header.revision >= waiter.get(got.key).kvs[0].create_revision
    waiter.close()


def test_a_caller_that_leaves_takes_its_place_with_it_and_wakes_nobody_too_early(
    either: Process,
) -> None:
    client = either.client()
    for lease in (0xA1, 0xA2, 0xA3):
        client.grant(600, lease)
    held = lock(client, b"leave", 0xA1)
    second = begin_lock(client, b"leave", 0xA2)
    until(lambda: waiters(client, b"leave") == 2)
    third = begin_lock(client, b"leave", 0xA3)
    until(lambda: waiters(client, b"leave") == 3)
    second.cancel()
    until(lambda: waiters(client, b"leave") == 2)
    assert client.get(b"leave/a2").count == 0
    assert not third.done()
    unlock(client, held.key)
    assert third.result(10).key == b"leave/a3"
    client.close()


def test_a_connection_that_breaks_frees_what_it_waited_for(ours: Ours, client: Client) -> None:
    for lease in (0xB1, 0xB2):
        client.grant(600, lease)
    lock(client, b"broken", 0xB1)
    other = ours.client()
    waiting = begin_lock(other, b"broken", 0xB2)
    until(lambda: waiters(client, b"broken") == 2)
    other.close()
    until(lambda: waiters(client, b"broken") == 1)
    assert waiting.done()


def test_a_compaction_does_not_lose_who_waits(client: Client) -> None:
    # In etcd it may end with an error.
    for lease in (0xC1, 0xC2):
        client.grant(600, lease)
    held = lock(client, b"compact", 0xC1)
    waiting = begin_lock(client, b"compact", 0xC2)
    until(lambda: waiters(client, b"compact") == 2)
    for _ in range(3):
        client.put(b"other")
    client.compact(client.revision, physical=True)
    unlock(client, held.key)
    assert waiting.result(10).key == b"compact/c2"


def test_a_waiter_whose_lease_ended_is_not_given_the_lock(client: Client) -> None:
    # etcd 3.4.23 gives it; its later versions refuse, with this text.
    for lease in (0xD1, 0xD2):
        client.grant(600, lease)
    held = lock(client, b"expired", 0xD1)
    waiting = begin_lock(client, b"expired", 0xD2)
    until(lambda: waiters(client, b"expired") == 2)
    client.revoke(0xD2)
    unlock(client, held.key)
    with pytest.raises(grpc.RpcError) as error:
        waiting.result(10)
    assert (error.value.code().name, error.value.details()) == (
        "UNKNOWN",
        "mutex: session is expired",
    )
    assert waiters(client, b"expired") == 0


def test_a_hundred_lockers_hold_it_one_at_a_time_in_the_order_they_came(client: Client) -> None:
    count = 100
    pending = []
    for number in range(count):
        client.grant(600, 0x1000 + number)
        pending.append(begin_lock(client, b"many", 0x1000 + number))
        until(partial(lambda expected: waiters(client, b"many") == expected, number + 1))
    for number, waiting in enumerate(pending):
        got = waiting.result(20)
        assert got.key == b"many/%x" % (0x1000 + number)
        assert waiters(client, b"many") == count - number
        assert not any(later.done() for later in pending[number + 1 :])
        unlock(client, got.key)
    assert waiters(client, b"many") == 0


def test_waiters_are_told_when_the_server_stops_and_the_lock_outlives_it(tmp_path: Path) -> None:
    own = Ours(tmp_path)
    own.start()
    client = own.client()
    for lease in (0xE1, 0xE2):
        client.grant(600, lease)
    held = lock(client, b"stop", 0xE1)
    waiting = begin_lock(client, b"stop", 0xE2)
    until(lambda: waiters(client, b"stop") == 2)
    own.kill(15)
    with pytest.raises(grpc.RpcError) as error:
        waiting.result(10)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    client.close()
    own.start()
    client = own.client()
    assert client.get(held.key).count == 1
    # Who waited is gone, and so is its place.
    assert waiters(client, b"stop") == 1
    client.close()
    own.stop()


def test_a_lock_is_refused_where_a_put_is(ours: Ours, client: Client) -> None:
    request = rpc_pb2.AlarmRequest(
        action=rpc_pb2.AlarmRequest.ACTIVATE, alarm=rpc_pb2.AlarmType.NOSPACE
    )
    client.grant(600, 0xF1)
    client.call("Maintenance/Alarm", request, rpc_pb2.AlarmResponse)
    refused = ("UNKNOWN", "etcdserver: mvcc: database space exceeded")
    assert refusal(lambda: lock(client, b"full", 0)) == refused
    assert refusal(lambda: lock(client, b"full", 0xF1)) == refused
    request.action = rpc_pb2.AlarmRequest.DEACTIVATE
    client.call("Maintenance/Alarm", request, rpc_pb2.AlarmResponse)
    assert lock(client, b"full", 0xF1).key == b"full/f1"
