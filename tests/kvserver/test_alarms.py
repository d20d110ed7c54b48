"""Alarms and the quota, beside a real etcd: what each refuses, and what brings the store back."""

import os
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from c101.core.proto import rpc_pb2
from tests.kvserver.processes import HAVE_ETCD, Client, Etcd, Ours, Process, etcdctl

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

GET, ACTIVATE, DEACTIVATE = 0, 1, 2
NONE, NOSPACE, CORRUPT = 0, 1, 2
QUOTA = 4 << 20
NO_SPACE = ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded")

Answer = tuple[str, str] | list[tuple[int, int]] | str


def alarm(client: Client, action: int, kind: int, member: int = 0) -> list[tuple[int, int]]:
    """Return what is listed, without ids: 1 stands for the member itself."""
    own = client.status().leader
    request = rpc_pb2.AlarmRequest(memberID=own if member == 1 else member)
    request.action = action  # type: ignore[assignment]
    request.alarm = kind  # type: ignore[assignment]
    response = client.call("Maintenance/Alarm", request, rpc_pb2.AlarmResponse)
    assert not response.HasField("header")
    return sorted(
        (one.alarm, 1 if one.memberID == own else one.memberID) for one in response.alarms
    )


def txn(client: Client, op: str, branch: str = "success") -> str:
    request = rpc_pb2.TxnRequest()
    where = request.success if branch == "success" else request.failure
    where.add().MergeFrom(
        {
            "put": rpc_pb2.RequestOp(request_put=rpc_pb2.PutRequest(key=b"t")),
            "delete": rpc_pb2.RequestOp(request_delete_range=rpc_pb2.DeleteRangeRequest(key=b"t")),
            "range": rpc_pb2.RequestOp(request_range=rpc_pb2.RangeRequest(key=b"t")),
        }[op]
    )
    client.txn(request)
    return "done"


def defragment(client: Client) -> str:
    request, kind = rpc_pb2.DefragmentRequest(), rpc_pb2.DefragmentResponse
    assert not client.call("Maintenance/Defragment", request, kind).HasField("header")
    return "done"


def done(call: object) -> str:
    del call
    return "done"


def status_errors(client: Client) -> str:
    status = client.status()
    # etcd keeps alarms in a Go map, whose order is another each time.
    return " | ".join(sorted(status.errors)).replace(str(status.leader), "ID")


#: Everything that may be asked while an alarm is raised. Each row is a sentence: who does what.
EVERY_REQUEST: list[tuple[str, Callable[[Client], Answer]]] = [
    ("put", lambda c: done(c.put(b"x", b"1"))),
    ("put that is wrong anyway", lambda c: done(c.put(b""))),
    ("get", lambda c: done(c.get(b"x"))),
    ("delete of what is there", lambda c: done(c.delete(b"kept"))),
    ("delete of what is not", lambda c: done(c.delete(b"x"))),
    ("txn that puts", lambda c: txn(c, "put")),
    ("txn that would put otherwise", lambda c: txn(c, "put", "failure")),
    ("txn that deletes", lambda c: txn(c, "delete")),
    ("txn that reads", lambda c: txn(c, "range")),
    ("compaction", lambda c: done(c.compact(c.revision - 1))),
    ("grant", lambda c: done(c.grant(60))),
    ("revocation", lambda c: done(c.revoke(77))),
    ("time to live", lambda c: done(c.time_to_live(77))),
    ("defragmentation", defragment),
    ("hash", lambda c: done(c.hash_kv())),
    ("status", status_errors),
]  # fmt: skip

