"""Debian's etcdctl against the printed endpoint of a cluster on this computer."""

import select
import subprocess

from tests.acceptance.cluster import Cluster, until


def test_it_puts_and_gets(cluster: Cluster) -> None:
    assert cluster.etcdctl("put", "/a", "1") == "OK\n"
    assert cluster.etcdctl("get", "/a") == "/a\n1\n"


def test_it_runs_a_transaction(cluster: Cluster) -> None:
    cluster.etcdctl("put", "/t", "old")
    script = 'value("/t") = "old"\n\nput /t new\n\nput /t wrong\n\n'
    assert cluster.etcdctl("txn", stdin=script).startswith("SUCCESS")
    assert cluster.etcdctl("get", "/t", "--print-value-only") == "new\n"


def test_its_lease_takes_its_keys_along(cluster: Cluster) -> None:
    lease = cluster.etcdctl("lease", "grant", "60").split()[1]
    cluster.etcdctl("put", "/leased", "x", "--lease", lease)
    cluster.etcdctl("lease", "revoke", lease)
    assert cluster.etcdctl("get", "/leased") == ""


def test_its_watch_sees_puts(cluster: Cluster) -> None:
    command = ["etcdctl", "--endpoints", cluster.endpoints["kv"]["http"], "watch", "/w"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        try:
            assert watch.stdout is not None
            output = watch.stdout

            def put_is_seen() -> bool:
                # It says nothing when it has begun to watch: what was put before that is not seen.
                cluster.etcdctl("put", "/w", "seen")
                return bool(select.select([output], [], [], 0.2)[0])

            until(put_is_seen, seconds=20, what="a put on the watch")
            seen = [output.readline() for _ in range(3)]
            assert seen == ["PUT\n", "/w\n", "seen\n"]
        finally:
            watch.kill()


def test_it_asks_for_health_and_status(cluster: Cluster) -> None:
    cluster.etcdctl("endpoint", "health")
    assert cluster.endpoints["kv"]["http"] in cluster.etcdctl("endpoint", "status")
    assert "started" in cluster.etcdctl("member", "list")
