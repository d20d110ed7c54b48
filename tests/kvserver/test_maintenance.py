"""Maintenance beside a real etcd: hashes, the leader, and what etcdctl prints of all of it."""

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from c101.core.kv.revision import change_id
from c101.core.kv.snapshot.etcd_buckets import change_value, revision_key
from c101.core.proto import rpc_pb2
from tests.kvserver.lock_calls import refusal, until
from tests.kvserver.processes import (
    HAVE_ETCD,
    HAVE_ETCDCTL,
    Client,
    Etcd,
    Ours,
    Process,
    etcdctl,
)

pytestmark = pytest.mark.integration
needs_etcd = pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here")
needs_etcdctl = pytest.mark.skipif(not HAVE_ETCDCTL, reason="no etcdctl here")


def test_a_change_is_hashed_under_its_revision_as_etcd_stores_it() -> None:
    assert revision_key(change_id(2, 0)) == bytes.fromhex("0000000000000002 5f 0000000000000000")
    deletion = change_id(258, 5, tombstone=True)
    assert revision_key(deletion) == bytes.fromhex("0000000000000102 5f 0000000000000005 74")
    assert change_value(b"ab", None) == b"\x0a\x02ab"
    assert change_value(b"ab", b"record") == b"record"


def hashes(client: Client, *revisions: int) -> list[object]:
    found: list[object] = []
    for revision in (0, -1, *revisions):
        try:
            answer = client.hash_kv(revision)
        except grpc.RpcError as error:
            found.append((error.code().name, error.details()))
        else:
            found.append((answer.header.revision, answer.hash, answer.compact_revision))
    return found


def history(client: Client) -> None:
    """Make a bit of everything: values of many sizes, leases, transactions, deletions, rebirths."""
    client.grant(600, 7)
    for number in range(40):
        key = b"key/%d" % (number % 7)
        request = rpc_pb2.PutRequest(key=key, value=b"x" * number**2, lease=7 * (number % 3 == 0))
        client.call("KV/Put", request, rpc_pb2.PutResponse)
        if number % 5 == 4:
            client.delete(key)
        if number % 11 == 10:
            txn = rpc_pb2.TxnRequest()
            txn.success.add().request_put.key = b"txn/a"
            txn.success.add().request_delete_range.MergeFrom(
                rpc_pb2.DeleteRangeRequest(key=b"key/3", range_end=b"key/5")
            )
            txn.success.add().request_put.key = b"txn/b"
            client.txn(txn)
    client.revoke(7)


def compaction(revision: int) -> Callable[[Client], object]:
    return lambda client: client.compact(revision, physical=True)


def killed_and_started(process: Process) -> Client:
    process.kill(signal.SIGKILL)
    process.start()
    return process.client()


