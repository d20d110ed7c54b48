"""The flags of ``c101-core kv``: what they mean, and that a bad one is a usage error."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from c101.core.errors import ConfigError
from c101.core.kvserver.options import Retention, parse_duration, parse_retention
from c101.core.proto import rpc_pb2
from tests.kvserver.processes import Ours, WatchStream

LOG_ENTRY_BYTES = 18


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("100ms", 0.1), ("2h0.5s", 7200.5)],
)
def test_a_duration_is_written_as_go_writes_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "5", "m", "5 m", "5m!", "-5m", "5d", "1h 5m", "٣m"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("mode", "text", "retention"),
    [
        ("periodic", "0", None),
        ("periodic", "12", Retention(seconds=12 * 3600)),
        ("periodic", "90m", Retention(seconds=5400)),
        ("periodic", "0s", None),
        ("revision", "0", None),
        ("revision", "1000", Retention(revisions=1000)),
    ],
)
def test_a_retention_is_a_time_or_a_number_by_its_mode(
    mode: str, text: str, retention: Retention | None
) -> None:
    assert parse_retention(mode, text) == retention


def test_revisions_are_not_counted_in_minutes() -> None:
    # etcd takes 5m for three hundred thousand million revisions.
    with pytest.raises(ConfigError, match="not a number of revisions"):
        parse_retention("revision", "5m")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--max-request-bytes", "0"),
        ("--max-request-bytes", "1.5MiB"),
        ("--max-request-bytes", "99999999999"),
        ("--max-txn-ops", "-1"),
        ("--max-concurrent-streams", "0"),
        ("--quota-backend-bytes", "2GB"),
        ("--auto-compaction-mode", "hourly"),
        ("--auto-compaction-retention", "-1"),
        ("--auto-compaction-retention", "soon"),
        ("--auto-compaction-retention", "1d"),
        ("--watch-progress-notify-interval", "10"),
        ("--watch-progress-notify-interval", "99ms"),
    ],
)
def test_a_bad_value_is_a_usage_error_that_names_the_flag(
    tmp_path: Path, flag: str, value: str
) -> None:
    ours = Ours(tmp_path)
    done = subprocess.run(
        [*ours.command(), flag, value], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert flag in done.stderr
    assert not (tmp_path / "kv").exists()


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Ours]:
    ours = Ours(
        tmp_path,
        flags=(
            "--max-request-bytes=2000",
            "--max-txn-ops=3",
            "--watch-progress-notify-interval=100ms",
        ),
    )
    ours.start()
    yield ours
    ours.stop()


@pytest.mark.integration
def test_limits_are_those_of_the_flags(limited: Ours) -> None:
    client = limited.client()
    largest = rpc_pb2.PutRequest(key=b"k", value=b"x" * (2000 - LOG_ENTRY_BYTES - 6))
    assert largest.ByteSize() == 2000 - LOG_ENTRY_BYTES
    client.call("KV/Put", largest, rpc_pb2.PutResponse)
    largest.value += b"x"
    with pytest.raises(grpc.RpcError, match="etcdserver: request is too large"):
        client.call("KV/Put", largest, rpc_pb2.PutResponse)
    with pytest.raises(grpc.RpcError, match=r"received message larger than max \(\d+ vs. 526288\)"):
        client.put(b"k", b"x" * (2000 + 512 * 1024))
    txn = rpc_pb2.TxnRequest()
    for number in range(3):
        txn.success.add().request_put.key = b"many/%d" % number
    assert len(client.txn(txn).responses) == 3
    txn.failure.extend(txn.success)
    txn.failure.add().request_range.key = b"x"
    with pytest.raises(grpc.RpcError, match="too many operations"):
        client.txn(txn)
    client.close()


@pytest.mark.integration
def test_a_larger_limit_takes_larger_values_and_gives_them_back(tmp_path: Path) -> None:
    ours = Ours(tmp_path, flags=(f"--max-request-bytes={16 << 20}",))
    ours.start()
    client = ours.client()
    value = bytes(range(256)) * (15 << 12)
    watch = WatchStream(client)
    watch.create(key=b"large")
    client.put(b"large", value)
    assert client.get(b"large").kvs[0].value == value
    watch.close()
    with pytest.raises(grpc.RpcError, match="request is too large"):
        client.put(b"large", bytes(16 << 20))
    client.close()
    ours.stop()


@pytest.mark.integration
def test_a_silent_watch_hears_the_revision_every_interval(limited: Ours) -> None:
    client = limited.client()
    watch = WatchStream(client)
    watch.create(key=b"quiet", progress_notify=True)
    client.put(b"other")
    revision = client.revision
    while (heard := watch.next()).header.revision < revision:
        assert not heard.events
    assert not heard.events
    assert heard.header.revision == revision
    watch.close()
    client.close()


@pytest.mark.integration
def test_streams_of_one_connection_are_as_many_as_the_flag_says(tmp_path: Path) -> None:
    ours = Ours(tmp_path, flags=("--max-concurrent-streams=1",))
    ours.start()
    client = ours.client()
    watch = WatchStream(client)
    watch.create(key=b"a")
    # The only stream is taken: a foreign client waits for it, until its deadline.
    request = rpc_pb2.RangeRequest(key=b"a")
    method = client.channel.unary_unary(
        "/etcdserverpb.KV/Range",
        request_serializer=rpc_pb2.RangeRequest.SerializeToString,
        response_deserializer=rpc_pb2.RangeResponse.FromString,
    )
    with pytest.raises(grpc.RpcError) as error:
        method(request, timeout=0.5)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    watch.close()
    assert client.get(b"a").count == 0
    client.close()
    ours.stop()


def test_the_relay_of_every_ssh_connection_loads_no_server() -> None:
    check = (
        "import sys, c101.core.daemon;"
        "sys.exit(bool({'google.protobuf', 'asyncio', 'c101.core.kv.store'} & {*sys.modules}))"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=20)
