"""Our own known_hosts, and an unknown host met for the first time."""

import threading
from pathlib import Path

import pytest

from c101.agents.ssh.endpoints import machine_target
from c101.agents.ssh.keys import ensure_key
from c101.agents.ssh.known_hosts import load_known_hosts
from c101.agents.ssh.trust import forget, name_of, remember, remembered
from c101.core.config import SshAccess
from c101.core.errors import ConfigError
from c101.core.model.machine import Machine, MachineRecord


def test_what_is_remembered_is_known_and_what_is_forgotten_is_not(tmp_path: Path) -> None:
    path = tmp_path / "new" / "known_hosts"
    key, other = ensure_key(tmp_path / "a"), ensure_key(tmp_path / "b")
    remember(path, name_of("M1", None), key)
    remember(path, name_of("m1", 2222), other)
    remember(path, name_of("m1", 22), key)
    assert remembered(path) == [("m1", key), ("[m1]:2222", other)]
    known = load_known_hosts([path])
    assert [one.key for one in known.lookup("m1").keys] == [key]
    assert [one.key for one in known.lookup("m1", 2222).keys] == [other]
    assert path.stat().st_mode & 0o777 == 0o600
    assert forget(path, name_of("m1", 22)) == 1
    assert forget(path, name_of("m1", 22)) == 0
    assert remembered(path) == [("[m1]:2222", other)]


def test_many_at_once_lose_none(tmp_path: Path) -> None:
    path, key = tmp_path / "known_hosts", ensure_key(tmp_path / "a")
    names = [f"m{number}" for number in range(20)]
    threads = [threading.Thread(target=remember, args=(path, name, key)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, _ in remembered(path)) == sorted(names)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be written"):
        remember(tmp_path / "file" / "known_hosts", "m1", ensure_key(tmp_path / "a"))


@pytest.mark.parametrize("host", ["-oProxyCommand=x", "a b", "", "a\nb"])
def test_what_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(ConfigError):
        name_of(host, None)


def test_a_machine_of_the_users_configuration_is_reached_as_that_says(home: Path) -> None:
    record = MachineRecord(
        id="a1", name="m1", addresses=("10.0.0.1",), ssh_user="root", host_keys=("k",)
    )
    machine = Machine(id="a1", record=record)
    plain = machine_target(machine, SshAccess())
    assert (plain.host, plain.user, plain.port) == ("10.0.0.1", "root", 22)
    (home / ".ssh").mkdir()
    (home / ".ssh" / "config").write_text("host=other m1\n  Port 2200\nHost m?\n  User x\n")
    named = machine_target(machine, SshAccess())
    assert (named.host, named.user, named.port) == ("m1", None, None)
    assert named.host_keys == ("k",)
    # A cluster that says which key is used says how its machines are reached.
    assert machine_target(machine, SshAccess(identity="/key")).host == "10.0.0.1"
