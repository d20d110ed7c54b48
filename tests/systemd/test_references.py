"""Units that refer to others, on real machines: they wait, begin, and hear when those move."""

from collections.abc import Iterator

import pytest

from tests.lab.machine import Machine
from tests.systemd.cluster import Cluster, missing, running_cluster, until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

DB = "[Service]\nExecStart=/bin/sleep 100000\n[X-C101]\nPort=41001\n"
APP = """\
[Service]
Environment=DB=${c101:db.address}:${c101:db.port}
ExecStart=/bin/sh -c 'echo uses $DB; exec sleep 100000'
ExecReload=/bin/echo reloads ${c101:db.address}
[X-C101]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := missing():
        pytest.skip(reason)
    with running_cluster(tmp_path_factory.mktemp("c"), 2) as cluster:
        yield cluster


def printed(cluster: Cluster, unit: str) -> list[str]:
    machine = cluster.machine(cluster.site.unit(unit)["machine"])
    own = machine.run("journalctl", f"_SYSTEMD_UNIT={unit}", "--output=cat").stdout
    return own.split("\n")


def there(cluster: Cluster, unit: str) -> Machine:
    """Return where a unit is active."""
    until(lambda: cluster.site.unit(unit)["active"] == "active")
    return cluster.machine(cluster.site.unit(unit)["machine"])


def test_a_unit_waits_for_another_and_hears_when_that_moves(cluster: Cluster) -> None:
    site = cluster.site
    for kind in ("restart", "reload", "nothing"):
        name = site.write(f"{kind}.service", f"{APP}WhenMoved={kind}\n")
        done = site.ctl("start", "--timeout", "3", name)
        assert done.returncode != 0
        assert "it waits for db.service: there is no such unit" in done.stderr
    waits = site.ctl("why", "restart.service").stdout
    assert "it is placed here: it waits for db.service: there is no such unit" in waits
    assert site.unit("restart.service")["sub"] == "waiting"
    first = cluster.start("db.service", DB)
    before = f"uses {first.address}:41001"
    kinds = ("restart.service", "reload.service", "nothing.service")
    for kind in kinds:
        there(cluster, kind)
    until(lambda: all(before in printed(cluster, kind) for kind in kinds))
    pids = {
        kind: cluster.show(there(cluster, f"{kind}.service"), f"{kind}.service", "MainPID")
        for kind in ("reload", "nothing")
    }
    # It is taken from its machine: the units that refer to it are to stay on theirs.
    other = next(one for one in cluster.lab.machines if one is not first)
    moved = site.write("db.service", f"{DB}MachineMetadata=name={other.name}\n")
    site.ok("submit", "--replace", moved)
    assert until(lambda: there(cluster, "db.service") is other or None)
    after = f"uses {other.address}:41001"
    until(lambda: after in printed(cluster, "restart.service"))
    until(lambda: f"reloads {other.address}" in printed(cluster, "reload.service"))
    for kind, pid in pids.items():
        machine = there(cluster, f"{kind}.service")
        assert cluster.show(machine, f"{kind}.service", "MainPID") == pid
        assert after not in printed(cluster, f"{kind}.service")
    assert site.unit("restart.service")["active"] == "active"
    site.ok("restart", "nothing.service")
    until(lambda: after in printed(cluster, "nothing.service"))


def test_a_reference_that_is_none_is_refused_where_it_is_submitted(cluster: Cluster) -> None:
    site = cluster.site
    bad = site.write("bad.service", "[Service]\nExecStart=/bin/echo ${c101:db.adress}\n")
    said = site.fails(1, "submit", bad)
    assert "bad.service:2" in said
    assert "neither an address nor a port" in said
