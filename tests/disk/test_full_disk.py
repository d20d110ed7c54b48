"""No room, or a disk that fails: writes are refused with the reason, and nothing is lost."""

import errno
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from c101.core.proto import rpc_pb2
from tests.disk.shim import HAVE_GCC, UNLIMITED, Shim
from tests.kvserver.processes import Client, WatchStream
from tests.processes import OwnKVProcess

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.skipif(not HAVE_GCC, reason="no gcc here"),
]

NO_SPACE = "etcdserver: mvcc: database space exceeded"
VALUE = bytes(500_000)
#: More than the log has room for: after so many writes one was refused.
WRITES_MAX = 100
PAGE_IN_LOG_BYTES = 4_096 + 24


@pytest.fixture
def disk(library: Path, tmp_path: Path) -> Shim:
    """A disk with a file system of its own for the server's data."""
    root = tmp_path / "disk"
    root.mkdir()
    return Shim(library, root, tmp_path / "journal")


@pytest.fixture
def own(disk: Shim, tmp_path: Path) -> Iterator[OwnKVProcess]:
    server = OwnKVProcess(tmp_path / "server")
    server.data = disk.root / "data"
    server.environment = disk.environment
    yield server
    server.kill()


class Writes:
    """Puts of large values, and what was acknowledged of them."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.acknowledged: dict[bytes, int] = {}
        self._numbers = iter(range(1 << 30))

    def one(self, size: int = len(VALUE)) -> None:
        key = b"w/%d" % next(self._numbers)
        self.acknowledged[key] = self.client.put(key, VALUE[:size]).header.revision

    def until_refused(self) -> grpc.RpcError:
        """Write until there is no room; return how that was said."""
        for _ in range(WRITES_MAX):
            try:
                self.one()
            except grpc.RpcError as exc:
                return exc
        raise AssertionError("every write found room")

    def check(self, client: Client) -> None:
        """Check that all that was acknowledged is there, and nothing that was refused."""
        found = client.get(b"w/", b"w0", keys_only=True)
        assert {kv.key: kv.mod_revision for kv in found.kvs} == self.acknowledged


def refused(call: grpc.RpcError) -> tuple[str, str]:
    return call.code().name, call.details()


def test_a_full_disk_refuses_writes_serves_reads_and_is_forgotten_when_there_is_room(
    own: OwnKVProcess, disk: Shim
) -> None:
    own.start()
    client = Client(own.port)
    writes = Writes(client)
    for _ in range(3):
        writes.one()
    watch = WatchStream(client)
    watch.create(key=b"w/", range_end=b"w0")
    disk.bytes_free = 0
    assert refused(writes.until_refused()) == ("RESOURCE_EXHAUSTED", NO_SPACE)
    for _ in range(3):
        with pytest.raises(grpc.RpcError, match=NO_SPACE):
            client.put(b"w/x", VALUE)
    with pytest.raises(grpc.RpcError, match=NO_SPACE):
        client.txn(large_txn())
    writes.check(client)
    assert client.get(b"w/0", revision=client.revision - 1).kvs[0].value == VALUE
    assert client.get(b"w/x").count == 0
    seen = [event.kv.mod_revision for event in watch.events(len(writes.acknowledged) - 3)]
    assert seen == list(writes.acknowledged.values())[3:]
    disk.bytes_free = UNLIMITED
    writes.one()
    assert watch.events(1)[0].kv.mod_revision == client.revision
    watch.close()
    own.kill()
    own.start()
    writes.check(Client(own.port))


def large_txn() -> rpc_pb2.TxnRequest:
    txn = rpc_pb2.TxnRequest()
    for number in range(2):
        put = txn.success.add().request_put
        put.key, put.value = b"w/t%d" % number, VALUE
    return txn


def test_a_start_on_a_full_disk_serves_reads_and_later_writes(
    own: OwnKVProcess, disk: Shim
) -> None:
    own.start()
    writes = Writes(Client(own.port))
    disk.bytes_free = 0
    writes.until_refused()
    for _ in range(2):
        own.kill()
        own.start()
        writes.client = Client(own.port)
        writes.check(writes.client)
        with pytest.raises(grpc.RpcError, match=NO_SPACE):
            writes.client.put(b"w/x", VALUE)
    disk.bytes_free = UNLIMITED
    writes.one()
    own.stop()
    own.start()
    writes.check(Client(own.port))


def test_a_first_start_without_room_is_refused_and_possible_later(
    own: OwnKVProcess, disk: Shim
) -> None:
    refusals = 0
    for room in range(0, 1 << 20, 8_192):
        disk.bytes_free = room
        try:
            own.start()
            break
        except RuntimeError:
            refusals += 1
            last = own.log.read_text().splitlines()[-1]
            assert last.startswith("c101-core:"), last
            assert str(own.data) in last
    assert refusals > 1
    disk.bytes_free = UNLIMITED
    writes = Writes(Client(own.port))
    writes.one()
    own.kill()
    own.start()
    writes.check(Client(own.port))


def test_compaction_without_room_is_done_when_there_is_some(own: OwnKVProcess, disk: Shim) -> None:
    own.start()
    client = Client(own.port)
    for number in range(3_000):
        client.put(b"k%d" % (number % 10), b"x")
    revision = client.revision
    writes = Writes(client)
    disk.bytes_free = 0
    writes.until_refused()
    fill(client)
    with pytest.raises(grpc.RpcError, match=NO_SPACE):
        client.compact(revision, physical=True)
    # What was refused did not happen.
    assert client.get(b"k1", revision=revision - 1).count == 1
    disk.bytes_free = UNLIMITED
    client.compact(revision, physical=True)
    assert client.get(b"k1").count == 1
    own.stop()
    assert rows(own, revision) == 10


def test_compaction_that_runs_out_of_room_halfway_goes_on_when_there_is_some(
    own: OwnKVProcess, disk: Shim
) -> None:
    own.start()
    client = Client(own.port)
    for number in range(3_000):
        client.put(b"k%d" % (number % 10), b"x" * 200)
    revision = client.revision
    writes = Writes(client)
    disk.bytes_free = 0
    writes.until_refused()
    fill(client)
    disk.bytes_free = 8 * PAGE_IN_LOG_BYTES
    client.compact(revision)
    wait_for_log(own, "compaction interrupted")
    assert client.get(b"k1", revision=revision).count == 1
    disk.bytes_free = UNLIMITED
    wait_for_log(own, "compaction finished")
    own.stop()
    assert rows(own, revision) == 10


def test_defragmentation_without_room_is_refused_and_harms_nothing(
    own: OwnKVProcess, disk: Shim
) -> None:
    own.start()
    client = Client(own.port)
    writes = Writes(client)
    for _ in range(5):
        writes.one()
    disk.bytes_free = 0
    request = rpc_pb2.DefragmentRequest()
    with pytest.raises(grpc.RpcError, match=NO_SPACE) as error:
        client.call("Maintenance/Defragment", request, rpc_pb2.DefragmentResponse)
    assert error.value.code().name == "RESOURCE_EXHAUSTED"
    writes.one(100)
    writes.check(client)
    disk.bytes_free = UNLIMITED
    client.call("Maintenance/Defragment", request, rpc_pb2.DefragmentResponse)
    writes.one()
    own.kill()
    own.start()
    writes.check(Client(own.port))


def test_a_disk_that_fails_to_sync_ends_all_writing_and_loses_nothing_acknowledged(
    own: OwnKVProcess, disk: Shim
) -> None:
    own.start()
    client = Client(own.port)
    writes = Writes(client)
    for _ in range(3):
        writes.one(1_000)
    disk.fail_syncs(errno.EIO)
    with pytest.raises(grpc.RpcError, match="storage failed") as error:
        writes.one(1_000)
    assert error.value.code().name == "UNAVAILABLE"
    # Whether the disk has it nobody knows, also when it works again.
    disk.fail_syncs(0)
    with pytest.raises(grpc.RpcError, match="read-only"):
        writes.one(1_000)
    writes.check(client)
    own.kill()
    own.start()
    client = Client(own.port)
    found = client.get(b"w/", b"w0", keys_only=True)
    # The one that failed may be there, or not.
    assert len(found.kvs) - len(writes.acknowledged) in (0, 1)
    assert {kv.key for kv in found.kvs} >= set(writes.acknowledged)
    assert client.put(b"x").header.revision == client.revision


def wait_for_log(own: OwnKVProcess, text: str) -> None:
    deadline = time.monotonic() + 30
    while text not in own.log.read_text():
        assert time.monotonic() < deadline, own.log.read_text()
        time.sleep(0.02)


def fill(client: Client) -> None:
    """Take the last of the room."""
    size = 100_000
    while size >= 100:
        try:
            client.put(b"fill", bytes(size))
        except grpc.RpcError:
            size //= 2


def rows(own: OwnKVProcess, revision: int) -> int:
    """Return how many changes up to *revision* the log has; the server is down."""
    connection = sqlite3.connect(own.data / "kv.db")
    try:
        found = connection.execute("select count(*) from log where id >> 22 <= ?", (revision,))
        return int(found.fetchone()[0])
    finally:
        connection.close()


@pytest.fixture
def small_file_system(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 40 MB, where we may mount one."""
    directory = tmp_path / "small"
    directory.mkdir()
    options = ["-t", "tmpfs", "-o", "size=40m", "tmpfs", str(directory)]
    done = subprocess.run(["mount", *options], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("mount") is None, reason="needs a mount")
def test_a_real_file_system_that_is_full_is_no_other_case(
    small_file_system: Path, tmp_path: Path
) -> None:
    own = OwnKVProcess(tmp_path / "server")
    own.data = small_file_system / "data"
    own.start()
    try:
        client = Client(own.port)
        writes = Writes(client)
        ballast = small_file_system / "ballast"
        subprocess.run(["dd", "if=/dev/zero", f"of={ballast}"], capture_output=True, check=False)
        assert refused(writes.until_refused()) == ("RESOURCE_EXHAUSTED", NO_SPACE)
        writes.check(client)
        own.kill()
        own.start()
        writes.client = client = Client(own.port)
        writes.check(client)
        ballast.unlink()
        writes.one()
        own.kill()
        own.start()
        writes.check(Client(own.port))
    finally:
        own.kill()
