"""``kv``: snapshots, space, alarms, checks; on a KV of their own."""

import hashlib
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from c101.core.proto import rpc_pb2
from tests.ctl.site import Site
from tests.kvserver.processes import Client, Etcd
from tests.processes import KVProcess, running_kv

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KVProcess]:
    with running_kv(tmp_path_factory.mktemp("kv")) as running:
        client = Client(running.port)
        for number in range(12):
            client.put(b"/fill/%d" % number, b"x" * 1_000_000)
        client.put(b"/leased", b"x", lease=client.grant(900).ID)
        client.close()
        yield running


@pytest.fixture
def site(server: KVProcess, variables: dict[str, str], tmp_path: Path) -> Site:
    return Site(f"unix://{server.unix}", variables, tmp_path)


@pytest.fixture(scope="module")
def saved(
    server: KVProcess, variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    directory = tmp_path_factory.mktemp("saved")
    Site(f"unix://{server.unix}", variables, directory).ok("kv", "snapshot", "save", "saved.db")
    return directory / "saved.db"


def contents(directory: Path) -> dict[str, bytes]:
    """Return what is in each file of a data directory, but for the index that readers mark."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).digest()
        for path in directory.iterdir()
        if not path.name.endswith("-shm")
    }


# ---- snapshot save ----


def test_a_snapshot_is_saved_for_its_owner_only(site: Site) -> None:
    assert site.ok("kv", "snapshot", "save", "s.db") == "Snapshot saved at s.db\n"
    file = site.directory / "s.db"
    assert file.stat().st_mode & 0o777 == 0o600
    document = site.json("kv", "snapshot", "save", "other.db")
    assert document["file"] == "other.db"
    assert document["bytes"] == (site.directory / "other.db").stat().st_size


def test_a_file_that_exists_is_not_written_over(site: Site) -> None:
    (site.directory / "s.db").write_text("precious")
    assert "s.db exists" in site.fails(1, "kv", "snapshot", "save", "s.db")
    assert (site.directory / "s.db").read_text() == "precious"


def test_a_kv_that_is_not_there_leaves_no_file(alone: Site) -> None:
    alone.fails(5, "kv", "snapshot", "save", "s.db")
    assert list(alone.directory.iterdir()) == []


def test_where_nothing_may_be_written_is_said(site: Site) -> None:
    assert "No such file or directory" in site.fails(1, "kv", "snapshot", "save", "no/s.db")
    # Not even root makes a file there.
    assert "Permission denied" in site.fails(1, "kv", "snapshot", "save", "/sys/s.db")
    error = json.loads(site.fails(1, "-o", "json", "kv", "snapshot", "save", "no/s.db"))
    assert error["error"]["code"] == "snapshot"


def test_a_disk_with_no_room_leaves_no_file(site: Site) -> None:
    limited = ["prlimit", "--fsize=3000000", *site.command("kv", "snapshot", "save", "s.db")]
    done = subprocess.run(
        limited,
        env=site.environment,
        cwd=site.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "s.db: File too large" in done.stderr
    assert list(site.directory.iterdir()) == []


def partial(directory: Path) -> Path:
    """Wait for a file that is being written, and return it."""
    deadline = time.monotonic() + 20
    while not (found := list(directory.glob("s.db.*.part"))):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found[0]


def test_an_interrupted_save_leaves_no_file(server: KVProcess, site: Site) -> None:
    server.pause()
    try:
        with site.running("kv", "snapshot", "save", "s.db") as running:
            partial(site.directory)
            status, _ = running.end(signal.SIGINT)
        assert status == 130
    finally:
        server.resume()
    assert list(site.directory.iterdir()) == []


def test_a_killed_save_leaves_nothing_under_the_files_name(server: KVProcess, site: Site) -> None:
    server.pause()
    try:
        with site.running("kv", "snapshot", "save", "s.db") as running:
            partial(site.directory)
            running.end(signal.SIGKILL)
    finally:
        server.resume()
    assert not (site.directory / "s.db").exists()
    site.ok("kv", "snapshot", "save", "s.db")


# ---- snapshot status, restore ----


def test_the_status_of_a_snapshot_is_etcdctls(site: Site, saved: Path) -> None:
    theirs = subprocess.run(
        ["etcdctl", "snapshot", "status", str(saved), "-w", "simple"],
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert site.ok("kv", "snapshot", "status", str(saved)) == theirs.stdout
    theirs = subprocess.run(
        ["etcdctl", "snapshot", "status", str(saved), "-w", "json"],
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert site.json("kv", "snapshot", "status", str(saved)) == json.loads(theirs.stdout)


def test_a_snapshot_is_restored_and_served(site: Site, saved: Path) -> None:
    document = site.json("kv", "snapshot", "restore", str(saved), "--data-dir", "new/data")
    assert (document["keys"], document["leases"]) == (13, 1)
    site.fails(1, "kv", "snapshot", "restore", str(saved), "--data-dir", "new/data")
    with running_kv(site.directory / "new") as server:
        client = Client(server.port)
        assert client.revision == document["revision"]
        assert client.get(b"/fill/7").kvs[0].value == b"x" * 1_000_000
        client.close()


def test_a_damaged_snapshot_is_refused_and_nothing_is_made_of_it(site: Site, saved: Path) -> None:
    copy = site.directory / "copy.db"
    shutil.copy(saved, copy)
    with copy.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"!")
    assert "SHA-256" in site.fails(1, "kv", "snapshot", "status", "copy.db")
    assert "SHA-256" in site.fails(1, "kv", "snapshot", "restore", "copy.db", "--data-dir", "d")
    assert not (site.directory / "d").exists()
    (site.directory / "text").write_text("no snapshot " * 1_000)
    assert "meta pages" in site.fails(1, "kv", "snapshot", "status", "text")
    assert "No such file" in site.fails(1, "kv", "snapshot", "status", "missing")


def test_a_restore_that_finds_no_room_leaves_no_directory(site: Site, saved: Path) -> None:
    verb = site.command("kv", "snapshot", "restore", str(saved), "--data-dir", "d")
    done = subprocess.run(
        ["prlimit", "--fsize=3000000", *verb],
        env=site.environment,
        cwd=site.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "d: " in done.stderr
    assert list(site.directory.iterdir()) == []


# ---- space ----


def test_old_revisions_are_compacted_by_number_or_but_for_the_last(site: Site) -> None:
    revisions = [json.loads(site.steps("set c 1", "-o json get c")[1])["mod_revision"]]
    site.steps(*(f"set c {number}" for number in range(10)))
    assert site.ok("kv", "compact", str(revisions[0])) == f"compacted revision {revisions[0]}\n"
    assert "gone" in site.fails(1, "kv", "compact", str(revisions[0]))
    assert site.json("kv", "compact", "--keep", "3")["compacted"] == revisions[0] + 7
    assert site.json("kv", "compact", "--keep", "3") == {"compacted": None}
    assert site.ok("kv", "compact", "--keep", "1000000") == "nothing to compact\n"
    assert site.ok("kv", "compact", "--physical", "--keep", "0").startswith("compacted revision")
    assert "future revision" in site.fails(1, "kv", "compact", "999999999")
    for wrong in ((), ("5", "--keep", "3"), ("0",), ("many",)):
        site.fails(2, "kv", "compact", *wrong)


def test_space_is_given_back(site: Site, server: KVProcess) -> None:
    client = Client(server.port)
    for number in range(10):
        client.put(b"/gone", bytes(1_000_000) + b"%d" % number)
    client.delete(b"/gone")
    client.compact(client.revision, physical=True)
    client.close()
    document = site.json("kv", "defrag")
    assert document["bytes"] < document["bytes_before"] - 5_000_000
    assert " before, " in site.ok("kv", "defrag")


def test_equal_data_has_equal_hashes(site: Site) -> None:
    # A revision that was compacted has no hash.
    site.ok("set", "hashed", "0")
    one = site.json("kv", "hash")
    assert site.json("kv", "hash", "--revision", str(one["revision"])) == one
    assert site.ok("kv", "hash").split("\n")[0].split() == ["HASH", "REVISION", "COMPACTED"]
    site.ok("set", "hashed", "1")
    assert site.json("kv", "hash")["hash"] != one["hash"]


def test_alarms_are_listed_and_ended(site: Site, tmp_path: Path) -> None:
    assert site.ok("kv", "alarm", "list") == ""
    assert site.json("kv", "alarm", "disarm") == []
    etcd = Etcd(tmp_path / "etcd")
    etcd.start()
    try:
        client = etcd.client()
        member = client.status().leader
        client.call(
            "Maintenance/Alarm",
            rpc_pb2.AlarmRequest(
                action=rpc_pb2.AlarmRequest.ACTIVATE, memberID=member, alarm=rpc_pb2.NOSPACE
            ),
            rpc_pb2.AlarmResponse,
        )
        client.close()
        there = Site(f"http://127.0.0.1:{etcd.port}", site.environment, site.directory)
        assert there.ok("kv", "alarm", "list") == f"memberID:{member} alarm:NOSPACE\n"
        assert there.json("kv", "alarm", "disarm") == [
            {"member_id": f"{member:x}", "alarm": "NOSPACE"}
        ]
        assert there.json("kv", "alarm", "list") == []
    finally:
        etcd.stop()


# ---- check ----


def test_a_data_directory_in_use_is_checked_and_left_as_it_is(
    site: Site, server: KVProcess
) -> None:
    site.ok("set", "just", "now")
    before = contents(server.data)
    names = {path.name for path in server.data.iterdir()}
    document = site.json("kv", "check", str(server.data))
    assert (document["ok"], document["in_use"], document["findings"]) == (True, True, [])
    assert document["leases"] == 1
    assert site.ok("kv", "check", "--data-dir", str(server.data)).endswith("nothing is wrong\n")
    assert contents(server.data) == before
    assert {path.name for path in server.data.iterdir()} == names


def test_the_directory_of_a_kv_that_was_killed_or_stopped_is_left_as_it_is(
    site: Site, tmp_path: Path
) -> None:
    with running_kv(tmp_path / "one") as server:
        Site(f"unix://{server.unix}", site.environment, tmp_path).ok("set", "a", "1")
        server.kill()
        data = server.data
        for _ in range(2):
            before = contents(data)
            names = {path.name for path in data.iterdir()}
            assert site.json("kv", "check", str(data))["keys"] == 1
            assert contents(data) == before
            assert {path.name for path in data.iterdir()} == names
            server.start()
            server.stop()


def test_what_is_wrong_is_said_row_by_row_and_the_kv_does_not_start_on_it(
    site: Site, saved: Path
) -> None:
    site.ok("kv", "snapshot", "restore", str(saved), "--data-dir", "bad/data")
    database = site.directory / "bad" / "data" / "kv.db"
    content = database.read_bytes()
    at = content.index(b"x" * 1_000, len(content) // 3)
    with database.open("r+b") as file:
        file.seek(at)
        file.write(b"?")
    done = site.ctl("kv", "check", "bad/data")
    assert done.returncode == 1
    assert "does not match its checksum" in done.stdout
    assert "key b'/fill/" in done.stdout
    assert done.stdout.endswith("one thing is wrong\n")
    done = site.ctl("-o", "json", "kv", "check", "bad/data")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert (document["ok"], document["wrong"]) == (False, 1)
    with (
        pytest.raises(RuntimeError, match="does not match its checksum"),
        running_kv(site.directory / "bad"),
    ):
        pass


def test_a_check_of_nothing_is_a_failure(site: Site) -> None:
    assert "no data directory" in site.fails(1, "kv", "check", ".")
    site.fails(2, "kv", "check")
    site.fails(2, "kv", "check", ".", "--data-dir", ".")


def test_the_verbs_are_completed(alone: Site) -> None:
    def completed(*words: str) -> set[str]:
        done = subprocess.run(
            alone.command(kv="")[:3],
            env={
                **alone.environment,
                "_C101CTL_COMPLETE": "bash_complete",
                "COMP_WORDS": " ".join(("c101ctl", *words)),
                "COMP_CWORD": str(len(words)),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return {line.partition(",")[2] for line in done.stdout.splitlines()}

    assert completed("kv", "") == {
        "snapshot",
        "defrag",
        "compact",
        "alarm",
        "hash",
        "check",
        "ha",
        "roles",
    }
    assert completed("kv", "snapshot", "s") == {"save", "status"}
    assert completed("kv", "alarm", "d") == {"disarm"}
