"""Whose key is whose, as OpenSSH writes it down."""

import subprocess
from pathlib import Path

import pytest

from c101.agents.ssh.keys import ensure_key
from c101.agents.ssh.known_hosts import (
    KnownHosts,
    check_host,
    check_user,
    known_hosts_line,
    load_known_hosts,
    parse_known_hosts,
    pinned,
)
from c101.agents.ssh.public_key import PublicKey
from c101.core.errors import ConfigError


@pytest.fixture
def key(tmp_path: Path) -> PublicKey:
    return ensure_key(tmp_path / "id")


def hosts(text: str) -> KnownHosts:
    return KnownHosts(parse_known_hosts(text, "file"))


@pytest.mark.parametrize(
    ("field", "host", "port", "known"),
    [
        ("a.example", "A.example", 22, True),
        ("a.example,10.0.0.1", "10.0.0.1", 22, True),
        ("*.example", "b.example", 22, True),
        ("*.example,!b.example", "b.example", 22, False),
        ("[a.example]:2222", "a.example", 2222, True),
        ("[a.example]:2222", "a.example", 22, False),
        ("[a.example]:2222", "a.example", 2223, False),
        ("a.example", "a.example", 2222, True),
        ("[*]:2222", "a.example", 2222, True),
        ("|1|AAAA|AAAA", "a.example", 22, False),
        ("|2|x", "a.example", 22, False),
        ("b[x]", "bx", 22, False),
    ],
)
def test_a_host_is_found_by_its_name(
    field: str, host: str, port: int, known: bool, key: PublicKey
) -> None:
    found = hosts(f"# mine\n{field} {key.line}\n").lookup(host, port)
    assert found.is_known is known
    if known:
        assert (found.keys[0].key, found.keys[0].source) == (key, "file:2")


@pytest.mark.integration
@pytest.mark.parametrize(("host", "port"), [("a.example", 22), ("a.example", 2222)])
def test_names_hashed_by_ssh_keygen_are_found(
    host: str, port: int, key: PublicKey, tmp_path: Path
) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(known_hosts_line(host, port, key) + "\n")
    subprocess.run(["ssh-keygen", "-H", "-f", path], check=True, capture_output=True)
    assert "example" not in path.read_text()
    files = load_known_hosts([path])
    assert files.lookup(host, port).keys[0].key == key
    assert not files.lookup("b.example", port).is_known


@pytest.mark.integration
def test_a_fingerprint_is_the_one_that_ssh_keygen_prints(key: PublicKey, tmp_path: Path) -> None:
    printed = subprocess.run(
        ["ssh-keygen", "-l", "-f", tmp_path / "id.pub"], check=True, capture_output=True, text=True
    ).stdout
    assert key.fingerprint in printed


def test_markers_are_kept_apart(key: PublicKey) -> None:
    found = hosts(
        f"@cert-authority * {key.line}\n@revoked * {key.line}\n@other * {key.line}\n@revoked\n"
    ).lookup("a")
    assert (
        list(found.keys),
        [int(known.source.split(":")[1]) for known in found.authorities],
        [int(known.source.split(":")[1]) for known in found.revoked],
    ) == ([], [1], [2])


def test_a_revocation_without_a_port_holds_for_every_port(key: PublicKey) -> None:
    text = f"@revoked a {key.line}\n[a]:2222 {key.line}\n"
    assert hosts(text).lookup("a", 2222).revoked


def test_a_pinned_host_trusts_its_pins_only(key: PublicKey, tmp_path: Path) -> None:
    other = ensure_key(tmp_path / "other")
    found = pinned(hosts(f"a {key.line}\n@revoked a {key.line}").lookup("a"), [other.line])
    assert [known.key for known in found.keys] == [other]
    assert len(found.revoked) == 1
    with pytest.raises(ConfigError, match="pinned host key is malformed"):
        pinned(found, ["ssh-ed25519 AAAA"])


def test_a_file_that_is_missing_is_passed_over_and_one_unreadable_is_not(tmp_path: Path) -> None:
    assert not load_known_hosts([tmp_path / "nothing"]).lookup("a").is_known
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        load_known_hosts([tmp_path / "folder"])


@pytest.mark.parametrize("host", ["", "-oProxyCommand=x", "a b", "a;b", "a\n", "ä", "a" * 254])
def test_what_cannot_be_a_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError):
        check_host(host)


@pytest.mark.parametrize("user", ["", "-l", "a b", "$(id)", "a" * 65])
def test_what_cannot_be_a_user_is_refused(user: str) -> None:
    with pytest.raises(ConfigError):
        check_user(user)
