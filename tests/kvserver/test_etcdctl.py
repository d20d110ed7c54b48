"""Debian's etcdctl, unmodified, against ours: every command of the slice."""

import json
import subprocess
import time
from collections.abc import Callable

import pytest

from c101.core.proto import rpc_pb2
from tests.kvserver.processes import HAVE_ETCDCTL, Client, Ours, etcdctl

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAVE_ETCDCTL, reason="no etcdctl here"),
]

Ctl = Callable[..., str]


@pytest.fixture
def ctl(ours: Ours) -> Ctl:
    def run(*arguments: str, text: str | None = None) -> str:
        done = etcdctl(ours.port, *arguments, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def start(ours: Ours, *arguments: str) -> subprocess.Popen[str]:
    command = ["etcdctl", f"--endpoints=127.0.0.1:{ours.port}", *arguments]
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"},
    )


def finish(process: subprocess.Popen[str]) -> str:
    process.terminate()
    output, _ = process.communicate(timeout=10)
    return output


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def test_put_get_and_del_do_what_they_say(ctl: Ctl) -> None:
    assert ctl("put", "ctl/a", "1") == "OK\n"
    assert ctl("put", "ctl/a", "2", "--prev-kv") == "OK\nctl/a\n1\n"
    ctl("put", "ctl/b", "3")
    assert ctl("get", "ctl/", "--prefix") == "ctl/a\n2\nctl/b\n3\n"
    assert ctl("get", "ctl/", "--prefix", "--keys-only").split() == ["ctl/a", "ctl/b"]
    assert ctl("get", "ctl/", "--prefix", "--order=DESCEND", "--limit=1") == "ctl/b\n3\n"
    assert json.loads(ctl("get", "ctl/a", "-w", "json"))["kvs"][0]["version"] == 2
    assert ctl("del", "ctl/", "--prefix", "--prev-kv") == "2\nctl/a\n2\nctl/b\n3\n"
    assert ctl("get", "ctl/", "--prefix") == ""


def test_txn_takes_the_branch_its_compares_choose(ctl: Ctl) -> None:
    ctl("put", "txn/a", "x")
    request = 'value("txn/a") = "x"\n\nput txn/b yes\nget txn/b\n\nput txn/b no\n\n'
    assert ctl("txn", text=request) == "SUCCESS\n\nOK\n\ntxn/b\nyes\n"
    assert ctl("txn", text=request.replace('"x"', '"y"')) == "FAILURE\n\nOK\n"
    assert ctl("get", "txn/b", "--print-value-only") == "no\n"


def test_watch_shows_history_and_what_comes(ctl: Ctl, ours: Ours) -> None:
    ctl("put", "watch/a", "1")
    revision = json.loads(ctl("get", "watch/a", "-w", "json"))["header"]["revision"]
    watch = start(ours, "watch", "watch/", "--prefix", "--prev-kv", f"--rev={revision}")
    assert [line(watch) for _ in range(3)] == ["PUT", "watch/a", "1"]
    ctl("put", "watch/a", "2")
    assert [line(watch) for _ in range(5)] == ["PUT", "watch/a", "1", "watch/a", "2"]
    ctl("del", "watch/a")
    assert [line(watch) for _ in range(5)] == ["DELETE", "watch/a", "2", "watch/a", ""]
    finish(watch)


def test_lease_commands_grant_list_renew_and_revoke(ctl: Ctl, ours: Ours) -> None:
    lease = ctl("lease", "grant", "60").split()[1]
    ctl("put", "--lease", lease, "lease/a", "1")
    assert lease in ctl("lease", "list")
    shown = ctl("lease", "timetolive", lease, "--keys")
    assert "granted with TTL(60s)" in shown
    assert "lease/a" in shown
    renew = start(ours, "lease", "keep-alive", lease)
    assert line(renew) == f"lease {lease} keepalived with TTL(60)"
    finish(renew)
    assert "revoked" in ctl("lease", "revoke", lease)
    assert ctl("get", "lease/a") == ""
    assert "already expired" in ctl("lease", "timetolive", lease)


def test_compaction_makes_old_revisions_unreadable(ctl: Ctl, ours: Ours) -> None:
    ctl("put", "old", "1")
    ctl("put", "old", "2")
    revision = json.loads(ctl("get", "old", "-w", "json"))["header"]["revision"]
    assert "compacted revision" in ctl("compaction", str(revision), "--physical")
    refused = etcdctl(ours.port, "get", "old", f"--rev={revision - 1}")
    assert refused.returncode != 0
    assert "mvcc: required revision has been compacted" in refused.stderr
    assert ctl("get", "old", "--print-value-only") == "2\n"


def test_lock_is_held_by_one_at_a_time(ours: Ours, client: Client) -> None:
    first = start(ours, "lock", "mutex")
    key = line(first)
    assert key.startswith("mutex/")
    second = start(ours, "lock", "mutex")
    while len(client.get(b"mutex/", b"mutex0").kvs) < 2:
        time.sleep(0.02)
    finish(first)
    assert line(second).startswith("mutex/")
    finish(second)
    assert client.get(key.encode()).count == 0


def test_elect_proclaims_a_leader_that_observers_see(ours: Ours) -> None:
    leader = start(ours, "elect", "job", "me")
    assert line(leader).startswith("job/")
    assert line(leader) == "me"
    observer = start(ours, "elect", "--listen", "job")
    assert line(observer).startswith("job/")
    assert line(observer) == "me"
    finish(observer)
    finish(leader)


def test_endpoint_commands_show_a_healthy_leader(ctl: Ctl, ours: Ours) -> None:
    status = json.loads(ctl("endpoint", "status", "-w", "json"))[0]["Status"]
    assert status["leader"] == status["header"]["member_id"]
    assert status["version"] == "3.4.23"
    assert status["dbSize"] > 0
    done = etcdctl(ours.port, "endpoint", "health")
    assert "is healthy" in done.stdout + done.stderr
    assert "hash" in ctl("endpoint", "hashkv", "-w", "json").lower()


def test_members_are_one_and_cannot_become_more(ctl: Ctl, ours: Ours) -> None:
    members = json.loads(ctl("member", "list", "-w", "json"))["members"]
    assert [member["clientURLs"] for member in members] == [[f"http://127.0.0.1:{ours.port}"]]
    refused = etcdctl(ours.port, "member", "add", "x", "--peer-urls=http://127.0.0.1:1")
    assert refused.returncode != 0
    assert "docs/etcd.md" in refused.stderr


def test_maintenance_commands_work(ctl: Ctl, client: Client) -> None:
    for number in range(50):
        client.put(b"frag", b"x" * 1000 + b"%d" % number)
    assert ctl("alarm", "list") == ""
    assert "Finished defragmenting" in ctl("defrag")
    assert client.get(b"frag").kvs[0].value.endswith(b"49")
    assert client.call(
        "Maintenance/Hash", rpc_pb2.HashRequest(), rpc_pb2.HashResponse
    ).header.revision
