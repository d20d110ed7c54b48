"""A store's whole content as a client sees it, and something to fill a store with."""

import contextlib
from collections.abc import Iterator
from typing import Any

import grpc

from c101.core.proto import rpc_pb2
from tests.kvserver.processes import Client, WatchStream

#: So many keys that their rows take branch pages, several leaves each.
KEYS = 400
#: A value that overflows a page, and one that overflows many.
LARGE = b"large " * 2_000
HUGE = bytes(range(256)) * 4_000


def put_op(key: bytes, value: bytes) -> rpc_pb2.RequestOp:
    return rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=key, value=value))


def fill(client: Client) -> tuple[int, int]:
    """Write a bit of everything, and compact some of it; return two leases, of which one has keys.

    It begins on a fresh store, and ends with a history that goes back further than the compaction.
    """
    held = client.grant(5_000).ID
    bare = client.grant(6_000).ID
    for number in range(KEYS):
        client.put(b"/many/%04d" % number, b"value %d " % number * (number % 30))
    client.put(b"/large", LARGE)
    client.put(b"/huge", HUGE)
    client.put(b"/leased/1", b"a", lease=held)
    client.put(b"/leased/2", b"b", lease=held)
    client.delete(b"/many/0100", b"/many/0160")
    for start in range(0, 300, 100):
        ops = [put_op(b"/txn/%03d" % (start + n), b"x%d" % n) for n in range(100)]
        client.txn(rpc_pb2.TxnRequest(success=ops))
    for number in range(40):
        client.put(b"/often", b"%d" % number)
    client.delete(b"/often")
    client.put(b"/often", b"again")
    client.compact(client.revision - 20, physical=True)
    for number in range(30):
        client.put(b"/many/%04d" % (number * 3), b"changed")
    client.delete(b"/txn/", b"/txn/050")
    client.put(b"\xff\x00", b"", lease=held)
    client.delete(b"/leased/2")
    return held, bare


def compacted_at(client: Client) -> int:
    """Return the oldest revision that can be read."""
    low, high = 1, client.revision
    while low < high:
        middle = (low + high) // 2
        if keys_at(client, middle) is None:
            low = middle + 1
        else:
            high = middle
    return low


def keys_at(client: Client, revision: int) -> list[Any] | None:
    """Return all keys at *revision*; ``None`` if it is compacted away."""
    try:
        return list(client.get(b"\0", b"\0", revision=revision).kvs)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.OUT_OF_RANGE:
            raise
        return None


def events_from(client: Client, revision: int) -> list[Any]:
    """Return all that happened from *revision* to the last one, deletions and puts, in order."""
    last = client.revision
    with contextlib.closing(WatchStream(client)) as watch:
        watch.create(key=b"\0", range_end=b"\0", start_revision=revision)
        events: list[Any] = []
        while not events or events[-1].kv.mod_revision < last:
            events += watch.next().events
    return events


def leases(client: Client) -> dict[int, tuple[int, list[bytes]]]:
    """Return granted TTL and keys of every lease."""
    response = client.call(
        "Lease/LeaseLeases", rpc_pb2.LeaseLeasesRequest(), rpc_pb2.LeaseLeasesResponse
    )
    ids = sorted(lease.ID for lease in response.leases)
    found = {one: client.time_to_live(one) for one in ids}
    assert all(lease.TTL > 0 for lease in found.values())
    return {one: (lease.grantedTTL, sorted(lease.keys)) for one, lease in found.items()}


def differences(one: Client, other: Client) -> Iterator[str]:
    """Say what of two stores differs: revisions, keys at each of them, leases, watched history."""
    if one.revision != other.revision:
        yield f"revisions {one.revision} and {other.revision}"
    oldest = compacted_at(one)
    if oldest != compacted_at(other):
        yield f"compacted at {oldest} and {compacted_at(other)}"
    for revision in range(oldest, one.revision + 1):
        if keys_at(one, revision) != keys_at(other, revision):
            yield f"keys at revision {revision}"
    if leases(one) != leases(other):
        yield f"leases {leases(one)} and {leases(other)}"
    if events_from(one, oldest + 1) != events_from(other, oldest + 1):
        yield "what a watch sees of the past"