@needs_etcd
def test_hashes_are_those_of_a_real_etcd_also_after_compactions_and_restarts(
    tmp_path: Path,
) -> None:
    pair: list[Process] = [Ours(tmp_path), Etcd(tmp_path)]
    for process in pair:
        process.start()
    clients = [process.client() for process in pair]

    def same(*revisions: int) -> None:
        mine, theirs = (hashes(client, *revisions) for client in clients)
        assert mine == theirs

    def both(call: Callable[[Client], object]) -> None:
        for client in clients:
            call(client)

    same(1, 2)
    both(history)
    last = clients[0].revision
    same(*range(1, last + 2))
    for revision in (9, 21, last // 2):
        both(compaction(revision))
        same(*range(revision - 1, last + 1))
    both(history)
    same(last, last + 3)
    # A compaction at a deletion, and one of everything when nothing lives.
    both(lambda client: client.delete(b"key/1"))
    both(lambda client: client.compact(client.revision, physical=True))
    same(last)
    both(lambda client: client.put(b"only"))
    both(lambda client: client.compact(client.revision, physical=True))
    both(lambda client: client.delete(b"\0", b"\0"))
    same(last, clients[0].revision)
    both(lambda client: client.compact(client.revision, physical=True))
    same()
    both(history)
    last = clients[0].revision
    both(Client.close)
    clients = [killed_and_started(process) for process in pair]
    same(last)
    both(Client.close)
    for process in pair:
        process.stop()


def test_a_hash_is_of_one_revision_while_others_write_and_compact(ours: Ours) -> None:
    client, writing = ours.client(), ours.client()
    for number in range(2_000):
        client.put(b"many/%d" % (number % 300), b"%d" % number)
    revision = client.revision
    expected = client.hash_kv(revision).hash
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            writing.put(b"later", b"x" * 100)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(20):
            assert client.hash_kv(revision).hash == expected
            assert client.hash_kv().header.revision >= revision
        until(lambda: client.revision > revision + 2)
    finally:
        stop.set()
        thread.join()
    client.compact(revision)
    assert refusal(lambda: client.hash_kv(revision))[0] == "OUT_OF_RANGE"
    newer = client.hash_kv()
    assert newer.compact_revision == revision
    client.compact(newer.header.revision - 1, physical=True)
    client.close()
    writing.close()


def move_leader(client: Client, target: int) -> rpc_pb2.MoveLeaderResponse:
    request = rpc_pb2.MoveLeaderRequest(targetID=target)
    return client.call("Maintenance/MoveLeader", request, rpc_pb2.MoveLeaderResponse)


def downgrade(client: Client) -> rpc_pb2.DowngradeResponse:
    request = rpc_pb2.DowngradeRequest()
    return client.call("Maintenance/Downgrade", request, rpc_pb2.DowngradeResponse)


@needs_etcd
def test_what_a_single_member_cannot_do_is_refused_as_by_a_real_etcd(
    ours: Ours, etcd: Etcd
) -> None:
    def ask(process: Process) -> list[object]:
        client = process.client()
        own = client.status().leader
        seen: list[object] = [
            refusal(lambda: move_leader(client, 0)),
            refusal(lambda: move_leader(client, own + 1)),
            move_leader(client, own),
            refusal(lambda: downgrade(client)),
        ]
        client.close()
        return seen

    assert ask(ours) == ask(etcd)


@needs_etcd
def test_a_status_has_the_fields_of_a_real_etcds(ours: Ours, etcd: Etcd) -> None:
    filled = []
    for process in (ours, etcd):
        client = process.client()
        client.put(b"a")
        status = client.status()
        assert status.leader == status.header.member_id
        assert status.raftIndex == status.raftAppliedIndex > 0
        assert status.raftTerm == status.header.raft_term
        assert 0 < status.dbSizeInUse <= status.dbSize
        filled.append([(field.name) for field, _ in status.ListFields()])
        client.close()
    assert filled[0] == filled[1]


#: Subcommands of etcdctl; ID stands for the member's id.
SCRIPT = (
    "endpoint health",
    "endpoint status",
    "endpoint hashkv",
    "alarm list",
    "alarm disarm",
    "put a 1",
    "put a 2",
    "compaction 2",
    "compaction 2",
    "compaction 99",
    "compaction 3 --physical",
    "endpoint hashkv",
    "endpoint status -w fields",
    "defrag",
    "move-leader ID",
    "move-leader 5",
    "member list",
    "member list -w simple",
    "endpoint hashkv -w json",
    "lock l echo held",
    "lock l --ttl 3 echo held",
    "elect e me --bogus",
)
_NUMBERS = re.compile(
    r"[0-9.]+(ms|µs|s)\b|[0-9.]+ [kM]?B|\b[0-9a-f]{13,16}\b|\b[0-9]{15,20}\b|127.0.0.1:[0-9]+"
    r"|(?<=\"RaftIndex\" : )[0-9]+|(?<=\"RaftAppliedIndex\" : )[0-9]+|(?<=\"DBSize\" : )[0-9]+"
    r"|(?<=\"DBSizeInUse\" : )[0-9]+|\"ts\":\"[^\"]*\"|endpoint://client-[-0-9a-f]*"
)


def transcript(process: Process) -> list[tuple[str, int, str, str]]:
    client = process.client()
    own = f"{client.status().leader:x}"
    client.close()
    lines = []
    for command in SCRIPT:
        done = etcdctl(process.port, *command.replace("ID", own).split())
        texts = [_NUMBERS.sub("#", text) for text in (done.stdout, done.stderr)]
        # Columns of the one line of status: raft's indices are not ours.
        if command == "endpoint status":
            texts[0] = re.sub(r"\d+, \d+, \d+, $", "#", texts[0].rstrip("\n"))
        if command.startswith("member list"):
            texts[0] = re.sub(r"started, \w+, [^,]*,", "started, #, #,", texts[0])
        lines.append((command, done.returncode, texts[0], texts[1]))
    return lines


@needs_etcd
@needs_etcdctl
def test_etcdctl_prints_what_it_prints_of_a_real_etcd(tmp_path: Path) -> None:
    pair: list[Process] = [Ours(tmp_path), Etcd(tmp_path)]
    transcripts = []
    for process in pair:
        process.start()
        transcripts.append(transcript(process))
        process.stop()
    for mine, theirs in zip(*transcripts, strict=True):
        assert mine == theirs


def long_running(process: Process, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["etcdctl", f"--endpoints=127.0.0.1:{process.port}", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "ETCDCTL_API": "3"},
    )


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [re.sub(r"/[0-9a-f]+$", "/ID", process.stdout.readline()) for _ in range(count)]


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Interrupt it as ^C does; return its status and what else it printed."""
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    return process.returncode, re.sub(r"/[0-9a-f]+$", "/ID", output)


def holders(process: Process) -> list[object]:
    """Play lock and elect as operators do: who holds, who waits, who listens, and ^C."""
    first = long_running(process, "lock", "l")
    seen: list[object] = [lines(first, 2)]
    second = long_running(process, "lock", "l")
    seen += [ended(first), lines(second, 2), ended(second)]
    leader = long_running(process, "elect", "e", "me")
    seen.append(lines(leader, 2))
    listener = long_running(process, "elect", "--listen", "e")
    seen.append(lines(listener, 2))
    other = long_running(process, "elect", "e", "other")
    seen += [ended(leader), lines(other, 2), lines(listener, 2), ended(other), ended(listener)]
    return seen


@needs_etcd
@needs_etcdctl
def test_etcdctl_locks_and_elects_as_on_a_real_etcd(ours: Ours, etcd: Etcd) -> None:
    assert holders(ours) == holders(etcd)


@needs_etcdctl
@pytest.mark.parametrize(
    "command",
    [
        "member add x --peer-urls=http://127.0.0.1:1",
        "member remove ID",
        "member update ID --peer-urls=http://127.0.0.1:1",
        "member promote ID",
    ],
)
def test_a_change_of_the_membership_is_refused_and_says_where_to_read_on(
    ours: Ours, client: Client, command: str
) -> None:
    own = f"{client.status().leader:x}"
    done = etcdctl(ours.port, *command.replace("ID", own).split())
    assert done.returncode == 1
    assert "code = FailedPrecondition" in done.stderr
    assert "docs/etcd.md" in done.stderr
