"""docs/install.md, as it stands there, on three machines that have nothing but sshd and Python."""

import asyncio
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from c101.agents.client.agent_client import AgentClient
from c101.agents.install.bundle import assemble, file_name, installed_files
from c101.agents.install.target import here
from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.keys import ensure_key
from c101.core.clock import SystemClock
from c101.core.rpc.channel import Channel
from c101.core.rpc.status import RpcError
from tests.ctl.site import Site
from tests.lab.machine import Machine
from tests.systemd.cluster import SLEEPER, until
from tests.systemd.person import REPOSITORY, Person, commands

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(300)]

_ASK = r"exec 3<>/dev/tcp/127.0.0.1/9; printf 'GET /version HTTP/1.0\r\n\r\n' >&3; cat <&3"


READY = {"m1": "ready", "m2": "ready", "m3": "ready"}


def test_all_three_are_machines_of_the_cluster(person: Person) -> None:
    assert person.states() == READY
    for machine in person.lab.machines:
        shown = machine.run("systemctl", "is-active", "c101-agent.service").stdout.strip()
        assert shown == "active"
        assert machine.run("systemctl", "is-system-running").stdout.strip() == "running"


def test_what_is_done_already_is_left_as_it_is(person: Person) -> None:
    m2 = person.machine("m2")
    pid = m2.run("systemctl", "show", "--value", "--property=MainPID", "c101-agent").stdout
    rows = person.site.json("machines", "add", "root@m2", "root@m3")
    assert [row["changed"] for row in rows] == [[], []]
    assert m2.run("systemctl", "show", "--value", "--property=MainPID", "c101-agent").stdout == pid
    init = person.site.json("init", "--cluster", "prod", "root@m1")
    assert init["changed"] == []


