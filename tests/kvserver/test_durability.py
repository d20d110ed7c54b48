"""Nothing acknowledged is lost, and nothing is acknowledged before it is on the disk."""

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from c101.core.proto import rpc_pb2
from tests.kvserver.processes import HAVE_STRACE, Client, Ours, WatchStream

pytestmark = pytest.mark.integration

KILLS = 5
WRITERS = 4


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Ours]:
    process = Ours(tmp_path)
    process.start()
    yield process
    process.stop()


class Writer(threading.Thread):
    """Puts numbers under a key of its own until the server is gone; knows what was acknowledged."""

    def __init__(self, ours: Ours, name: bytes, first: int) -> None:
        super().__init__()
        self.name_of_key = name
        self.acknowledged = first
        self.attempted = first
        self._client = ours.client()

    def run(self) -> None:
        try:
            while True:
                self.attempted += 1
                self._client.put(self.name_of_key, b"%d" % self.attempted)
                self.acknowledged = self.attempted
        except grpc.RpcError:
            return
        finally:
            self._client.close()


def test_kill_9_under_load_loses_no_acknowledged_write_and_watches_resume(own: Ours) -> None:
    last = dict.fromkeys((b"w/%d" % number for number in range(WRITERS)), 0)
    revision = own.client().revision
    seen: list[tuple[int, bytes]] = []
    for _ in range(KILLS):
        watching = own.client()
        watch = WatchStream(watching)
        start = seen[-1][0] + 1 if seen else 2
        watch.create(key=b"w/", range_end=b"w0", start_revision=start)
        writers = [Writer(own, key, first) for key, first in last.items()]
        for writer in writers:
            writer.start()
        threading.Event().wait(0.6)
        own.kill(signal.SIGKILL)
        for writer in writers:
            writer.join()
        watch.close()
        watching.close()
        while not watch.responses.empty():
            events = watch.responses.get().events
            seen.extend((event.kv.mod_revision, event.kv.value) for event in events)
        own.start()
        client = own.client()
        for writer in writers:
            kv = client.get(writer.name_of_key).kvs[0]
            assert writer.acknowledged <= int(kv.value) <= writer.attempted
            assert kv.version == int(kv.value)
            last[writer.name_of_key] = int(kv.value)
        assert client.revision >= revision
        assert client.revision == 1 + sum(last.values())
        revision = client.revision
        client.close()
    client = own.client()
    rest = WatchStream(client)
    rest.create(key=b"w/", range_end=b"w0", start_revision=seen[-1][0] + 1)
    missing = revision - seen[-1][0]
    seen += [(event.kv.mod_revision, event.kv.value) for event in rest.events(missing)]
    assert [found for found, _ in seen] == list(range(2, revision + 1))
    rest.close()
    client.close()


@pytest.mark.skipif(not HAVE_STRACE, reason="no strace here")
def test_a_sync_of_the_log_precedes_every_acknowledgement_unlike_in_etcd_14370(
    tmp_path: Path,
) -> None:
    trace = tmp_path / "trace"
    # Paths of descriptors (-y), in the order the kernel saw the calls, over all threads.
    prefix = (
        "strace", "-f", "-y", "-o", str(trace), "--signal=none",
        "-e", "trace=fdatasync,fsync,pwrite64,write,sendto,sendmsg,writev",
    )  # fmt: skip
    own = Ours(tmp_path, prefix=prefix)
    own.start()
    client = own.client()
    count = 20
    marks = []
    for number in range(count):
        value = b"value-%d-" % number + b"x" * 200
        client.put(b"key", value)
        marks.append(number)
    client.close()
    # strace passes the signal on by ending; the server is its child.
    subprocess.run(["pkill", "-TERM", "-P", str(own.pid)], check=True)
    assert own._process is not None
    own._process.wait(20)
    own._process = None
    assert marks == list(range(count))
    _check_order(trace.read_text(), count)


