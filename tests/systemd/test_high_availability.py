"""``kv ha``: from the KV on one machine to a real etcd on three, on machines of the lab."""

import json
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.conftest import Summary
from tests.lab.machine import Machine
from tests.systemd.cluster import SLEEPER, until
from tests.systemd.moving import NAMES, cluster_with_packages, moves, running
from tests.systemd.person import Person

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

READY = dict.fromkeys((*NAMES, "m4"), "ready")
UNITS = [f"steady{number}.service" for number in range(8)]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody with a cluster of four machines, whose KV is on m1, and units on all of them."""
    with cluster_with_packages(tmp_path_factory, 4) as somebody:
        somebody.types("c101ctl machines add --accept-new root@m4")
        for unit in UNITS:
            somebody.starts(unit, SLEEPER)
        yield somebody


@pytest.fixture(scope="module")
def moved(person: Person) -> Mapping[str, Any]:
    """What the command says, and what was seen before and after it."""
    before = running(person)
    began = time.monotonic()
    done = moves(person)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    seconds = time.monotonic() - began
    return {
        "document": document,
        "seconds": seconds,
        "before": before,
        "after": running(person),
    }


def _etcdctl(machine: Machine, *arguments: str) -> Any:
    folder = "/etc/c101/etcd"
    tls = f"--cacert {folder}/ca.pem --cert {folder}/client.pem --key {folder}/client.key"
    command = f"ETCDCTL_API=3 etcdctl {tls} --endpoints https://127.0.0.1:2379 -w json"
    done = machine.run("sh", "-c", f"{command} {shlex.join(arguments)}")
    return json.loads(done.stdout)


def _leader(person: Person) -> Machine:
    for name in NAMES:
        (status,) = _etcdctl(person.machine(name), "endpoint", "status")
        if status["Status"]["header"]["member_id"] == status["Status"]["leader"]:
            return person.machine(name)
    raise AssertionError("there is no leader")


def test_no_unit_stops_and_no_key_is_lost(
    person: Person, moved: Mapping[str, Any], summary: Summary
) -> None:
    summary(f"kv ha on three machines: {moved['seconds']:.1f} s")
    assert moved["document"]["members"] == list(NAMES)
    assert moved["before"] == moved["after"]
    assert person.states() == READY
    members = _etcdctl(person.machine("m3"), "member", "list")["members"]
    assert sorted(one["name"] for one in members) == list(NAMES)
    now = running(person)
    assert set(now) == set(UNITS)
    started = person.starts("new.service", SLEEPER)
    assert started.name in READY
    person.types("c101ctl destroy new.service")
    assert json.loads(moves(person).stdout)["members"] == list(NAMES)
    assert running(person) == now


def test_sockets_have_the_roles_that_they_had(person: Person, moved: Mapping[str, Any]) -> None:
    del moved
    ids = {row["name"]: row["id"] for row in person.site.json("list-machines")}
    for name in ("m2", "m4"):
        kv = ("env", "C101_KV=unix:///run/c101/kv.sock", "/usr/local/bin/c101ctl")
        machine = person.machine(name)
        machine.run(*kv, "set", "services/mine", name)
        for key in (f"/c101/machines/{ids['m3']}/presence", "/c101/units/evil.service/file"):
            refused = machine.run(*kv, "set", "--raw", "--force", key, "x", check=False)
            assert "permission denied" in refused.stderr
    # Without a certificate the etcd itself says nothing.
    m2 = person.machine("m2")
    anybody = "ETCDCTL_API=3 etcdctl --insecure-skip-tls-verify --command-timeout=2s"
    done = m2.run("sh", "-c", f"{anybody} --endpoints https://127.0.0.1:2379 get a", check=False)
    assert done.returncode != 0


def _first(person: Person) -> Machine:
    """Return the host that ``c101ctl`` asks first."""
    return person.machine("m1")


def _asked_by_m4(person: Person) -> Machine:
    """Return the host that the agent of m4, where there is no etcd, is logged in to."""
    connections = person.machine("m4").run("ss", "-tnH", "state", "established").stdout
    return next(
        person.machine(name)
        for name in NAMES
        if f"{person.machine(name).address}:22" in connections
    )


@pytest.mark.parametrize("which", [_leader, _first, _asked_by_m4])
def test_any_host_may_lose_its_power(
    person: Person, moved: Mapping[str, Any], which: Callable[[Person], Machine]
) -> None:
    del moved
    before = running(person)
    victim = which(person)
    lost = {unit for unit, (name, _) in before.items() if name == victim.name}
    victim.cut_power()
    try:
        until(lambda: person.states().get(victim.name) == "lost", 60)
        until(lambda: lost <= set(_active(person)) and not _on(person, victim), 60)
        person.starts("meanwhile.service", SLEEPER)
        person.types("c101ctl destroy meanwhile.service")
        after = running(person)
        kept = {unit: where for unit, where in before.items() if unit not in lost}
        assert {unit: after[unit] for unit in kept} == kept
    finally:
        victim.boot()
        victim.until_up()
    until(lambda: person.states() == READY, 60)
    until(lambda: len(_etcdctl(victim, "endpoint", "status")) == 1, 60)


def _active(person: Person) -> list[str]:
    return [row["unit"] for row in person.site.json("list-units") if row["active"] == "active"]


def _on(person: Person, machine: Machine) -> list[str]:
    rows = person.site.json("list-units")
    return [row["unit"] for row in rows if row["machine"] == machine.name]


def test_machines_come_and_go_and_keys_are_changed(
    person: Person, moved: Mapping[str, Any]
) -> None:
    del moved
    assert "runs the KV" in person.site.fails(2, "machines", "remove", "m2")
    person.types("c101ctl machines remove m4")
    assert set(person.states()) == set(NAMES)
    person.types("c101ctl machines add root@m4")
    until(lambda: person.states() == READY)
    for name in NAMES:
        lines = (person.machine(name).root / "var/lib/c101-relay/.ssh/authorized_keys").read_text()
        assert len(lines.splitlines()) == 3
    rows = person.site.json("machines", "rotate-keys")
    assert [row["name"] for row in rows] == ["m4", *NAMES]
    rows = person.site.json("machines", "upgrade")
    assert [row["changed"] for row in rows] == [[], [], [], []]
    assert person.states() == READY


def test_the_etcd_may_ask_everybody_for_a_name(person: Person, moved: Mapping[str, Any]) -> None:
    del moved
    before = running(person)
    person.types("c101ctl kv roles --enable")
    users = _etcdctl(person.machine("m1"), "user", "list")["users"]
    ids = {row["name"]: row["id"] for row in person.site.json("list-machines")}
    assert {"root", "c101-viewer", "c101-operator", f"c101-agent-{ids['m4']}"} <= set(users)
    # Fronts and engines come with the certificate of root: nothing changes for anybody.
    person.starts("named.service", SLEEPER)
    person.types("c101ctl destroy named.service")
    assert person.states() == READY
    assert running(person) == before
    again = json.loads(person.site.ok("-o", "json", "kv", "roles"))
    assert "grant" not in {change["change"] for change in again["changes"]}
