"""What a line of authorized_keys gives, and what refuses it."""

from pathlib import Path

import pytest

from c101.agents.ssh.authorized_keys import matches_source, parse_authorized_keys
from c101.agents.ssh.keys import ensure_key
from c101.agents.ssh.public_key import PublicKey


@pytest.fixture
def key(tmp_path: Path) -> PublicKey:
    return ensure_key(tmp_path / "id")


def test_a_plain_key_gives_no_command_and_no_socket(key: PublicKey) -> None:
    (entry,) = parse_authorized_keys(f"{key.line} me@home\n").keys
    assert (entry.command, entry.sockets, entry.comment) == (None, frozenset(), "me@home")


def test_options_are_read_with_their_quotes(key: PublicKey) -> None:
    text = f'Restrict,command="say \\"a, b\\" c",from="10.0.0.0/8,!10.0.0.1" {key.line}'
    (entry,) = parse_authorized_keys(text).keys
    assert entry.command == 'say "a, b" c'
    assert entry.sources == ("10.0.0.0/8", "!10.0.0.1")


def test_comments_and_empty_lines_are_passed_over(key: PublicKey) -> None:
    parsed = parse_authorized_keys(f"# mine\r\n\n  \n{key.line}\r\n")
    assert (len(parsed.keys), parsed.refused) == (1, ())


@pytest.mark.parametrize(
    "options",
    [
        "verify-required",
        'environment="A=B"',
        'command="a",command="b"',
        "command=unquoted",
        'command="without end',
        'c101-socket="relative"',
        'c101-socket="/run/../etc/shadow"',
        'from="10.0.0.0/99"',
        'from=""',
        'expiry-time="tomorrow"',
        'expiry-time="20261399"',
        "restrict,,pty",
        "restrict, pty",
        'restrict="yes"',
        "cert-authority",
        'principals="root"',
        "command",
        "no-such-option",
    ],
)
def test_an_option_not_understood_refuses_its_key(options: str, key: PublicKey) -> None:
    parsed = parse_authorized_keys(f"{options} {key.line}\n{key.line} good\n")
    assert [entry.comment for entry in parsed.keys] == ["good"]
    assert [line.line_number for line in parsed.refused] == [1]


@pytest.mark.parametrize(
    "line",
    [
        "ssh-ed25519",
        "ssh-ed25519 !!!!",
        "ssh-dss AAAAB3NzaC1kc3M=",
        "ssh-ed25519 AAAAB3NzaC1yc2E=",
        "ssh-ed25519 " + "A" * 20_000,
        "\0",
        "restrict",
    ],
)
def test_a_malformed_line_is_refused_with_its_number(line: str) -> None:
    parsed = parse_authorized_keys(line)
    assert parsed.keys == ()
    assert len(parsed.refused) == 1


@pytest.mark.parametrize(
    ("patterns", "address", "expected"),
    [
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("*",), "192.168.1.1", True),
        (("192.168.?.1",), "192.168.1.1", True),
        (("192.168.?.1",), "192.168.11.1", False),
        (("*", "!10.0.0.1"), "10.0.0.1", False),
        (("!10.0.0.1",), "10.0.0.2", False),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("home.example",), "10.0.0.1", False),
        (("*",), "not an address", False),
        (("1[0-9]*",), "10.0.0.1", False),
    ],
)
def test_a_source_matches_as_openssh_has_it(
    patterns: tuple[str, ...], address: str, expected: bool
) -> None:
    assert matches_source(patterns, address) is expected


def test_a_key_ends_at_its_expiry_time(key: PublicKey) -> None:
    parsed = parse_authorized_keys(f'expiry-time="20260102030405Z" {key.line}')
    moment = 1_767_323_045
    assert parsed.find(key.blob, "10.0.0.1", moment - 1) is not None
    assert parsed.find(key.blob, "10.0.0.1", moment) is None


def test_the_first_line_of_a_key_that_holds_here_is_the_one_that_counts(key: PublicKey) -> None:
    parsed = parse_authorized_keys(
        f'from="10.0.0.0/8",command="a" {key.line}\ncommand="b" {key.line}\ncommand="c" {key.line}'
    )
    found = [parsed.find(key.blob, address, 0) for address in ("10.0.0.1", "11.0.0.1")]
    assert [entry.command for entry in found if entry] == ["a", "b"]