STEPS: list[tuple[str, Callable[[Client], Answer]]] = [
    ("nothing is raised", lambda c: alarm(c, GET, NONE)),
    ("what is not raised is not disarmed", lambda c: alarm(c, DEACTIVATE, NOSPACE, 1)),
    ("member 0 is a member of its own", lambda c: alarm(c, ACTIVATE, NOSPACE)),
    ("a second time is the same", lambda c: alarm(c, ACTIVATE, NOSPACE)),
    ("and this member another", lambda c: alarm(c, ACTIVATE, NOSPACE, 1)),
    ("all are listed", lambda c: alarm(c, GET, NONE)),
    ("of a kind", lambda c: alarm(c, GET, NOSPACE, 5)),
    ("of another kind", lambda c: alarm(c, GET, CORRUPT)),
    *EVERY_REQUEST,
    ("another member's is not disarmed", lambda c: alarm(c, DEACTIVATE, NOSPACE, 5)),
    ("one is disarmed", lambda c: alarm(c, DEACTIVATE, NOSPACE)),
    ("the other still refuses", lambda c: done(c.put(b"x"))),
    ("both are disarmed", lambda c: alarm(c, DEACTIVATE, NOSPACE, 1)),
    ("puts go on", lambda c: done(c.put(b"x"))),
    ("the data are corrupt", lambda c: alarm(c, ACTIVATE, CORRUPT, 1)),
    *EVERY_REQUEST,
    ("the data are not", lambda c: alarm(c, DEACTIVATE, CORRUPT, 1)),
    ("a kind that nobody knows", lambda c: alarm(c, ACTIVATE, 9)),
    ("it is named by its number", status_errors),
    ("it refuses nothing", lambda c: done(c.put(b"x"))),
    ("it is disarmed as any", lambda c: alarm(c, DEACTIVATE, 9)),
    *EVERY_REQUEST,
]


def play(process: Process) -> list[tuple[str, Answer]]:
    client = process.client()
    client.put(b"kept")
    client.grant(60, 77)
    answers: list[tuple[str, Answer]] = []
    for sentence, step in STEPS:
        try:
            answers.append((sentence, step(client)))
        except grpc.RpcError as error:
            answers.append((sentence, (error.code().name, error.details())))
    client.close()
    return answers


def test_alarms_list_refuse_and_go_as_in_a_real_etcd(ours: Ours, etcd: Etcd) -> None:
    assert play(ours) == play(etcd)


