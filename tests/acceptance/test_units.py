"""Units on a cluster of three machines, by the commands a person types."""

import json
import os
import signal
import subprocess
import time

from tests.acceptance.cluster import BIN, HELLO, Cluster, is_running, until

SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"


def test_a_strangers_unit_is_submitted_started_read_and_stopped(cluster: Cluster) -> None:
    cluster.submit("hello.service", HELLO)
    assert cluster.unit("hello.service")["target"] == "inactive"
    cluster.ok("start", "hello.service")
    assert cluster.unit("hello.service")["active"] == "active"
    until(
        lambda: "Hello, world" in cluster.ok("journal", "hello.service"),
        seconds=10,
        what="its lines in the journal",
    )
    cluster.ok("stop", "hello.service")
    assert cluster.unit("hello.service")["active"] == "inactive"
    cluster.ok("destroy", "hello.service")
    assert "hello.service" not in cluster.units()


def test_units_are_spread_over_the_machines(cluster: Cluster) -> None:
    names = [f"spread{n}.service" for n in range(3)]
    for name in names:
        cluster.submit(name, SLEEP)
    cluster.ok("start", *names)
    rows = cluster.units()
    assert {rows[name]["machine"] for name in names} == {"m1", "m2", "m3"}
    cluster.ok("destroy", *names)


def test_a_unit_that_fits_nowhere_says_why_and_times_out(cluster: Cluster) -> None:
    cluster.submit("picky.service", SLEEP + "[X-Fleet]\nMachineMetadata=memory=big\n")
    done = cluster.ctl("start", "--timeout", "1", "picky.service")
    assert done.returncode == 4
    assert "memory=big" in done.stderr + done.stdout
    assert "memory=big" in cluster.ok("why", "picky.service")
    row = cluster.unit("picky.service")
    assert row["machine"] is None
    assert row["reason"]
    cluster.ok("destroy", "picky.service")


def test_a_global_unit_runs_on_every_machine(cluster: Cluster) -> None:
    cluster.submit("everywhere.service", SLEEP + "[X-Fleet]\nGlobal=true\n")
    cluster.ok("start", "everywhere.service")
    rows = [row for row in cluster.json("list-units") if row["unit"] == "everywhere.service"]
    assert sorted(row["machine"] for row in rows) == ["m1", "m2", "m3"]
    assert {row["active"] for row in rows} == {"active"}
    cluster.ok("destroy", "everywhere.service")


def test_a_restart_makes_a_new_process_and_only_one(cluster: Cluster) -> None:
    cluster.submit("again.service", SLEEP)
    cluster.ok("start", "again.service")
    before = cluster.main_pid("again.service")
    cluster.ok("restart", "again.service")
    after = cluster.main_pid("again.service")
    assert after != before
    time.sleep(1)
    assert cluster.main_pid("again.service") == after
    cluster.ok("destroy", "again.service")


def test_what_runs_outlives_its_agent(cluster: Cluster) -> None:
    cluster.submit("steady.service", SLEEP)
    cluster.ok("start", "steady.service")
    pid = cluster.main_pid("steady.service")
    machine = cluster.unit("steady.service")["machine"]
    for _ in range(3):
        agent = _agent_pid(cluster, machine)
        cluster.local("kill", "--agent-only", machine)
        until(
            lambda agent=agent: _agent_pid(cluster, machine) not in {agent, None},  # type: ignore[misc]
            seconds=10,
            what="another agent",
        )
    assert is_running(pid)
    assert cluster.main_pid("steady.service") == pid
    cluster.ok("destroy", "steady.service")
    until(lambda: not is_running(pid), seconds=10, what="the end of its process")


def test_an_agent_stalled_for_less_than_its_ttl_is_not_lost(cluster: Cluster) -> None:
    cluster.submit("calm.service", SLEEP)
    cluster.ok("start", "calm.service")
    machine = cluster.unit("calm.service")["machine"]
    pid = cluster.main_pid("calm.service")
    agent = _agent_pid(cluster, machine)
    assert agent is not None
    os.kill(agent, signal.SIGSTOP)
    try:
        time.sleep(1.5)
        states = {row["name"]: row["state"] for row in cluster.json("list-machines")}
    finally:
        os.kill(agent, signal.SIGCONT)
    assert states[machine] == "ready"
    time.sleep(2)
    row = cluster.unit("calm.service")
    assert (row["machine"], row["active"]) == (machine, "active")
    assert cluster.main_pid("calm.service") == pid
    cluster.ok("destroy", "calm.service")


def test_following_the_journal_shows_lines_as_they_come(cluster: Cluster) -> None:
    cluster.submit("talk.service", HELLO)
    cluster.ok("start", "talk.service")
    command = [BIN / "c101ctl", "--kv", cluster.endpoints["kv"]["unix"], "journal", "-f", "talk"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=cluster.environment
    ) as follow:
        try:
            assert follow.stdout is not None
            lines = [follow.stdout.readline() for _ in range(5)]
            assert sum("Hello, world" in line for line in lines) >= 3
        finally:
            follow.kill()
    cluster.ok("destroy", "talk.service")


def test_an_unauthorised_key_is_refused(cluster: Cluster) -> None:
    key = cluster.directory / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    machine = cluster.endpoints["machines"][0]
    done = subprocess.run(
        [
            "ssh",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            f"UserKnownHostsFile={cluster.endpoints['ssh']['known_hosts']}",
            "-i",
            str(key),
            "-p",
            str(machine["ssh_port"]),
            f"{cluster.endpoints['ssh']['user']}@{machine['ssh_host']}",
            "c101-agent --stdio admin",
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 255
    assert "Permission denied" in done.stderr


def _agent_pid(cluster: Cluster, machine: str) -> int | None:
    (found,) = (m for m in cluster.status()["machines"] if m["name"] == machine)
    pid = found["agent_pid"]
    return int(pid) if pid else None


def test_list_units_has_the_fields_that_scripts_read(cluster: Cluster) -> None:
    cluster.submit("fields.service", SLEEP)
    (row,) = (
        r
        for r in json.loads(cluster.ok("-o", "json", "list-units"))
        if r["unit"] == "fields.service"
    )
    assert list(row) == [
        "unit",
        "machine",
        "machine_id",
        "target",
        "load",
        "active",
        "sub",
        "since",
        "reason",
    ]
    cluster.ok("destroy", "fields.service")
