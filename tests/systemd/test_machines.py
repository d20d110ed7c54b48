"""A cluster of three real machines: the agent as a service, units under systemd, power cut."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from c101.agents.host.service_unit import NAME
from tests.systemd.cluster import TTL_SECONDS, Cluster, missing, running_cluster, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

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


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    with running_cluster(tmp_path_factory.mktemp("c"), 3) as cluster:
        yield cluster


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
