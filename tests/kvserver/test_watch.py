"""Watches: order, history, resumption, filters, slow readers, and etcd's recorded watch bugs."""

import time
from collections.abc import Iterator

import pytest

from c101.core.proto import kv_pb2, rpc_pb2
from tests.kvserver.processes import Client, Ours, WatchStream

pytestmark = pytest.mark.integration

PUT, DELETE = kv_pb2.Event.PUT, kv_pb2.Event.DELETE


@pytest.fixture
def watch(client: Client) -> Iterator[WatchStream]:
    stream = WatchStream(client)
    yield stream
    stream.close()


def progress() -> rpc_pb2.WatchRequest:
    return rpc_pb2.WatchRequest(progress_request=rpc_pb2.WatchProgressRequest())


def test_created_comes_before_any_event_and_history_before_what_is_new(
    client: Client, watch: WatchStream
) -> None:
    first = client.put(b"h/a", b"1").header.revision
    client.delete(b"h/a")
    created = watch.create(key=b"h/", range_end=b"h0", start_revision=first, prev_kv=True)
    assert created.created
    assert not created.events
    client.put(b"h/a", b"2")
    events = watch.events(3)
    assert [event.type for event in events] == [PUT, DELETE, PUT]
    assert [event.kv.mod_revision for event in events] == [first, first + 1, first + 2]
    assert [event.prev_kv.value for event in events] == [b"", b"1", b""]


def test_events_of_one_revision_come_in_one_response(client: Client, watch: WatchStream) -> None:
    watch.create(key=b"t/", range_end=b"t0")
    txn = rpc_pb2.TxnRequest()
    for number in range(100):
        txn.success.add().request_put.key = b"t/%03d" % number
    client.txn(txn)
    assert len(watch.next().events) == 100


def test_prev_kv_is_from_before_the_revision_also_of_what_it_changed_twice(
    client: Client, watch: WatchStream
) -> None:
    client.put(b"twice/old", b"1")
    start = client.revision + 1
    watch.create(key=b"twice/", range_end=b"twice0", prev_kv=True)
    txn = rpc_pb2.TxnRequest()
    puts = txn.success.add().request_txn.success
    for key in (b"twice/fresh", b"twice/old"):
        puts.add().request_put.key = key
    deletion = txn.success.add().request_txn.success.add().request_delete_range
    deletion.key, deletion.range_end = b"twice/", b"twice0"
    client.txn(txn)
    live = watch.events(4)
    assert [event.type for event in live] == [PUT, PUT, DELETE, DELETE]
    assert [event.prev_kv.value for event in live] == [b"", b"1", b"", b"1"]
    watch.create(key=b"twice/", range_end=b"twice0", prev_kv=True, start_revision=start)
    assert watch.events(4) == live


def test_an_event_comes_once_whatever_longer_prefixes_others_watch(
    client: Client, watch: WatchStream
) -> None:
    for prefix in (b"once", b"once/longer"):
        watch.create(key=prefix, range_end=prefix[:-1] + bytes((prefix[-1] + 1,)))
    txn = rpc_pb2.TxnRequest()
    for key in (b"once", b"once/b"):
        txn.success.add().request_put.key = key
    client.txn(txn)
    response = watch.next()
    assert response.watch_id == 0
    assert [event.kv.key for event in response.events] == [b"once", b"once/b"]


def test_catching_up_never_splits_a_revision(client: Client, watch: WatchStream) -> None:
    start = client.revision + 1
    for _ in range(12):
        txn = rpc_pb2.TxnRequest()
        for number in range(120):
            txn.success.add().request_put.key = b"s/%03d" % number
        client.txn(txn)
    watch.create(key=b"s/", range_end=b"s0", start_revision=start)
    seen: list[int] = []
    while len(seen) < 12 * 120:
        revisions = [event.kv.mod_revision for event in watch.next().events]
        assert all(revisions.count(one) == 120 for one in set(revisions))
        seen += revisions
    assert seen == sorted(seen)


def test_a_stream_refuses_an_empty_range_and_a_duplicate_id(watch: WatchStream) -> None:
    refused = watch.create(key=b"b", range_end=b"a")
    assert (refused.watch_id, refused.created, refused.canceled) == (-1, True, True)
    assert refused.cancel_reason == "mvcc: watcher range is empty"
    assert watch.create(key=b"a", watch_id=7).watch_id == 7
    refused = watch.create(key=b"a", watch_id=7)
    assert refused.watch_id == -1
    assert refused.cancel_reason == "mvcc: duplicate watch ID provided on the WatchStream"
    assert watch.create(key=b"a").watch_id == 0


def test_a_cancelled_watch_says_so_and_an_unknown_id_nothing(
    client: Client, watch: WatchStream
) -> None:
    watch.create(key=b"c")
    for watch_id in (5, 0):
        cancel = rpc_pb2.WatchCancelRequest(watch_id=watch_id)
        watch.send(rpc_pb2.WatchRequest(cancel_request=cancel))
    assert watch.next().canceled
    client.put(b"c", b"1")
    assert watch.nothing_for(0.2)


