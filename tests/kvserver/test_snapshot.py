"""Snapshots between ours and a real etcd, by their own programs, and the call that makes them."""

import asyncio
import contextlib
import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest

from c101.core.clock import SystemClock
from c101.core.kv.check import check
from c101.core.kv.snapshot.snapshot_file import status
from c101.core.kv.storage import LOG_BYTES_RESERVED, Storage
from c101.core.kv.store import Store
from c101.core.kvserver.snapshot import BLOB_BYTES, SNAPSHOTS_MAX
from c101.core.proto import auth_pb2, rpc_pb2
from tests.kvserver.histories import differences, fill
from tests.kvserver.http_client import connected
from tests.kvserver.processes import Client, Etcd, Ours, Process, etcdctl

pytestmark = pytest.mark.integration

WAIT_SECONDS = 30.0


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.02)


@contextlib.contextmanager
def running(process: Process) -> Iterator[Client]:
    process.start()
    client = process.client()
    try:
        yield client
    finally:
        client.close()
        process.stop()


def save(process: Process, file: Path) -> Path:
    done = etcdctl(process.port, "snapshot", "save", str(file))
    assert done.returncode == 0, done.stderr
    return file


def etcdctl_alone(*arguments: str) -> str:
    done = subprocess.run(
        ["etcdctl", *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "ETCDCTL_API": "3"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def restored_etcd(file: Path, directory: Path) -> Etcd:
    etcdctl_alone("snapshot", "restore", str(file), "--data-dir", str(directory / "etcd"))
    return Etcd(directory)


def restored_ours(file: Path, directory: Path) -> Ours:
    ctl = [sys.executable, "-m", "c101.tui.ctl.main"]
    done = subprocess.run(
        [*ctl, "kv", "snapshot", "restore", str(file), "--data-dir", str(directory / "kv")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Ours(directory)


@pytest.fixture(scope="module")
def of_ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    """Our KV with a bit of everything in it, and what etcdctl saved of it."""
    ours = Ours(tmp_path_factory.mktemp("ours"))
    with running(ours) as client:
        fill(client)
        yield client, save(ours, ours.directory / "saved.db")


@pytest.fixture(scope="module")
def of_etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Path]]:
    """A real etcd with a bit of everything in it, and what etcdctl saved of it."""
    etcd = Etcd(tmp_path_factory.mktemp("etcd"))
    with running(etcd) as client:
        fill(client)
        yield client, save(etcd, etcd.directory / "saved.db")


def test_etcdctl_finds_in_our_snapshot_what_we_find(of_ours: tuple[Client, Path]) -> None:
    client, file = of_ours
    found = status(file)
    assert found.revision == client.revision
    said = etcdctl_alone("snapshot", "status", str(file), "-w", "simple").split(", ")
    assert said[:3] == [f"{found.hash:x}", str(found.revision), str(found.total_keys)]


def test_we_find_in_a_snapshot_of_etcd_what_etcdctl_finds(of_etcd: tuple[Client, Path]) -> None:
    client, file = of_etcd
    found = status(file)
    assert found.revision == client.revision
    said = etcdctl_alone("snapshot", "status", str(file), "-w", "simple").split(", ")
    assert said[:3] == [f"{found.hash:x}", str(found.revision), str(found.total_keys)]


def test_a_real_etcd_goes_on_from_our_snapshot(
    of_ours: tuple[Client, Path], tmp_path: Path
) -> None:
    ours, file = of_ours
    with running(restored_etcd(file, tmp_path)) as etcd:
        assert list(differences(ours, etcd)) == []
        revision = etcd.revision
        assert etcd.put(b"/next", b"").header.revision == revision + 1


def test_our_kv_goes_on_from_a_snapshot_of_a_real_etcd(
    of_etcd: tuple[Client, Path], tmp_path: Path
) -> None:
    etcd, file = of_etcd
    ours = restored_ours(file, tmp_path)
    assert check(tmp_path / "kv").findings == []
    with running(ours) as client:
        assert list(differences(etcd, client)) == []
        revision = client.revision
        assert client.put(b"/next", b"").header.revision == revision + 1


def test_a_store_that_went_to_etcd_and_back_is_the_same(
    of_ours: tuple[Client, Path], tmp_path: Path
) -> None:
    ours, file = of_ours
    etcd = restored_etcd(file, tmp_path / "there")
    with running(etcd):
        saved = save(etcd, tmp_path / "back.db")
    with running(restored_ours(saved, tmp_path / "back")) as back:
        assert list(differences(ours, back)) == []


def test_a_database_file_of_a_stopped_etcd_is_taken_without_a_hash(tmp_path: Path) -> None:
    etcd = Etcd(tmp_path / "etcd")
    with running(etcd) as client:
        held, _ = fill(client)
        revision = client.revision
    database = tmp_path / "etcd" / "etcd" / "member" / "snap" / "db"
    ctl = [sys.executable, "-m", "c101.tui.ctl.main", "kv", "snapshot", "restore", str(database)]
    target = ["--data-dir", str(tmp_path / "ours" / "kv")]
    refused = subprocess.run([*ctl, *target], capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "no hash" in refused.stderr
    assert "--skip-hash-check" in refused.stderr
    subprocess.run([*ctl, *target, "--skip-hash-check"], check=True, capture_output=True)
    with running(Ours(tmp_path / "ours")) as ours:
        assert ours.revision == revision
        assert sorted(ours.time_to_live(held).keys) == [b"/leased/1", b"\xff\x00"]


@pytest.mark.parametrize("kind", [Ours, Etcd])
def test_the_revision_survives_a_compaction_of_the_very_last_changes(
    tmp_path: Path, kind: type[Ours] | type[Etcd]
) -> None:
    source = kind(tmp_path / "source")
    with running(source) as client:
        client.put(b"a", b"1")
        revision = client.delete(b"a").header.revision
        client.compact(revision, physical=True)
        file = save(source, tmp_path / "saved.db")
    with running(restored_ours(file, tmp_path / "ours")) as ours:
        assert ours.revision == revision
        assert ours.put(b"b", b"").header.revision == revision + 1
    back = restored_ours(file, tmp_path / "again")
    with running(back):
        again = save(back, tmp_path / "again.db")
    with running(restored_etcd(again, tmp_path / "etcd")) as etcd:
        assert etcd.revision == revision
        assert etcd.put(b"b", b"").header.revision == revision + 1


def test_a_real_etcd_has_the_users_and_roles_of_our_buckets(tmp_path: Path) -> None:
    # As etcd's auth store writes them: messages under the names, a revision under authRevision.
    role = auth_pb2.Role(
        name=b"reader",
        keyPermission=[auth_pb2.Permission(permType=auth_pb2.Permission.READ, key=b"/a")],
    )
    user = auth_pb2.User(name=b"ada", password=b"$2a$10$x", roles=["reader"])
    entries = {
        ("authUsers", b"ada"): user.SerializeToString(),
        ("authRoles", b"reader"): role.SerializeToString(),
        ("auth", b"authRevision"): (7).to_bytes(8, "big"),
        ("auth", b"authEnabled"): b"\0",
    }
    write_buckets(tmp_path / "ours" / "kv", entries)
    ours = Ours(tmp_path / "ours")
    with running(ours):
        file = save(ours, tmp_path / "saved.db")
    etcd = restored_etcd(file, tmp_path / "etcd")
    with running(etcd):
        assert etcdctl(etcd.port, "user", "list").stdout == "ada\n"
        assert "Roles: reader" in etcdctl(etcd.port, "user", "get", "ada").stdout
        assert "/a" in etcdctl(etcd.port, "role", "get", "reader").stdout
        back = save(etcd, tmp_path / "back.db")
    restored_ours(back, tmp_path / "back")
    assert read_buckets(tmp_path / "back" / "kv", entries) == entries


def write_buckets(directory: Path, entries: dict[tuple[str, bytes], bytes]) -> None:
    async def write() -> None:
        store = Store(Storage(directory), SystemClock())
        for (name, key), value in entries.items():
            store.stage_bucket(name, key, value)
        await store.durable()
        await store.close()

    asyncio.run(write())


def read_buckets(
    directory: Path, entries: dict[tuple[str, bytes], bytes]
) -> dict[tuple[str, bytes], bytes]:
    storage = Storage(directory)
    names = {name for name, _ in entries}
    found = {(n, key): value for n in names for key, value in storage.load_bucket(n).items()}
    storage.close()
    return found


# ---- the call ----


def snapshot(client: Client) -> Any:
    method = client.channel.unary_stream(
        "/etcdserverpb.Maintenance/Snapshot",
        request_serializer=rpc_pb2.SnapshotRequest.SerializeToString,
        response_deserializer=rpc_pb2.SnapshotResponse.FromString,
    )
    return method(rpc_pb2.SnapshotRequest(), timeout=60)


def test_blobs_are_32_kib_count_down_and_end_with_their_hash(
    of_ours: tuple[Client, Path],
) -> None:
    client, _ = of_ours
    responses = list(snapshot(client))
    *blobs, last = responses
    sizes = [len(one.blob) for one in blobs]
    assert set(sizes[:-1]) == {BLOB_BYTES}
    assert [one.remaining_bytes for one in blobs] == [
        sum(sizes[number:]) for number in range(1, len(sizes) + 1)
    ]
    assert last.remaining_bytes == 0
    assert last.blob == hashlib.sha256(b"".join(one.blob for one in blobs)).digest()


@pytest.fixture
def large(tmp_path: Path) -> Iterator[Ours]:
    """Our KV with more in it than sockets and windows hold."""
    ours = Ours(tmp_path)
    with running(ours) as client:
        for number in range(20):
            client.put(b"/large/%d" % number, os.urandom(1_000_000))
        yield ours


def test_a_reader_that_stops_reading_holds_back_nobody_and_may_go_on(large: Ours) -> None:
    client, other = large.client(), large.client()
    stream = snapshot(client)
    first = next(stream)
    for number in range(50):
        other.put(b"/meanwhile", b"%d" % number)
        assert other.get(b"/meanwhile").kvs[0].value == b"%d" % number
    digest, size = hashlib.sha256(first.blob), len(first.blob)
    for response in stream:
        if response.remaining_bytes or len(response.blob) != 32:
            digest.update(response.blob)
            size += len(response.blob)
        else:
            assert response.blob == digest.digest()
    assert size == first.remaining_bytes + len(first.blob)
    client.close()
    other.close()


def test_what_is_written_meanwhile_is_not_in_it(large: Ours, tmp_path: Path) -> None:
    client = large.client()
    before = client.revision
    stream = snapshot(client)
    blobs = [next(stream).blob]
    for number in range(50):
        client.put(b"/meanwhile/%d" % number, b"x")
    client.compact(client.revision, physical=True)
    blobs += [response.blob for response in stream]
    file = tmp_path / "saved.db"
    file.write_bytes(b"".join(blobs))
    assert status(file).revision == before
    client.close()


def test_the_gateway_sends_the_same_file(large: Ours, tmp_path: Path) -> None:
    file = tmp_path / "saved.db"
    with connected(large.port) as connection, file.open("wb") as out:
        connection.request("POST", "/v3/maintenance/snapshot", b"{}")
        for line in connection.getresponse():
            out.write(b64decode(json.loads(line)["result"]["blob"]))
    assert status(file) == status(save(large, tmp_path / "etcdctl.db"))


def test_a_client_that_goes_away_leaves_nothing_behind(large: Ours) -> None:
    threads = psutil.Process(large.pid).num_threads
    before = threads()
    for _ in range(SNAPSHOTS_MAX + 2):
        client = large.client()
        stream = snapshot(client)
        next(stream)
        assert threads() > before
        stream.cancel()
        client.close()
        until(lambda: threads() == before, "its thread has ended")
    # With a reader left the log, into which a defragmentation writes all, could not be reset.
    client = large.client()
    client.call("Maintenance/Defragment", rpc_pb2.DefragmentRequest(), rpc_pb2.DefragmentResponse)
    log = large.directory / "kv" / "kv.db-wal"
    assert log.stat().st_size == LOG_BYTES_RESERVED
    client.close()


def test_more_than_a_few_at_once_are_refused_until_one_is_over(large: Ours) -> None:
    clients = [large.client() for _ in range(SNAPSHOTS_MAX + 1)]
    streams = [snapshot(client) for client in clients[:SNAPSHOTS_MAX]]
    for stream in streams:
        next(stream)
    with pytest.raises(grpc.RpcError) as refused:
        next(snapshot(clients[-1]))
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    streams[0].cancel()

    def one_more() -> bool:
        try:
            next(snapshot(clients[-1]))
        except grpc.RpcError:
            return False
        return True

    until(one_more, "there is room for one more")
    for client in clients:
        client.close()


def test_a_server_that_stops_ends_a_snapshot_and_does_not_wait_for_it(large: Ours) -> None:
    client = large.client()
    stream = snapshot(client)
    next(stream)
    ended: list[grpc.StatusCode] = []

    def read() -> None:
        try:
            # Slowly, so that it is under way when the server is told to stop.
            for _ in stream:
                time.sleep(0.05)
        except grpc.RpcError as error:
            ended.append(error.code())

    thread = threading.Thread(target=read)
    thread.start()
    large.stop()
    thread.join(WAIT_SECONDS)
    assert ended == [grpc.StatusCode.UNAVAILABLE]
    client.close()
