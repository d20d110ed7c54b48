"""A snapshot has users and roles, between ours and a real etcd in either direction."""

import subprocess
from pathlib import Path

import pytest

from c101.core.kv.check import check
from tests.kvserver.processes import (
    HAVE_ETCD,
    HAVE_ETCDCTL,
    Etcd,
    Ours,
    Process,
    etcdctl,
)
from tests.kvserver.test_snapshot import restored_etcd, restored_ours, running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (HAVE_ETCD and HAVE_ETCDCTL), reason="no etcd and etcdctl here"),
]

ROOT, USER = "--user=root:pw", "--user=ada:q"


def done(process: Process, *arguments: str) -> str:
    """Run etcdctl, which must succeed; return what it printed."""
    found: subprocess.CompletedProcess[str] = etcdctl(process.port, *arguments)
    assert found.returncode == 0, (arguments, found.stderr)
    return found.stdout


def lock_up(process: Process) -> None:
    """Make users and roles, a key, and turn auth on."""
    done(process, "user", "add", "root:pw")
    done(process, "user", "grant-role", "root", "root")
    done(process, "user", "add", "ada:q")
    done(process, "role", "add", "reader")
    done(process, "role", "grant-permission", "reader", "read", "/a/", "--prefix")
    done(process, "user", "grant-role", "ada", "reader")
    done(process, "put", "/a/1", "v")
    done(process, "auth", "enable")


def check_locked(process: Process) -> None:
    """See that everybody may do what they could where they came from, by the same passwords."""
    assert done(process, ROOT, "user", "list").split() == ["ada", "root"]
    assert "/a/" in done(process, ROOT, "role", "get", "reader")
    assert done(process, USER, "get", "/a/1") == "/a/1\nv\n"
    for arguments, refused in (
        (("get", "/a/1"), "user name is empty"),
        ((USER, "put", "/a/1", "w"), "permission denied"),
        (("--user=ada:wrong", "get", "/a/1"), "invalid user ID or password"),
        ((USER, "snapshot", "save", "/dev/null"), "permission denied"),
    ):
        found = etcdctl(process.port, *arguments)
        assert found.returncode != 0, arguments
        assert refused in found.stderr, (arguments, found.stderr)


def test_users_and_roles_go_to_a_real_etcd_and_come_back(tmp_path: Path) -> None:
    ours = Ours(tmp_path / "ours")
    with running(ours):
        lock_up(ours)
        check_locked(ours)
        done(ours, ROOT, "snapshot", "save", str(tmp_path / "saved.db"))
    etcd = restored_etcd(tmp_path / "saved.db", tmp_path / "etcd")
    with running(etcd):
        check_locked(etcd)
        done(etcd, ROOT, "user", "add", "eve:e")
        done(etcd, ROOT, "user", "delete", "eve")
        done(etcd, ROOT, "snapshot", "save", str(tmp_path / "back.db"))
    back = restored_ours(tmp_path / "back.db", tmp_path / "back")
    assert check(tmp_path / "back" / "kv").findings == []
    with running(back):
        check_locked(back)


def test_users_and_roles_of_a_real_etcd_come_to_ours(tmp_path: Path) -> None:
    etcd = Etcd(tmp_path / "etcd")
    with running(etcd):
        lock_up(etcd)
        done(etcd, ROOT, "snapshot", "save", str(tmp_path / "saved.db"))
    ours = restored_ours(tmp_path / "saved.db", tmp_path / "ours")
    with running(ours):
        check_locked(ours)
