"""Faults of machines and of the network between them: no unit stops that need not, all comes back.

The agents reach the KV over SSH, as on machines of one's own.
"""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.ctl.site import Running
from tests.lab.machine import Machine
from tests.lab.network import Network
from tests.systemd.cluster import SLEEPER, TTL_SECONDS, until
from tests.systemd.person import Person

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

#: A link that is dead is given up after 3 keepalives 5 s apart; then it is made anew.
BACK_SECONDS_MAX = 60.0
READY = {"m1": "ready", "m2": "ready", "m3": "ready"}


def pid_of(machine: Machine, unit: str) -> str:
    shown = machine.run("systemctl", "show", "--value", "--property=MainPID", unit)
    return shown.stdout.strip()


def start_away_from_the_kv(person: Person, unit: str) -> Machine:
    """Start a unit that may run anywhere but on the KV's machine."""
    person.types("c101ctl start " + str(_written(person, "at-the-kv.service", "MachineID=m1")))
    machine = person.starts(unit, SLEEPER + "[X-Fleet]\nConflicts=at-the-kv.service\n")
    assert machine.name != "m1"
    return machine


def _written(person: Person, name: str, option: str) -> object:
    path = person.home / name
    machine_id = next(row["id"] for row in person.site.json("list-machines") if row["name"] == "m1")
    path.write_text(SLEEPER + f"[X-Fleet]\n{option.replace('m1', machine_id)}\n")
    return path


Fault = Callable[[Network, int], None]