_WRITE = re.compile(r"pwrite64\(\d+<[^>]*kv\.db-wal>")
_SYNC = re.compile(r"f(data)?sync\(\d+<[^>]*kv\.db-wal>")
_SYNC_RESUMED = re.compile(r"<\.\.\. f(data)?sync resumed>")
_ANSWER = re.compile(r"(write|sendto|sendmsg|writev)\(\d+<(TCP|socket)")
#: The answer to a PING, by itself, acknowledges no write; grpcio sends one now and then.
_PONG = re.compile(r'"\\0\\0\\10\\6\\1.*, 17\)')


def _check_order(trace: str, count: int) -> None:
    """Check that between the write of a commit and the next answer on a socket a sync has ended."""
    unsynced = False
    syncing: set[str] = set()
    answers = synced = 0
    for line in trace.splitlines():
        thread = line.partition(" ")[0]
        if _WRITE.search(line):
            unsynced = True
        elif _SYNC.search(line) and "unfinished" in line:
            syncing.add(thread)
        elif _SYNC.search(line) or (thread in syncing and _SYNC_RESUMED.search(line)):
            assert line.rstrip().endswith("= 0")
            syncing.discard(thread)
            unsynced = False
            synced += 1
        elif _ANSWER.search(line) and not _PONG.search(line):
            assert not unsynced, line
            answers += 1
    assert synced >= count
    assert answers >= count


def test_a_restart_keeps_identity_data_leases_and_compaction(own: Ours) -> None:
    client = own.client()
    header = client.put(b"a", b"1").header
    client.grant(60, 77)
    request = rpc_pb2.PutRequest(key=b"leased", value=b"x", lease=77)
    client.call("KV/Put", request, rpc_pb2.PutResponse)
    client.delete(b"a")
    revision = client.revision
    client.compact(revision)
    client.close()
    own.kill(signal.SIGTERM)
    own.start()
    client = own.client()
    after = client.get(b"leased")
    assert after.header.cluster_id == header.cluster_id
    assert after.header.member_id == header.member_id
    assert after.header.revision == revision
    assert after.kvs[0].lease == 77
    assert 58 <= client.time_to_live(77).TTL <= 60
    assert list(client.time_to_live(77).keys) == [b"leased"]
    with pytest.raises(grpc.RpcError, match="compacted"):
        client.get(b"a", revision=revision - 1)
    client.revoke(77)
    assert client.get(b"leased").count == 0
    client.close()


def test_a_second_process_on_the_same_directory_is_refused_in_one_line(own: Ours) -> None:
    other = Ours(own.directory)
    done = subprocess.run(other.command(), capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "in use by another process" in done.stderr


def test_an_address_that_is_taken_is_one_clear_line(own: Ours, tmp_path: Path) -> None:
    other = Ours(tmp_path / "other")
    other.port = own.port
    done = subprocess.run(other.command(), capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert f"cannot listen on 127.0.0.1:{own.port}" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "url", ["http://0.0.0.0:2379", "https://127.0.0.1:2379", "127.0.0.1:2379", "http://127.0.0.1:x"]
)
def test_an_address_that_is_not_loopback_http_is_refused(tmp_path: Path, url: str) -> None:
    command = [sys.executable, "-m", "c101.core.daemon", "kv", "--data-dir", str(tmp_path / "kv")]
    done = subprocess.run(
        [*command, "--listen", url], capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 2
    assert url in done.stderr
    assert not (tmp_path / "kv").exists()


def test_a_damaged_database_is_named_and_not_served(own: Ours) -> None:
    client: Client = own.client()
    client.put(b"a", b"1")
    client.close()
    own.kill(signal.SIGTERM)
    database = own.directory / "kv" / "kv.db"
    database.write_bytes(b"not a database" * 1000)
    done = subprocess.run(own.command(), capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode != 0
    assert str(database) in done.stderr
    assert len(done.stderr.splitlines()) == 1