@pytest.fixture(params=["ours", "etcd"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Process]:
    """A server of either kind with a quota that is soon reached."""
    kind = Ours if request.param == "ours" else Etcd
    process = kind(tmp_path, flags=(f"--quota-backend-bytes={QUOTA}",))
    process.start()
    yield process
    process.stop()


def refused(call: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code().name, error.value.details()


def fill(client: Client, size: int = 100_000) -> int:
    """Put until that is refused; return how many bytes it took."""
    taken = 0
    while taken < 64 * QUOTA:
        try:
            client.put(b"fill", b"x" * size)
        except grpc.RpcError as error:
            if (error.code().name, error.details()) != NO_SPACE:
                raise
            return taken
        taken += size
    raise AssertionError("the quota was never reached")


def test_a_full_store_refuses_puts_until_it_is_compacted_defragmented_and_disarmed(
    small: Process,
) -> None:
    client = small.client()
    member = client.status().leader
    taken = fill(client)
    # etcd counts what its last batch, up to 100 ms ago, has written.
    assert taken > QUOTA // 2
    assert taken < QUOTA or isinstance(small, Etcd)
    listed = etcdctl(small.port, "alarm", "list")
    assert listed.stdout == f"memberID:{member} alarm:NOSPACE \n"
    assert refused(lambda: client.put(b"a", b"")) == NO_SPACE
    assert refused(lambda: client.grant(60)) == NO_SPACE
    assert client.get(b"fill").count == 1
    assert client.delete(b"fill").deleted == 1

    # Disarmed while there is still no room: the next put raises it again.
    assert "NOSPACE" in etcdctl(small.port, "alarm", "disarm").stdout
    assert etcdctl(small.port, "alarm", "list").stdout == ""
    assert fill(client) < QUOTA // 4
    assert "NOSPACE" in etcdctl(small.port, "alarm", "list").stdout

    full = client.status()
    client.compact(client.revision, physical=True)
    defragment(client)
    empty = client.status()
    assert empty.dbSize < full.dbSize // 2
    assert empty.dbSizeInUse <= empty.dbSize
    assert refused(lambda: client.put(b"a", b"")) == NO_SPACE
    etcdctl(small.port, "alarm", "disarm")
    client.put(b"a", b"")
    assert fill(client) > QUOTA // 2
    client.close()


def test_the_way_back_that_the_documentation_gives_leads_back(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "etcd.md").read_text()
    script = text.partition("To bring it back")[2].split("```")[1]
    assert "alarm disarm" in script
    own = Ours(tmp_path, flags=(f"--quota-backend-bytes={QUOTA}",))
    own.start()
    client = own.client()
    fill(client)
    environment = {**os.environ, "ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": f"127.0.0.1:{own.port}"}
    subprocess.run(["sh", "-euc", script], check=True, timeout=50, env=environment)
    assert alarm(client, GET, NONE) == []
    assert fill(client) > QUOTA // 2
    client.close()
    own.stop()


def test_a_large_put_that_would_pass_the_quota_is_refused_before_it_is_written(
    tmp_path: Path,
) -> None:
    own = Ours(tmp_path, flags=(f"--quota-backend-bytes={QUOTA}",))
    own.start()
    client = own.client()
    for _ in range(2):
        client.put(b"large", b"x" * 1_500_000)
    before = client.revision
    with pytest.raises(grpc.RpcError, match="database space exceeded"):
        client.put(b"large", b"x" * 1_500_000)
    assert client.revision == before
    client.close()
    own.stop()


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_an_alarm_outlives_the_process(tmp_path: Path, end: str) -> None:
    own = Ours(tmp_path, flags=(f"--quota-backend-bytes={QUOTA}",))
    own.start()
    client = own.client()
    fill(client)
    alarm(client, ACTIVATE, CORRUPT, 5)
    client.close()
    own.kill(15 if end == "SIGTERM" else 9)
    own.start()
    client = own.client()
    assert alarm(client, GET, NONE) == [(NOSPACE, 1), (CORRUPT, 5)]
    assert refused(lambda: client.delete(b"fill")) == ("DATA_LOSS", "etcdserver: corrupt cluster")
    alarm(client, DEACTIVATE, CORRUPT, 5)
    client.delete(b"fill")
    assert refused(lambda: client.put(b"a")) == NO_SPACE
    client.close()
    own.stop()


def test_many_who_meet_the_quota_at_once_raise_one_alarm_and_pass_it_by_little(
    tmp_path: Path,
) -> None:
    own = Ours(tmp_path, flags=(f"--quota-backend-bytes={QUOTA}",))
    own.start()

    def put() -> None:
        client = own.client()
        fill(client, 5_000)
        client.close()

    threads = [threading.Thread(target=put) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client = own.client()
    assert alarm(client, GET, NONE) == [(NOSPACE, 1)]
    assert client.status().dbSize < QUOTA + 8 * 5_000 + (64 << 10)
    client.close()
    own.stop()


def test_without_a_quota_nothing_is_refused(tmp_path: Path) -> None:
    own = Ours(tmp_path, flags=("--quota-backend-bytes=-1",))
    own.start()
    client = own.client()
    for _ in range(20):
        client.put(b"fill", b"x" * 1_000_000)
    assert alarm(client, GET, NONE) == []
    client.close()
    own.stop()


def test_a_lease_is_not_ended_while_the_data_are_corrupt_and_soon_after(ours: Ours) -> None:
    client = ours.client()
    client.grant(2, 88)
    request = rpc_pb2.PutRequest(key=b"leased", lease=88)
    client.call("KV/Put", request, rpc_pb2.PutResponse)
    alarm(client, ACTIVATE, CORRUPT)
    ticks = threading.Event()
    while client.time_to_live(88).TTL > 0:
        ticks.wait(0.05)
    assert client.get(b"leased").count == 1
    alarm(client, DEACTIVATE, CORRUPT)
    while client.get(b"leased").count:
        ticks.wait(0.05)
    client.close()


def test_health_is_false_while_anything_is_raised(ours: Ours) -> None:
    client = ours.client()

    def health() -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{ours.port}/health") as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    assert health() == (200, b'{"health":"true"}')
    alarm(client, ACTIVATE, NOSPACE)
    assert health() == (503, b'{"health":"false"}')
    alarm(client, DEACTIVATE, NOSPACE)
    assert health() == (200, b'{"health":"true"}')
    client.close()
