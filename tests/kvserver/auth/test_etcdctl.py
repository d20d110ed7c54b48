"""``etcdctl auth``, ``user`` and ``role``: the output of a real etcd's, word for word."""

import re

import pytest

from tests.kvserver.processes import HAVE_ETCD, HAVE_ETCDCTL, Etcd, Ours, etcdctl

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not (HAVE_ETCD and HAVE_ETCDCTL), reason="no etcd and etcdctl here"),
]

ROOT = "--user=root:root"
SCRIPT: list[tuple[str, ...]] = [
    ("auth", "enable"),
    ("user", "add", "root", "--new-user-password=root"),
    ("user", "add", "root", "--new-user-password=root"),
    ("user", "add", "u:secret"),
    ("user", "add", "cert", "--no-password"),
    ("role", "add", "r"),
    ("role", "add", "r"),
    ("role", "add", "root"),
    ("role", "grant-permission", "r", "readwrite", "app/", "--prefix"),
    ("role", "grant-permission", "r", "read", "b", "c"),
    ("role", "grant-permission", "r", "write", "k"),
    ("role", "grant-permission", "r", "read", "z", "--from-key"),
    ("role", "grant-permission", "nothing", "read", "z"),
    ("role", "get", "r"),
    ("role", "get", "root"),
    ("role", "get", "nothing"),
    ("role", "list"),
    ("user", "grant-role", "u", "r"),
    ("user", "grant-role", "u", "nothing"),
    ("user", "grant-role", "nobody", "r"),
    ("user", "get", "u"),
    ("user", "get", "u", "--detail"),
    ("user", "list"),
    ("auth", "enable"),
    ("user", "grant-role", "root", "root"),
    ("auth", "enable"),
    ("user", "list"),
    (ROOT, "user", "list"),
    ("--user=root:wrong", "user", "list"),
    ("--user=nobody:x", "user", "list"),
    ("--user=cert:x", "get", "app/a"),
    ("put", "app/a", "1"),
    ("--user=u:secret", "put", "app/a", "1"),
    ("--user=u:secret", "put", "other", "1"),
    ("--user=u:secret", "put", "k", "1"),
    ("--user=u:secret", "put", "k", "1", "--prev-kv"),
    ("--user=u:secret", "get", "app/", "--prefix"),
    ("--user=u:secret", "get", "", "--prefix"),
    ("--user=u:secret", "get", "k"),
    ("--user=u:secret", "get", "b", "c"),
    ("--user=u:secret", "get", "z", "--from-key"),
    ("--user=u:secret", "del", "app/", "--prefix"),
    ("--user=u:secret", "user", "get", "u"),
    ("--user=u:secret", "user", "get", "root"),
    ("--user=u:secret", "role", "get", "r"),
    ("--user=u:secret", "role", "add", "mine"),
    ("--user=u:secret", "auth", "disable"),
    ("--user=u:secret", "watch", "other"),
    (ROOT, "role", "revoke-permission", "r", "app/", "--prefix"),
    (ROOT, "role", "revoke-permission", "r", "app/", "--prefix"),
    (ROOT, "role", "get", "r"),
    ("--user=u:secret", "get", "app/a"),
    (ROOT, "user", "revoke-role", "u", "r"),
    (ROOT, "user", "revoke-role", "u", "r"),
    ("--user=u:secret", "get", "b"),
    (ROOT, "role", "delete", "r"),
    (ROOT, "role", "delete", "r"),
    (ROOT, "role", "delete", "root"),
    (ROOT, "user", "delete", "u"),
    (ROOT, "user", "delete", "u"),
    (ROOT, "user", "delete", "root"),
    (ROOT, "user", "list", "-w", "simple"),
    (ROOT, "auth", "disable"),
    ("auth", "disable"),
    ("user", "list"),
]


@pytest.fixture(scope="module")
def ports(ours: Ours, etcd: Etcd) -> tuple[int, int]:
    return ours.port, etcd.port


def said(port: int, arguments: tuple[str, ...], text: str | None = None) -> tuple[int, str, str]:
    # Its own limits, five seconds a command, are for people who wait.
    patient = ("--command-timeout=60s", "--dial-timeout=30s")
    done = etcdctl(port, *patient, *arguments, text=text, seconds=90)
    # Its own log has the time, and an address.
    log = re.compile(r'^\{"level".*$\n?', re.MULTILINE)
    return done.returncode, done.stdout, log.sub("", done.stderr)


@pytest.mark.timeout(600)
def test_a_script_of_every_auth_command_prints_what_it_prints_of_etcd(
    ports: tuple[int, int],
) -> None:
    for arguments in SCRIPT:
        mine, theirs = (said(port, arguments) for port in ports)
        assert mine == theirs, " ".join(arguments)
    for port in ports:
        for name in ("root", "cert"):
            said(port, ("user", "delete", name))
        said(port, ("role", "delete", "root"))


@pytest.mark.timeout(300)
def test_passwords_are_read_from_standard_input(ports: tuple[int, int]) -> None:
    steps: list[tuple[tuple[str, ...], str | None]] = [
        (("user", "add", "i", "--interactive=false"), "first\n"),
        (("user", "passwd", "i", "--interactive=false"), "second\n"),
        (("user", "passwd", "nobody", "--interactive=false"), "second\n"),
        (("user", "add", "root:root"), None),
        # etcdctl makes the root role by itself.
        (("auth", "enable"), None),
        (("--user=i:first", "get", "x"), None),
        (("--user=i:second", "get", "x"), None),
        ((ROOT, "auth", "disable"), None),
        (("user", "delete", "i"), None),
        (("user", "delete", "root"), None),
        (("role", "delete", "root"), None),
    ]
    for arguments, text in steps:
        mine, theirs = (said(port, arguments, text) for port in ports)
        assert mine == theirs, " ".join(arguments)
