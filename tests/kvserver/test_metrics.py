"""``/metrics``: etcd's names and kinds, and numbers that are right."""

import json
import time
from base64 import b64encode

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.kvserver.http_client import ask, lines
from tests.kvserver.processes import HAVE_ETCD, Client, Etcd, Ours, WatchStream

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(port: int) -> tuple[Samples, dict[str, str]]:
    """Return the samples by name and labels, and the kinds of the families by name."""
    answer = ask(port, "/metrics", None, method="GET")
    assert answer.status == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    samples: Samples = {}
    kinds: dict[str, str] = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        kinds[family.name] = family.type
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in samples
            samples[key] = sample.value
    return samples, kinds


def calls(samples: Samples, method: str, code: str | None = None) -> float:
    name = "grpc_server_started_total" if code is None else "grpc_server_handled_total"
    return sum(
        value
        for (found, labels), value in samples.items()
        if found == name
        and ("grpc_method", method) in labels
        and (code is None or ("grpc_code", code) in labels)
    )


def plain(samples: Samples, name: str) -> float:
    return samples[name, ()]


@pytest.mark.integration
@pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here")
def test_every_name_is_etcds_with_its_kind_and_its_labels(ours: Ours, etcd: Etcd) -> None:
    found, kinds = scrape(ours.port)
    wanted, their_kinds = scrape(etcd.port)
    assert {name: their_kinds.get(name) for name in kinds} == kinds
    for name, labels in found:
        theirs = [
            {label for label, _ in their_labels}
            for their_name, their_labels in wanted
            if their_name == name
        ]
        assert {label for label, _ in labels} in theirs, name
    bounds = {labels for name, labels in wanted if name.startswith("etcd_disk_") and labels}
    for name, labels in found:
        if name.startswith("etcd_disk_") and labels:
            assert labels in bounds
    codes = {dict(labels)["grpc_code"] for name, labels in wanted if "grpc_code" in dict(labels)}
    assert {dict(ls)["grpc_code"] for _, ls in found if "grpc_code" in dict(ls)} <= codes


def test_calls_are_counted_by_method_and_code(ours: Ours, client: Client) -> None:
    before, _ = scrape(ours.port)
    for number in range(5):
        client.put(b"m%d" % number)
    client.get(b"m0")
    client.get(b"m", b"n")
    ask(ours.port, "/v3/kv/range", "{}")
    ask(ours.port, "/v3/lease/revoke", '{"ID":12345}')
    after, _ = scrape(ours.port)

    def grew(method: str, code: str | None = None) -> float:
        return calls(after, method, code) - calls(before, method, code)

    assert (grew("Put"), grew("Put", "OK")) == (5, 5)
    assert (grew("Range"), grew("Range", "OK"), grew("Range", "InvalidArgument")) == (3, 2, 1)
    assert (grew("LeaseRevoke"), grew("LeaseRevoke", "NotFound")) == (1, 1)
    assert grew("DeleteRange") == 0


def test_a_stream_is_begun_before_it_is_ended_and_its_end_has_a_code(
    ours: Ours, client: Client
) -> None:
    before, _ = scrape(ours.port)
    stream = WatchStream(client)
    stream.create(key=b"w")
    stream.create(key=b"x")
    during, _ = scrape(ours.port)
    assert calls(during, "Watch") - calls(before, "Watch") == 1
    watches = "etcd_debugging_mvcc_watcher_total"
    streams = "etcd_debugging_mvcc_watch_stream_total"
    assert plain(during, watches) - plain(before, watches) == 2
    assert plain(during, streams) - plain(before, streams) == 1
    assert plain(during, "etcd_debugging_mvcc_slow_watcher_total") == 0
    stream.close()
    # The server hears of it in its own time, and lets go of the watches some turns later.
    deadline = time.monotonic() + 20
    while True:
        after, _ = scrape(ours.port)
        ended = calls(after, "Watch", "Canceled") - calls(before, "Watch", "Canceled")
        if ended and plain(after, watches) == plain(before, watches):
            break
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert calls(after, "Watch") - calls(before, "Watch") == 1
    assert plain(after, streams) == plain(before, streams)


def test_what_the_store_did_is_counted(ours: Ours, client: Client) -> None:
    before, _ = scrape(ours.port)
    keys = [b64encode(b"s%d" % number).decode() for number in range(10)]
    puts = [{"request_put": {"key": key}} for key in keys]
    ranges = [{"request_range": {"key": keys[0]}}] * 2
    ask(ours.port, "/v3/kv/txn", json.dumps({"success": puts + ranges}))
    client.delete(b"s", b"t")
    lease = client.grant(100).ID
    list(lines(ours.port, "/v3/lease/keepalive", f'{{"ID":"{lease}"}}', 1))
    client.revoke(lease)
    after, _ = scrape(ours.port)

    def grew(name: str) -> float:
        return plain(after, name) - plain(before, name)

    assert grew("etcd_mvcc_put_total") == grew("etcd_debugging_mvcc_put_total") == 10
    assert grew("etcd_mvcc_delete_total") == 10
    assert grew("etcd_mvcc_txn_total") == 1
    assert grew("etcd_mvcc_range_total") == 2
    assert grew("etcd_debugging_mvcc_keys_total") == 0
    assert grew("etcd_debugging_lease_granted_total") == 1
    assert grew("etcd_debugging_lease_renewed_total") == 1
    assert grew("etcd_debugging_lease_revoked_total") == 1
    assert grew("etcd_debugging_mvcc_current_revision") == 2
    assert plain(after, "etcd_debugging_mvcc_current_revision") == client.revision
    # Four commits at least: the transaction, the deletion, the grant, the revocation.
    commits = grew("etcd_disk_wal_fsync_duration_seconds_count")
    assert 4 <= commits <= 6
    assert grew("etcd_disk_backend_commit_duration_seconds_count") == commits
    assert grew("etcd_disk_wal_fsync_duration_seconds_sum") > 0


def test_bytes_of_grpc_are_counted_when_their_connections_are_gone_too(ours: Ours) -> None:
    before, _ = scrape(ours.port)
    client = ours.client()
    client.put(b"bytes", bytes(100_000))
    client.get(b"bytes")
    client.close()
    after, _ = scrape(ours.port)
    for direction in ("received", "sent"):
        name = f"etcd_network_client_grpc_{direction}_bytes_total"
        assert 100_000 <= plain(after, name) - plain(before, name) < 110_000


def test_the_process_is_described(ours: Ours) -> None:
    samples, _ = scrape(ours.port)
    assert plain(samples, "process_resident_memory_bytes") > 1_000_000
    assert plain(samples, "process_open_fds") > 3
    assert plain(samples, "process_cpu_seconds_total") > 0
    assert samples["etcd_server_version", (("server_version", "3.4.23"),)] == 1
    assert plain(samples, "etcd_server_has_leader") == 1


def test_metrics_are_asked_for_by_get_or_head(ours: Ours) -> None:
    assert ask(ours.port, "/metrics", None, method="HEAD").status == 200
    assert ask(ours.port, "/metrics", None, method="DELETE").status == 405