FAULTS: dict[str, Fault] = {
    "isolated": lambda network, number: network.isolate(number),
    "unplugged": lambda network, number: network.unplug(number),
    "cut from the KV": lambda network, number: network.cut(number, 1),
    "unheard by the KV": lambda network, number: network.cut_one_way(number, 1),
    "deaf to the KV": lambda network, number: network.cut_one_way(1, number),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_machine_that_is_cut_off_goes_on_and_gives_way_when_it_is_back(
    person: Person, fault: str
) -> None:
    unit = "cut.service"
    machine = start_away_from_the_kv(person, unit)
    pid = pid_of(machine, unit)
    FAULTS[fault](person.lab.network, machine.number)
    try:
        until(lambda: person.states()[machine.name] == "lost", TTL_SECONDS + 20)
        until(lambda: _active_on_another(person, unit, machine.name))
        # Nobody can tell it: it runs what it ran.
        assert pid_of(machine, unit) == pid
    finally:
        person.lab.heal()
    until(lambda: person.states() == READY, BACK_SECONDS_MAX)
    until(lambda: pid_of(machine, unit) == "0", BACK_SECONDS_MAX)
    row = person.site.unit(unit)
    assert row["machine"] != machine.name
    assert pid_of(person.machine(row["machine"]), unit) not in ("", "0")
    person.types(f"c101ctl destroy {unit} at-the-kv.service")


def _active_on_another(person: Person, unit: str, name: str) -> bool:
    row = person.site.unit(unit)
    return row["machine"] not in (None, name) and row["active"] == "active"


def _switch_on(machine: Machine) -> None:
    machine.boot()
    machine.until_up()


OUTAGES: dict[str, tuple[Callable[[Machine], None], Callable[[Machine], None]]] = {
    "without power": (Machine.cut_power, _switch_on),
    "frozen": (Machine.freeze, Machine.thaw),
}


@pytest.mark.parametrize("outage", OUTAGES)
def test_without_the_machine_of_the_kv_no_unit_stops(person: Person, outage: str) -> None:
    unit = "alone.service"
    machine = start_away_from_the_kv(person, unit)
    pid = pid_of(machine, unit)
    begin, end = OUTAGES[outage]
    begin(person.machine("m1"))
    try:
        time.sleep(TTL_SECONDS + 4)
        assert pid_of(machine, unit) == pid
    finally:
        end(person.machine("m1"))
    until(lambda: _reached(person) == READY, BACK_SECONDS_MAX)
    time.sleep(TTL_SECONDS)
    assert pid_of(machine, unit) == pid
    assert person.site.unit(unit)["machine"] == machine.name
    assert _reached(person) == READY
    person.types(f"c101ctl destroy {unit} at-the-kv.service")


def _reached(person: Person) -> dict[str, str]:
    done = person.site.ctl("-o", "json", "list-machines")
    return person.states() if done.returncode == 0 else {}


def test_a_fifth_of_the_packets_lost_loses_no_machine_for_good(person: Person) -> None:
    unit = "lossy.service"
    machine = start_away_from_the_kv(person, unit)
    person.lab.network.lose(machine.number, 20)
    person.lab.network.lose(1, 20)
    try:
        time.sleep(3 * TTL_SECONDS)
        person.types("c101ctl list-units")
    finally:
        person.lab.heal()
    until(lambda: person.states() == READY, BACK_SECONDS_MAX)
    until(lambda: person.site.unit(unit)["active"] == "active")
    # Whoever runs it besides where it belongs stops it.
    until(lambda: _holders(person, unit) == [person.site.unit(unit)["machine"]], BACK_SECONDS_MAX)
    person.types(f"c101ctl destroy {unit} at-the-kv.service")


def _holders(person: Person, unit: str) -> list[str]:
    return [one.name for one in person.lab.machines if pid_of(one, unit) not in ("", "0")]


def test_the_journal_is_followed_over_a_restart_of_journald_and_of_the_link(
    person: Person,
) -> None:
    count = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done"
    machine = person.starts("count.service", f"[Service]\nExecStart=/bin/sh -c '{count}'\n")
    person.types("c101ctl journal -n 1 count")
    with person.site.running("journal", "-f", "-n", "5", "count") as following:
        numbers = [_number(following) for _ in range(50)]
        machine.run("systemctl", "restart", "systemd-journald")
        numbers += [_number(following) for _ in range(100)]
        machine.run("systemctl", "kill", "-s", "KILL", "c101-agent")
        numbers += [_number(following) for _ in range(300)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    person.types("c101ctl destroy count.service")


def _number(following: Running) -> int:
    """Return the number of the next line that the unit printed."""
    while True:
        _, printed, number = following.line(seconds=30).rpartition(": line ")
        if printed:
            return int(number)


_SMALL_DISK = """
set -e
systemctl stop {service}; cp -a {place} /var/lib/kept
mount -t tmpfs -o size={size} tmpfs {place}; cp -a /var/lib/kept/. {place}
systemctl start {service}
"""
_LARGE_DISK = """
set -e
systemctl stop {service}; rm -rf /var/lib/kept; cp -a {place} /var/lib/kept; umount {place}
find {place} -mindepth 1 -delete; cp -a /var/lib/kept/. {place}; rm -rf /var/lib/kept
systemctl start {service}
"""


@contextmanager
def _small_disk(machine: Machine, place: str, service: str, size: str) -> Iterator[None]:
    """Have *service* keep what is in *place* on a disk of that size for the length of the block."""
    words = {"place": place, "service": service, "size": size}
    machine.run("sh", "-c", _SMALL_DISK.format(**words))
    try:
        yield
    finally:
        machine.run("sh", "-c", _LARGE_DISK.format(**words))


def test_a_full_disk_under_the_kv_stops_no_unit_and_is_over_with_it(person: Person) -> None:
    unit = "full.service"
    machine = start_away_from_the_kv(person, unit)
    pid = pid_of(machine, unit)
    m1 = person.machine("m1")
    with _small_disk(m1, "/var/lib/c101-kv", "c101-kv", "24m"):
        until(lambda: _reached(person) == READY, BACK_SECONDS_MAX)
        person.types("c101ctl set services/full before")
        m1.run("sh", "-c", "cat /dev/zero > /var/lib/c101-kv/filler || true")
        refused = until(lambda: _refused(person))
        assert "space" in refused
        assert person.types("c101ctl get services/full").stdout
        time.sleep(TTL_SECONDS + 2)
        assert pid_of(machine, unit) == pid
        m1.run("rm", "/var/lib/c101-kv/filler")
        until(lambda: person.site.ctl("set", "services/full", "after").returncode == 0, 60)
        until(lambda: _reached(person) == READY, BACK_SECONDS_MAX)
        assert pid_of(machine, unit) == pid
        assert person.site.unit(unit)["machine"] == machine.name
    until(lambda: _reached(person) == READY, BACK_SECONDS_MAX)
    assert person.types("c101ctl get services/full").stdout == "after\n"
    person.types(f"c101ctl destroy {unit} at-the-kv.service")


def test_a_full_disk_of_a_machine_stops_no_unit_and_is_over_with_it(person: Person) -> None:
    unit = "fits.service"
    machine = start_away_from_the_kv(person, unit)
    pid = pid_of(machine, unit)
    ids = {row["name"]: row["id"] for row in person.site.json("list-machines")}
    late = person.home / "late.service"
    late.write_text(SLEEPER + f"[X-Fleet]\nMachineID={ids[machine.name]}\n")
    with _small_disk(machine, "/var/lib/c101", "c101-agent", "2m"):
        until(lambda: _reached(person) == READY, BACK_SECONDS_MAX)
        machine.run("sh", "-c", "cat /dev/zero > /var/lib/c101/filler || true")
        agent = pid_of(machine, "c101-agent.service")
        person.types(f"c101ctl start --no-block {late}")
        until(lambda: person.site.unit("late.service")["reason"] == "No space left on device")
        time.sleep(TTL_SECONDS + 2)
        assert person.states() == READY
        assert pid_of(machine, "c101-agent.service") == agent
        assert pid_of(machine, unit) == pid
        log = machine.run("journalctl", "-u", "c101-agent", "--since=-10s", "-o", "cat").stdout
        assert 1 <= log.count("task failed") < 10
        machine.run("rm", "/var/lib/c101/filler")
        until(lambda: person.site.unit("late.service")["active"] == "active")
        assert person.site.unit(unit)["machine"] == machine.name
    until(lambda: _reached(person) == READY, BACK_SECONDS_MAX)
    assert pid_of(machine, unit) == pid
    person.types(f"c101ctl destroy {unit} late at-the-kv.service")


def _refused(person: Person) -> str:
    """Write until that is refused; return with which words."""
    done = person.site.ctl("set", "services/full", stdin="x" * 1_000_000)
    return done.stderr if done.returncode else ""


_SHIFTED = """\
[Service]
Environment=LD_PRELOAD=/usr/local/lib/libfaketime.so.1 FAKETIME_TIMESTAMP_FILE=/etc/faketimerc
Environment=FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1
"""


def _library() -> Path | None:
    return next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.skipif(_library() is None, reason="needs libfaketime")
def test_the_clock_of_an_agent_jumps_and_nothing_else_happens(person: Person) -> None:
    machine = start_away_from_the_kv(person, "clock.service")
    pid = pid_of(machine, "clock.service")
    library = _library()
    assert library is not None
    shutil.copy(library, machine.root / "usr/local/lib/libfaketime.so.1")
    offset = machine.root / "etc/faketimerc"
    offset.write_text("+0s\n")
    folder = machine.root / "etc/systemd/system/c101-agent.service.d"
    folder.mkdir()
    (folder / "clock.conf").write_text(_SHIFTED)
    try:
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "c101-agent")
        for seconds in (3_600, -7_200):
            until(lambda: person.states() == READY)
            before = _agent_since(person, machine)
            offset.write_text(f"{seconds:+}s\n")
            time.sleep(TTL_SECONDS + 3)
            # It was not lost meanwhile, and neither was its unit.
            assert person.states() == READY
            assert _agent_since(person, machine) == before
            machine.run("systemctl", "kill", "--signal=KILL", "c101-agent")
            since = until(partial(_another_agent, person, machine, before))
            assert since is not None
            assert abs(since - time.time() - seconds) < 60
            until(partial(_tells_an_offset, machine, seconds))
            started = person.starts("anew.service", _on(person, machine))
            assert started is machine
            person.types("c101ctl destroy anew.service")
    finally:
        shutil.rmtree(folder)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "restart", "c101-agent")
    until(lambda: person.states() == READY)
    assert pid_of(machine, "clock.service") == pid
    assert person.site.unit("clock.service")["machine"] == machine.name
    person.types("c101ctl destroy clock.service at-the-kv.service")


def _agent_since(person: Person, machine: Machine) -> float | None:
    """Return when the agent that is heard of began, by its own clock; ``None`` without one."""
    ids = {row["name"]: row["id"] for row in person.site.json("list-machines")}
    done = person.site.ctl("get", "--raw", f"/c101/machines/{ids[machine.name]}/presence")
    return float(json.loads(done.stdout)["since"]) if done.returncode == 0 else None


def _tells_an_offset(machine: Machine, seconds: float) -> bool:
    """Say whether an agent has logged last that its clock is so far ahead of the KV's host's."""
    log = machine.run("journalctl", "--unit=c101-agent", "--output=cat").stdout
    told = re.findall(r"the clock here differs .*seconds_ahead=(-?[0-9.]+)", log)
    return bool(told) and abs(float(told[-1]) - seconds) < 60


def _another_agent(person: Person, machine: Machine, before: float | None) -> float | None:
    """Return when an agent began that is not the one of *before*; ``None`` without one."""
    since = _agent_since(person, machine)
    return None if since == before else since


def _on(person: Person, machine: Machine) -> str:
    ids = {row["name"]: row["id"] for row in person.site.json("list-machines")}
    return f"{SLEEPER}[X-Fleet]\nMachineID={ids[machine.name]}\n"
