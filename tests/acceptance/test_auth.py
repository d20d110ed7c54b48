"""Auth on: who comes by TCP needs a name, and the cluster goes on working by its socket."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.acceptance.cluster import Cluster

SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"
pytestmark = pytest.mark.timeout(240)

ROOT = "--user=root:secret"


@pytest.fixture(scope="module")
def guarded(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with auth on, and a root user."""
    cluster.etcdctl("user", "add", "root:secret")
    cluster.etcdctl("auth", "enable")
    yield cluster
    cluster.etcdctl(ROOT, "auth", "disable")


def test_units_are_started_and_moved_while_tcp_asks_for_a_name(guarded: Cluster) -> None:
    with pytest.raises(AssertionError, match="user name is empty"):
        guarded.etcdctl("get", "--prefix", "/c101/")
    assert guarded.etcdctl(ROOT, "get", "--prefix", "/c101/", "--keys-only")
    guarded.submit("guarded.service", SLEEP)
    guarded.ok("start", "guarded.service")
    assert guarded.unit("guarded.service")["active"] == "active"
    assert {row["state"] for row in guarded.json("list-machines")} == {"ready"}
    guarded.ok("set", "/app", "1")
    assert guarded.ok("get", "/app") == "1\n"
    guarded.ok("destroy", "guarded.service")


def test_an_engine_that_was_killed_leads_again_while_auth_is_on(guarded: Cluster) -> None:
    guarded.local("kill", "engine")
    guarded.local("start", "engine")
    guarded.submit("again.service", SLEEP)
    guarded.ok("start", "again.service")
    guarded.ok("destroy", "again.service")


def test_the_password_stands_nowhere_in_the_log_of_the_kv(guarded: Cluster) -> None:
    guarded.etcdctl(ROOT, "get", "x")
    with pytest.raises(AssertionError):
        guarded.etcdctl("--user=root:a-wrong-one", "get", "x")
    found = subprocess.run(
        ["grep", "-rlE", "a-wrong-one|root:secret", str(guarded.directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == ""
    logs = subprocess.run(
        ["grep", "-rlE", "authentication failed", str(guarded.directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert logs.stdout