def test_filters_leave_events_out(client: Client, watch: WatchStream) -> None:
    watch.create(key=b"f", filters=[rpc_pb2.WatchCreateRequest.NOPUT])
    client.put(b"f", b"1")
    client.delete(b"f")
    assert [event.type for event in watch.events(1)] == [DELETE]


def test_a_watch_from_before_a_compaction_is_cancelled_with_its_revision(
    client: Client, watch: WatchStream
) -> None:
    for _ in range(3):
        client.put(b"old", b"1")
    revision = client.revision
    client.compact(revision)
    created = watch.create(key=b"old", start_revision=revision - 2)
    assert created.created
    assert not created.canceled
    cancelled = watch.next()
    assert cancelled.canceled
    assert cancelled.compact_revision == revision
    assert cancelled.header.revision == 0
    assert cancelled.cancel_reason == ""


def test_a_deletion_at_the_compact_revision_is_still_seen_as_in_etcd_18089_and_19179(
    client: Client, watch: WatchStream
) -> None:
    client.put(b"tomb", b"1")
    revision = client.delete(b"tomb").header.revision
    client.compact(revision, physical=True)
    watch.create(key=b"tomb", start_revision=revision)
    assert [event.type for event in watch.events(1)] == [DELETE]


def test_progress_is_never_ahead_of_events_as_in_etcd_15220(
    client: Client, watch: WatchStream
) -> None:
    start = client.revision + 1
    count = 3000
    for _ in range(count // 100):
        futures = [_put_later(client, b"p/%d" % number) for number in range(100)]
        for future in futures:
            future.result()  # type: ignore[attr-defined]
    watch.create(key=b"p/", range_end=b"p0", start_revision=start)
    watch.send(progress())
    seen = 0
    while True:
        response = watch.next()
        if response.watch_id == -1:
            break
        seen += len(response.events)
    assert seen == count
    assert response.header.revision == start + count - 1


def _put_later(client: Client, key: bytes) -> object:
    method = client.channel.unary_unary(
        "/etcdserverpb.KV/Put",
        request_serializer=rpc_pb2.PutRequest.SerializeToString,
        response_deserializer=rpc_pb2.PutResponse.FromString,
    )
    return method.future(rpc_pb2.PutRequest(key=key, value=b"x" * 100))


def test_a_watch_from_the_future_waits_and_gives_no_bookmark_as_in_etcd_20221(
    client: Client, watch: WatchStream
) -> None:
    revision = client.revision
    watch.create(key=b"future", start_revision=revision + 3)
    watch.send(progress())
    client.put(b"future", b"1")
    client.put(b"future", b"2")
    assert watch.nothing_for(0.2)
    client.put(b"future", b"3")
    assert [event.kv.value for event in watch.events(1)] == [b"3"]


def test_a_reader_that_stands_still_gets_everything_later_as_in_etcd_17529(
    ours: Ours, client: Client
) -> None:
    slow = ours.client()
    call = slow.channel.stream_stream(
        "/etcdserverpb.Watch/Watch",
        request_serializer=rpc_pb2.WatchRequest.SerializeToString,
        response_deserializer=rpc_pb2.WatchResponse.FromString,
    )
    stop: list[bool] = []

    def requests() -> Iterator[rpc_pb2.WatchRequest]:
        create = rpc_pb2.WatchCreateRequest(key=b"slow")
        yield rpc_pb2.WatchRequest(create_request=create)
        while not stop:
            time.sleep(0.05)

    responses = call(requests())
    assert next(responses).created
    start = client.revision + 1
    count = 60
    for number in range(count):
        # Far more than windows and buffers hold: the watch falls behind and is caught up.
        client.put(b"slow", b"%06d" % number + bytes(500_000))
    began = time.monotonic()
    client.put(b"other", b"1")
    assert time.monotonic() - began < 2
    seen: list[int] = []
    while len(seen) < count:
        seen += [event.kv.mod_revision for event in next(responses).events]
    assert seen == list(range(start, start + count))
    stop.append(True)
    responses.cancel()
    slow.close()


def test_large_events_are_fragmented_for_a_watch_that_asked(
    client: Client, watch: WatchStream
) -> None:
    watch.create(key=b"frag/", range_end=b"frag0", fragment=True)
    start = client.revision + 1
    for number in range(4):
        client.put(b"frag/%d" % number, bytes(1_000_000))
    watch.events(4)
    client.delete(b"frag/", b"frag0")
    watch.next()
    again = watch.create(key=b"frag/", range_end=b"frag0", fragment=True, start_revision=start)
    assert again.created
    assert len(watch.events(8)) == 8


def test_a_negative_start_is_refused(watch: WatchStream) -> None:
    refused = watch.create(key=b"a", start_revision=-1)
    assert refused.created
    assert refused.canceled
    assert refused.cancel_reason == "etcdserver: mvcc: required revision has been compacted"
