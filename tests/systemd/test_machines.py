"""A cluster of three real machines: the agent as a service, units under systemd, power cut."""

import json
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from c101.agents.host.service_unit import NAME, agent_unit
from tests.ctl.site import Site
from tests.lab.image import missing
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.processes import KVProcess, running_kv
from tests.systemd.conftest import REPOSITORY

T = TypeVar("T")

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

TTL_SECONDS = 6
PATIENCE_SECONDS = 30.0
SLEEPER = "[Service]\nExecStart=/bin/sleep 100000\n"
GREETER = """\
[Unit]
Description=Greets
[Service]
ExecStart=/bin/sh -c 'echo hello; exec sleep 99999'
"""
POLITE = """\
[Service]
ExecStart=/bin/sh -c 'trap "echo bye; exit 0" TERM; while :; do sleep .1; done'
"""


class Cluster:
    """A KV and an engine here, agents on machines of their own."""

    def __init__(self, lab: Lab, kv: KVProcess, site: Site) -> None:
        self.lab = lab
        self.kv = kv
        self.site = site

    def machine(self, name: str) -> Machine:
        return next(machine for machine in self.lab.machines if machine.name == name)

    def machines(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.site.json("list-machines")}

    def start(self, name: str, text: str = SLEEPER) -> Machine:
        """Start a unit; return where it runs."""
        self.site.ok("start", self.site.write(name, text))
        return self.machine(self.site.unit(name)["machine"])

    def agent_since(self, machine: Machine) -> float | None:
        """Return when the agent that is heard of began; ``None`` while there is none."""
        rows = {row["name"]: row["id"] for row in self.site.json("list-machines")}
        key = f"/c101/machines/{rows[machine.name]}/presence"
        done = self.site.ctl("get", "--raw", key)
        return float(json.loads(done.stdout)["since"]) if done.returncode == 0 else None

    def show(self, machine: Machine, unit: str, name: str) -> str:
        return machine.run(
            "systemctl", "show", "--value", f"--property={name}", unit
        ).stdout.strip()


