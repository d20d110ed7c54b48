"""The authorized_keys of the KV's host."""

import pytest

from c101.agents.host.setup.admitted import admit
from c101.core.errors import ConfigError

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHxo0nwkYGZE3pZrJeD0uYIEBl8a4W6t8y4mTTzDVq2S"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBd9dO0n9Pfp8gJm6LzUXaEZ8UyGQ0M5kQe3eQbnZrN7"


def let_in(text: str, machine: str, *keys: str) -> str:
    return admit(text, machine, keys, program="/bin/c101-core", sockets="/run/c101")


def test_a_line_forces_the_relay_of_one_machine() -> None:
    text = let_in("", "a1", f"{KEY} a comment")
    command = "/bin/c101-core --socket-dir /run/c101 --stdio agent-a1"
    assert text == f'restrict,command="{command}" {KEY}\n'


def test_a_machine_has_one_key_and_others_keep_theirs() -> None:
    text = let_in(let_in(let_in("", "a1", KEY), "b2", KEY), "a1", OTHER)
    assert [line.split('"')[1].split()[-1] for line in text.splitlines()] == [
        "agent-b2",
        "agent-a1",
    ]
    assert text.count(OTHER) == 1
    assert let_in(text, "a1", OTHER) == text
    assert let_in(text, "b2", KEY) == text


def test_while_a_key_is_changed_both_are_let_in() -> None:
    text = let_in(let_in("", "a1", KEY), "b2", KEY)
    both = let_in(text, "a1", KEY, OTHER)
    assert both.count("agent-a1") == 2
    assert let_in(both, "a1", OTHER).count("agent-a1") == 1
    assert OTHER in let_in(both, "a1", OTHER)
    assert let_in(both, "a1", KEY, KEY).count("agent-a1") == 1


def test_a_machine_whose_id_begins_like_anothers_is_not_it() -> None:
    text = let_in(let_in("", "a1", KEY), "a12", OTHER)
    assert let_in(text, "a1") == let_in("", "a12", OTHER)


def test_what_somebody_else_wrote_stays() -> None:
    own = f"# mine\n{OTHER} me\n"
    assert let_in(let_in(own, "a1", KEY), "a1") == own


@pytest.mark.parametrize("key", ["", "nonsense", f'{KEY}"\ncommand', "ssh-dss AAAA", f"x {KEY}"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(ConfigError):
        let_in("", "a1", key)


def test_of_a_key_nothing_is_written_but_itself() -> None:
    assert let_in("", "a1", f'{KEY} me"\nssh-ed25519 AAAA') == let_in("", "a1", KEY)


@pytest.mark.parametrize("machine", ["", 'a"b', "a b", "a\nb", "../a", "a" * 65])
def test_what_is_no_machine_is_refused(machine: str) -> None:
    with pytest.raises(ConfigError):
        let_in("", machine, KEY)
    with pytest.raises(ConfigError):
        let_in("", machine)
