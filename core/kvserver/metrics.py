"""``/metrics``: what the server has done, in Prometheus' text format and under etcd's names.

Nothing is counted for its sake: plain integers that the parts keep are gathered when somebody asks.
A name of etcd's is used where its meaning is the same; what only raft or bbolt has is left out.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate

from google.protobuf import descriptor_pool
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from c101.core.kv.durations import BOUNDS_SECONDS, Durations
from c101.core.kv.snapshot.etcd_buckets import CLUSTER_VERSION
from c101.core.kvserver.context import ETCD_VERSION, Context
from c101.core.kvserver.watch import WatchService
from c101.core.rpc.server import Server, ServerStatistics
from c101.core.rpc.status import Code

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_WATCH = "/etcdserverpb.Watch/Watch"
_RANGE = "/etcdserverpb.KV/Range"
_TXN = "/etcdserverpb.KV/Txn"

#: The names of the codes as grpc-go spells them.
_CODE_NAMES: Mapping[Code, str] = {
    code: "OK" if code is Code.OK else code.name.title().replace("_", "") for code in Code
} | {Code.CANCELLED: "Canceled"}


class Metrics:
    """The metrics of one server."""

    def __init__(self, context: Context, server: Server, watch: WatchService) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_KvCollector(context, server, watch))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """Return everything, as it is at this moment."""
        return generate_latest(self._registry)


class _KvCollector(Collector):
    def __init__(self, context: Context, server: Server, watch: WatchService) -> None:
        self._context = context
        self._server = server
        self._watch = watch

    def collect(self) -> Iterator[Metric]:
        """Gather all there is (``Collector``)."""
        statistics = self._server.statistics()
        yield from self._member()
        yield from self._store(statistics)
        yield from self._leases()
        yield from _disk(self._context.store.commits)
        yield from _network(statistics)
        yield from _calls(statistics)

    def _member(self) -> Iterator[Metric]:
        """What is known before the first request; a member that is alone leads itself."""
        member_id = f"{self._context.store.storage.member_id:x}"
        yield _gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is yes.", 1)
        yield _gauge("etcd_server_is_leader", "Whether or not this member is the leader.", 1)
        yield _gauge("etcd_server_is_learner", "Whether or not this member is a learner.", 0)
        seen = "How many changes of the leader this member saw."
        yield _counter("etcd_server_leader_changes_seen_total", seen, 1)
        for name, label, value, text in (
            ("etcd_server_version", "server_version", ETCD_VERSION, "The version that is served."),
            ("etcd_cluster_version", "cluster_version", CLUSTER_VERSION[:-2], "The cluster's."),
            ("etcd_server_id", "server_id", member_id, "The id of this member, hexadecimal."),
        ):
            family = GaugeMetricFamily(name, f"{text} Always 1.", labels=[label])
            family.add_metric([value], 1)
            yield family

    def _store(self, statistics: ServerStatistics) -> Iterator[Metric]:
        store = self._context.store
        size, in_use = store.storage.size_bytes()
        total = "Bytes of the database on disk."
        yield _gauge("etcd_mvcc_db_total_size_in_bytes", total, size)
        yield _gauge("etcd_debugging_mvcc_db_total_size_in_bytes", total, size)
        text = "Bytes of the database that hold something."
        yield _gauge("etcd_mvcc_db_total_size_in_use_in_bytes", text, in_use)
        text = "The current revision."
        yield _gauge("etcd_debugging_mvcc_current_revision", text, store.revision)
        text = "The revision of the last compaction; -1 for none."
        yield _gauge("etcd_debugging_mvcc_compact_revision", text, store.compact_revision)
        yield _gauge("etcd_debugging_mvcc_keys_total", "Keys that exist.", len(store.index.states))
        txns = sum(statistics.ended.get(_TXN, ()))
        ranges = sum(statistics.ended.get(_RANGE, ())) + store.txn_ranges
        for prefix in ("etcd_mvcc", "etcd_debugging_mvcc"):
            yield _counter(f"{prefix}_range_total", "Ranges, those in transactions too.", ranges)
            yield _counter(f"{prefix}_put_total", "Puts, those in transactions too.", store.puts)
            yield _counter(f"{prefix}_delete_total", "Keys deleted.", store.deletes)
            yield _counter(f"{prefix}_txn_total", "Transactions.", txns)
        streams = statistics.running.get(_WATCH, 0)
        yield _gauge("etcd_debugging_mvcc_watch_stream_total", "Streams of watches.", streams)
        watch = self._watch
        yield _gauge("etcd_debugging_mvcc_watcher_total", "Watches.", watch.watch_count)
        text = "Watches that are not up to date."
        yield _gauge("etcd_debugging_mvcc_slow_watcher_total", text, watch.behind_count)

    def _leases(self) -> Iterator[Metric]:
        lessor = self._context.store.lessor
        yield _counter("etcd_debugging_lease_granted_total", "Leases granted.", lessor.granted)
        text = "Leases revoked, or expired."
        yield _counter("etcd_debugging_lease_revoked_total", text, lessor.revoked)
        yield _counter("etcd_debugging_lease_renewed_total", "Leases renewed.", lessor.renewed)
        text = "Leases that expired."
        yield _counter("etcd_debugging_server_lease_expired_total", text, lessor.expired)


def _disk(commits: Durations) -> Iterator[Metric]:
    # A commit here is one write of the log and its sync: what etcd does in two places at two times.
    counts = list(accumulate(commits.counts))
    bounds = [*map(str, BOUNDS_SECONDS), "+Inf"]
    buckets = list(zip(bounds, counts, strict=True))
    for name in (
        "etcd_disk_wal_fsync_duration_seconds",
        "etcd_disk_backend_commit_duration_seconds",
    ):
        text = "How long commits take, their sync to disk included."
        yield HistogramMetricFamily(name, text, buckets=buckets, sum_value=commits.seconds)


def _network(statistics: ServerStatistics) -> Iterator[Metric]:
    text = "Bytes received from clients of gRPC."
    name = "etcd_network_client_grpc_received_bytes_total"
    yield _counter(name, text, statistics.received_bytes)
    text = "Bytes sent to clients of gRPC."
    yield _counter("etcd_network_client_grpc_sent_bytes_total", text, statistics.sent_bytes)


def _calls(statistics: ServerStatistics) -> Iterator[Metric]:
    labels = ["grpc_type", "grpc_service", "grpc_method"]
    started = CounterMetricFamily("grpc_server_started_total", "Calls begun.", labels=labels)
    handled = CounterMetricFamily(
        "grpc_server_handled_total", "Calls ended, by code.", labels=[*labels, "grpc_code"]
    )
    for path, counts in statistics.ended.items():
        _, service, method = path.split("/")
        values = [_kind(f"{service}.{method}"), service, method]
        started.add_metric(values, sum(counts) + statistics.running.get(path, 0))
        for code, count in zip(Code, counts, strict=True):
            # What never happened is left out, but for OK: a rate needs a zero to begin with.
            if count or code is Code.OK:
                handled.add_metric([*values, _CODE_NAMES[code]], count)
    yield started
    yield handled


def _kind(full_name: str) -> str:
    method = descriptor_pool.Default().FindMethodByName(full_name)
    match method.client_streaming, method.server_streaming:
        case True, True:
            return "bidi_stream"
        case True, False:
            return "client_stream"
        case False, True:
            return "server_stream"
        case _:
            return "unary"


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