def until(what: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """Return the first true value of *what*."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the machines have Python 3.11, this is another")
    packages = Path(sysconfig.get_paths()["purelib"])
    with running_kv(tmp_path_factory.mktemp("kv")) as kv:
        assert kv.unix is not None
        binds = {"/c101": REPOSITORY, "/packages": packages, "/kv": kv.unix.parent}
        site = Site(f"unix://{kv.unix}", private(tmp_path_factory), tmp_path_factory.mktemp("d"))
        engine = [sys.executable, "-m", "c101.core.daemon", "engine", "--kv", site.kv]
        with (
            subprocess.Popen(engine, stderr=subprocess.DEVNULL) as process,
            Lab(3, binds=binds) as lab,
        ):
            try:
                for machine in lab.machines:
                    install(machine, f"unix:///kv/{kv.unix.name}")
                cluster = Cluster(lab, kv, site)
                until(lambda: list(cluster.machines().values()) == ["ready"] * 3)
                yield cluster
            finally:
                process.terminate()


def private(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {"HOME": str(tmp_path_factory.mktemp("home")), "PATH": "/usr/bin:/bin"}


def install(machine: Machine, kv: str) -> None:
    """Install the agent as a service that starts with the machine."""
    argv = ["/usr/bin/python3", "-P", "-m", "c101.agents.host.main", "--kv", kv]
    argv += ["--lease-ttl", str(TTL_SECONDS), "--metadata", f"name={machine.name}"]
    environment = [("PYTHONPATH", "/c101:/packages"), ("PYTHONDONTWRITEBYTECODE", "1")]
    units = machine.root / "etc" / "systemd" / "system"
    (units / NAME).write_text(agent_unit(argv, environment))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", NAME)


def test_a_unit_runs_under_systemd_and_logs_to_journald(cluster: Cluster) -> None:
    machine = cluster.start("greet.service", GREETER)
    assert cluster.show(machine, "greet.service", "ActiveState") == "active"
    assert cluster.show(machine, "greet.service", "Description") == "Greets"
    logged = machine.run("journalctl", "-u", "greet.service", "-o", "cat").stdout
    assert "hello" in logged.splitlines()
    environment = cluster.show(machine, "greet.service", "Environment")
    assert "C101_KV=unix:///kv/" in environment
    cluster.site.ok("destroy", "greet.service")
    until(lambda: cluster.show(machine, "greet.service", "LoadState") == "not-found")


def test_a_killed_agent_comes_back_and_no_unit_is_restarted(cluster: Cluster) -> None:
    machine = cluster.start("steady.service")
    pid = cluster.show(machine, "steady.service", "MainPID")
    # Each has to be heard of before the next is killed: a machine without one for longer than its
    # lease is lost, and its units run elsewhere.
    heard = [cluster.agent_since(machine)]
    for _ in range(3):
        machine.run("systemctl", "kill", "-s", "KILL", NAME)
        until(lambda: cluster.agent_since(machine) not in (None, *heard))
        heard.append(cluster.agent_since(machine))
    time.sleep(TTL_SECONDS + 1)
    assert cluster.show(machine, "steady.service", "MainPID") == pid
    assert cluster.show(machine, "steady.service", "NRestarts") == "0"
    assert cluster.site.unit("steady.service")["machine"] == machine.name
    cluster.site.ok("destroy", "steady.service")


def test_a_kv_that_does_not_answer_stops_nothing(cluster: Cluster) -> None:
    machine = cluster.start("apart.service")
    pid = cluster.show(machine, "apart.service", "MainPID")
    cluster.kv.pause()
    time.sleep(TTL_SECONDS + 2)
    assert cluster.show(machine, "apart.service", "MainPID") == pid
    cluster.kv.resume()
    until(lambda: list(cluster.machines().values()) == ["ready"] * 3)
    assert cluster.show(machine, "apart.service", "MainPID") == pid
    cluster.site.ok("destroy", "apart.service")


def test_a_machine_that_hangs_for_less_than_its_lease_loses_nothing(cluster: Cluster) -> None:
    machine = cluster.start("held.service")
    pid = cluster.show(machine, "held.service", "MainPID")
    machine.freeze()
    time.sleep(TTL_SECONDS / 3)
    machine.thaw()
    time.sleep(2)
    assert cluster.site.unit("held.service")["machine"] == machine.name
    assert cluster.show(machine, "held.service", "MainPID") == pid
    cluster.site.ok("destroy", "held.service")


def test_a_power_cut_moves_units_and_the_machine_comes_back_without_them(
    cluster: Cluster,
) -> None:
    machine = cluster.start("moving.service")
    began = time.monotonic()
    machine.cut_power()

    def moved() -> Any:
        row = cluster.site.unit("moving.service")
        return row if row["machine"] != machine.name and row["active"] == "active" else None

    row = until(moved)
    assert time.monotonic() - began < TTL_SECONDS + 10
    machine.boot()
    machine.until_up()
    until(lambda: cluster.machines()[machine.name] == "ready")
    time.sleep(2)
    assert cluster.site.unit("moving.service")["machine"] == row["machine"]
    assert cluster.show(machine, "moving.service", "ActiveState") == "inactive"
    until(lambda: not list((machine.root / "var/lib/c101/units").iterdir()))
    cluster.site.ok("destroy", "moving.service")


def test_a_clean_shutdown_stops_units_in_their_own_time_and_they_move(cluster: Cluster) -> None:
    machine = cluster.start("polite.service", POLITE)
    machine.stop()
    until(lambda: cluster.site.unit("polite.service")["machine"] != machine.name)
    machine.boot()
    machine.until_up()
    logged = machine.run("journalctl", "-u", "polite.service", "-o", "cat").stdout
    assert "bye" in logged.splitlines()
    until(lambda: cluster.machines()[machine.name] == "ready")
    cluster.site.ok("destroy", "polite.service")


def test_a_name_that_the_machine_has_is_refused_with_the_reason(cluster: Cluster) -> None:
    done = cluster.site.ctl("start", "--timeout", "5", cluster.site.write("ssh.service"))
    assert done.returncode != 0
    row = cluster.site.unit("ssh.service")
    assert row["load"] == "bad-setting"
    for machine in cluster.lab.machines:
        assert cluster.show(machine, "ssh.service", "ActiveState") == "active"
    cluster.site.ok("destroy", "ssh.service")
    time.sleep(1)
    for machine in cluster.lab.machines:
        assert cluster.show(machine, "ssh.service", "ActiveState") == "active"