def test_an_agents_key_opens_its_own_socket_and_nothing_else(person: Person) -> None:
    m1, m2 = person.machine("m1"), person.machine("m2")
    ssh = ("ssh", "-i", "/etc/c101/agent_key", "-o", "UserKnownHostsFile=/etc/c101/known_hosts")
    there = (*ssh, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", f"c101@{m1.address}")
    for command in (["id"], ["c101-core", "--stdio", "admin"], ["cat", "/etc/passwd"], []):
        # Whatever is asked for, the relay answers: with the KV's own HTTP/2, which begins with
        # SETTINGS, once it is spoken to; to anything else it says nothing.
        done = m2.run(*there, *command, check=False)
        assert "uid=" not in done.stdout
        assert "root:" not in done.stdout
    # A forward that only the client listens for is refused when somebody uses it.
    forward = f"{shlex.join(there)} -N -L 9:/run/c101/kv-admin.sock & echo $! > /tmp/forward"
    m2.run("sh", "-c", f"({forward}) >/dev/null 2>&1")
    try:
        until(lambda: not m2.run("sh", "-c", "ss -ltn | grep -q :9", check=False).returncode)
        answer = m2.run("bash", "-c", _ASK, check=False).stdout
        assert answer == ""
    finally:
        m2.run("sh", "-c", "kill $(cat /tmp/forward); rm /tmp/forward")
    for asked in (["-R", "9:127.0.0.1:22"], ["-R", "/tmp/s:/run/c101/kv.sock"]):
        refused = m2.run(
            *ssh,
            "-o",
            "BatchMode=yes",
            "-o",
            "ExitOnForwardFailure=yes",
            "-N",
            *asked,
            f"c101@{m1.address}",
            check=False,
            seconds=20,
        )
        assert refused.returncode != 0
    lines = (m1.root / "var/lib/c101-relay/.ssh/authorized_keys").read_text().splitlines()
    assert len(lines) == 2
    assert all(line.startswith("restrict,command=") for line in lines)


def test_a_viewers_key_reads_an_agent_and_nothing_else(person: Person, tmp_path: Path) -> None:
    m3 = person.machine("m3")
    key = ensure_key(tmp_path / "viewer")
    keys = m3.root / "root/.ssh/authorized_keys"
    before = keys.read_text()
    keys.write_text(f'{before}restrict,command="c101-agent --stdio viewer" {key.line}\n')
    person.starts("seen.service", SLEEPER)
    host_key = (m3.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().strip()
    target = SshTarget(
        host=m3.address,
        user="root",
        identity=tmp_path / "viewer",
        host_keys=(host_key,),
        config=(),
    )

    async def look() -> str:
        link = SshLink(target, SystemClock())
        # Whatever is asked for, it is the relay that answers.
        channel = Channel(link.dialer("cat /etc/shadow"))
        try:
            agent = AgentClient(channel)
            assert (await agent.facts()).hostname == "m3"
            await agent.units()
            with pytest.raises(RpcError) as caught:
                await agent.reset_failed("seen.service")
            return caught.value.status.name
        finally:
            await channel.close()
            await link.close()

    try:
        assert asyncio.run(look()) == "PERMISSION_DENIED"
        shell = ("ssh", "-i", str(tmp_path / "viewer"), "-o", "StrictHostKeyChecking=no")
        where = ("-o", f"UserKnownHostsFile={tmp_path}/known", "-o", "BatchMode=yes")
        said = subprocess.run(
            [*shell, *where, f"root@{m3.address}", "id"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=30,
            check=False,
        ).stdout
        assert "uid=" not in said
    finally:
        keys.write_text(before)
        person.types("c101ctl destroy seen.service")


def test_an_agent_writes_its_own_keys_and_no_others(person: Person) -> None:
    m2 = person.machine("m2")
    ids = {row["name"]: row["id"] for row in person.site.json("list-machines")}
    kv = ("env", "C101_KV=unix:///run/c101/kv.sock", "/usr/local/bin/c101ctl")
    m2.run(*kv, "set", "services/mine", "1")
    assert m2.run(*kv, "get", "services/mine").stdout == "1\n"
    for key in (
        f"/c101/machines/{ids['m3']}/presence",
        f"/c101/machines/{ids['m2']}/record",
        f"/c101/states/a.service/{ids['m3']}",
        "/c101/units/evil.service/file",
        "/c101/units/lb.service/target",
    ):
        refused = m2.run(*kv, "set", "--raw", "--force", key, "x", check=False)
        assert refused.returncode != 0
        assert "permission denied" in refused.stderr
    log = person.machine("m1").run("journalctl", "--unit=c101-kv", "--output=cat").stdout
    assert "evil.service" in log


def test_a_machines_programs_find_the_kv_at_a_port_where_somebody_wants_that(
    person: Person,
) -> None:
    m2 = person.machine("m2")
    kv = ("env", "C101_KV=http://127.0.0.1:2379", "/usr/local/bin/c101ctl")
    for given in (["--kv-port", "2379"], []):  # ... and it stays until somebody says otherwise
        person.site.ok("machines", "add", *given, "root@m2")
        until(lambda: m2.run(*kv, "set", "services/port", "1", check=False).returncode == 0)
    refused = m2.run(*kv, "set", "--raw", "--force", "/c101/units/a.service/file", "x", check=False)
    assert "permission denied" in refused.stderr
    person.site.ok("machines", "add", "--kv-port", "0", "root@m2")
    assert "2379" not in m2.run("ss", "-ltn").stdout


SECRETIVE = """\
[Service]
ExecStart=/bin/sh -c 'wc -c < $CREDENTIALS_DIRECTORY/token; exec sleep 100000'
[X-C101]
Secret=token
"""


def test_a_secret_is_read_where_a_unit_names_it_and_nowhere_else(person: Person) -> None:
    value = "correct-horse-battery-staple"
    path = person.home / "secretive.service"
    path.write_text(SECRETIVE)
    done = person.types(f"c101ctl start --timeout 3 {path}", check=False)
    assert "it waits for the secret token" in done.stderr
    person.site.ok("secret", "set", "token", stdin=value)
    assert person.site.json("secret", "list") == [
        {"name": "token", "kept": True, "units": ["secretive.service"]}
    ]
    until(lambda: person.site.unit("secretive.service")["active"] == "active")
    holder = person.holder("secretive.service")
    printed = holder.run("journalctl", "_SYSTEMD_UNIT=secretive.service", "--output=cat").stdout
    assert printed.strip() == str(len(value))
    # Whoever starts it: the service manager finds it, too.
    holder.run("systemctl", "kill", "--signal=KILL", "secretive.service")
    person.site.ok("restart", "secretive.service")
    for machine in person.lab.machines:
        kv = ("env", "C101_KV=unix:///run/c101/kv.sock", "/usr/local/bin/c101ctl")
        key = ("get", "--raw", "c101-secrets/c101/token")
        read = machine.run(*kv, *key, check=False)
        assert (read.returncode == 0) == (machine is holder)
        kept = machine.run(
            "sh", "-c", f"grep -rlF {value} /run/c101 /etc /var/lib/c101", check=False
        )
        assert len(kept.stdout.splitlines()) == (1 if machine is holder else 0)
        logged = machine.run("journalctl", "--output=cat").stdout
        assert value not in logged
    assert value not in person.site.ok("cat", "secretive.service")
    assert value not in person.site.ok("-o", "json", "ls", "-r", "/")
    person.types("c101ctl destroy secretive.service")
    until(lambda: not holder.run("sh", "-c", "ls -A /run/c101/secrets").stdout)
    person.site.ok("secret", "rm", "token")
    person.site.fails(3, "secret", "rm", "token")


def test_the_application_runs_and_survives_a_power_cut(person: Person) -> None:
    for command in commands("3."):
        if "curl" not in command:
            person.types(command)
    balancer = person.holder("lb.service")
    until(lambda: {"web@1", "web@2"} <= _served(person, balancer))
    web = person.holder("web@1.service")
    logged = web.run("journalctl", "--unit=web@1.service", "--output=cat").stdout
    assert "serves on" in logged
    assert "serves on" in person.types("c101ctl journal web@1").stdout
    victim = next(
        machine
        for machine in (person.machine("m2"), person.machine("m3"))
        if any(row["machine"] == machine.name for row in person.site.json("list-units"))
    )
    lost = [row["unit"] for row in person.site.json("list-units") if row["machine"] == victim.name]
    victim.cut_power()
    try:
        until(lambda: all(_active_elsewhere(person, unit, victim.name) for unit in lost), 60)
        until(lambda: {"web@1", "web@2"} <= _served(person, person.holder("lb.service")), 60)
    finally:
        victim.boot()
        victim.until_up()
    until(lambda: person.states() == READY, 60)
    person.types("c101ctl destroy " + " ".join(row["unit"] for row in _units(person)))


def _units(person: Person) -> list[dict[str, Any]]:
    return list(person.site.json("list-unit-files"))


def _served(person: Person, machine: Machine) -> set[str]:
    pages = [person.page(machine) for _ in range(4)]
    return {found for page in pages for found in re.findall(r"hello from (web@\d): db\d has", page)}


def _active_elsewhere(person: Person, unit: str, lost: str) -> bool:
    row = person.site.unit(unit)
    return row["machine"] not in (None, lost) and row["active"] == "active"


def test_a_newer_version_comes_while_units_run_on(person: Person, tmp_path: Path) -> None:
    for number in range(3):
        person.starts(f"steady{number}.service", SLEEPER)
    before = _running(person)
    assert [row["changed"] for row in person.site.json("machines", "upgrade")] == [[], [], []]
    newer = assemble(here(), [*installed_files(), ("c101_newer.py", Path(__file__))])
    (tmp_path / file_name(here())).write_bytes(newer.data)
    # One of them first: the others are of the version before, and work with it.
    rows = person.site.json("machines", "upgrade", "m2", "--agent-dir", str(tmp_path))
    assert any("started c101-agent" in one for one in rows[0]["changed"])
    mixed = person.starts("mixed.service", SLEEPER)
    person.types("c101ctl destroy mixed.service")
    assert mixed.name in person.states()
    rows = person.site.json("machines", "upgrade", "--agent-dir", str(tmp_path))
    assert [row["name"] for row in rows] == ["m2", "m3", "m1"]
    assert rows[0]["changed"] == []
    assert any("started c101-kv" in one for one in rows[2]["changed"])
    for machine in person.lab.machines:
        current = machine.run("readlink", "/usr/local/lib/c101/current").stdout.strip()
        assert current == newer.id
    # ... and back to the one before.
    person.site.json("machines", "upgrade")
    assert person.states() == READY
    assert _running(person) == before
    person.types("c101ctl destroy steady0 steady1 steady2")


def _running(person: Person) -> dict[str, tuple[str, str]]:
    """Return where each unit runs, and as which process."""
    found = {}
    for row in person.site.json("list-units"):
        machine = person.machine(row["machine"])
        shown = machine.run("systemctl", "show", "--value", "--property=MainPID", row["unit"])
        found[row["unit"]] = (machine.name, shown.stdout.strip())
    return found


def test_agents_get_new_keys_and_the_old_ones_open_nothing(person: Person) -> None:
    m1, m2 = person.machine("m1"), person.machine("m2")
    m2.run("cp", "/etc/c101/agent_key", "/tmp/old_key")
    lines = m1.root / "var/lib/c101-relay/.ssh/authorized_keys"
    before = set(lines.read_text().splitlines())
    rows = person.site.json("machines", "rotate-keys")
    assert [row["name"] for row in rows] == ["m2", "m3"]
    after = set(lines.read_text().splitlines())
    assert len(after) == 2
    assert not after & before
    known = ("-o", "UserKnownHostsFile=/etc/c101/known_hosts", "-o", "BatchMode=yes")
    refused = m2.run("ssh", "-i", "/tmp/old_key", *known, f"c101@{m1.address}", check=False)
    assert "Permission denied" in refused.stderr
    assert person.states() == READY
    assert "no key" in person.site.ctl("machines", "rotate-keys", "m1").stderr


def test_machines_get_new_host_keys_and_nobody_is_shut_out(person: Person) -> None:
    steady = person.starts("steady.service", SLEEPER)
    pid = steady.run("systemctl", "show", "--value", "--property=MainPID", "steady").stdout
    names = ("m1", "m2")
    public = {
        name: person.machine(name).root / "etc/ssh/ssh_host_ed25519_key.pub" for name in names
    }
    before = {name: path.read_text().split()[1] for name, path in public.items()}
    rows = person.site.json("machines", "rotate-host-keys", *names)
    assert [row["name"] for row in rows] == list(names)
    after = {name: path.read_text().split()[1] for name, path in public.items()}
    for name in names:
        assert before[name] != after[name]
        record = person.site.ok("get", "--raw", f"/c101/machines/{_id_of(person, name)}/record")
        assert after[name] in record
        assert before[name] not in record
        left = person.machine(name).run("ls", "/etc/ssh").stdout
        assert "c101" not in left
    for machine in person.lab.machines:
        known = (machine.root / "etc/c101/known_hosts").read_text()
        assert before["m1"] not in known
        assert (after["m1"] in known) == (machine.name != "m1")
        machine.run("systemctl", "restart", "c101-agent")
    until(lambda: person.states() == READY)
    # What an upgrade writes again is what is trusted now.
    assert all(row["changed"] == [] for row in person.site.json("machines", "upgrade"))
    assert steady.run("systemctl", "show", "--value", "--property=MainPID", "steady").stdout == pid
    person.types("c101ctl destroy steady.service")


def _id_of(person: Person, name: str) -> str:
    rows = person.site.json("list-machines")
    return next(str(row["id"]) for row in rows if row["name"] == name)


def test_a_machine_that_is_removed_keeps_no_trace(person: Person) -> None:
    m3 = person.machine("m3")
    for number in range(3):
        person.starts(f"leaving{number}.service", SLEEPER)
    for command in commands("6."):
        person.types(command)
    assert set(person.states()) == {"m1", "m2"}
    left = m3.run(
        "find", "/", "-xdev", "-name", "*c101*", "-not", "-path", "/proc/*", check=False
    ).stdout.split()
    assert [path for path in left if not path.startswith(("/var/log/", "/tmp/"))] == []
    units = m3.run("systemctl", "list-units", "--all", "--plain", "--no-legend").stdout
    assert not re.search(r"^(leaving|c101)", units, re.MULTILINE)
    assert m3.run("systemctl", "is-system-running").stdout.strip() == "running"
    lines = (person.machine("m1").root / "var/lib/c101-relay/.ssh/authorized_keys").read_text()
    assert len(lines.splitlines()) == 1
    rows = person.site.json("list-units")
    assert {row["active"] for row in rows} == {"active"}
    assert "m3" not in {row["machine"] for row in rows}
    person.types("c101ctl destroy leaving0 leaving1 leaving2")
    person.types("c101ctl machines add root@m3")
    assert person.states() == READY


def test_the_machine_of_the_kv_is_not_removed_by_mistake(person: Person) -> None:
    assert "runs the KV" in person.site.fails(2, "machines", "remove", "m1")


def test_a_host_that_cannot_be_a_machine_is_told_why(person: Person) -> None:
    m3 = person.machine("m3")
    m3.run("mv", "/usr/bin/python3.11", "/usr/bin/python3.11.away")
    try:
        said = person.site.fails(1, "machines", "add", "root@m3")
        assert "Python" in said
        assert "3.11" in said
    finally:
        m3.run("mv", "/usr/bin/python3.11.away", "/usr/bin/python3.11")
    assert "not a port" in person.site.fails(2, "machines", "add", "root@m3:x")
    assert "10.101" not in person.site.fails(5, "machines", "add", "nobody@m3")


def test_an_unknown_host_is_refused_where_nobody_can_be_asked(
    person: Person, tmp_path: Path
) -> None:
    environment = {**person.environment, "XDG_CONFIG_HOME": str(tmp_path)}
    site = Site("", environment, REPOSITORY)
    said = site.fails(5, "hosts", "trust", "root@m3")
    assert "unknown" in said
    assert "SHA256:" in said
    site.ok("hosts", "trust", "--accept-new", "root@m3")
    (row,) = site.json("hosts", "list")
    assert row["host"] == "m3" or row["host"].endswith(person.machine("m3").address)
    site.ok("hosts", "forget", row["host"])
    assert site.json("hosts", "list") == []
    site.fails(3, "hosts", "forget", "m3")
