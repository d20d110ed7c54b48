"""``kv ha`` where it cannot be: said before anything is changed, and what fails goes back."""

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.systemd.cluster import SLEEPER, until
from tests.systemd.moving import NAMES, cluster_with_packages, moves, running
from tests.systemd.person import Person

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(400)]

READY = dict.fromkeys(NAMES, "ready")
_BROKEN = "[Service]\nExecStart=\nExecStart=/bin/false\n"


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody with a cluster of three machines, whose KV is on m1."""
    with cluster_with_packages(tmp_path_factory, 3) as somebody:
        for number in range(3):
            somebody.starts(f"steady{number}.service", SLEEPER)
        yield somebody


def test_what_is_in_the_way_is_said_and_nothing_is_changed(person: Person) -> None:
    assert json.loads(moves(person, "--check").stdout) == {"ok": True, "wrong": []}
    m2 = person.machine("m2")
    (m2.root / "var/lib/c101-etcd/data").mkdir(parents=True)
    taken = "import socket,time; s=socket.create_server(('', 2380)); time.sleep(99)"
    m3 = person.machine("m3")
    m3.run("systemd-run", "--quiet", "--unit=taken", "python3", "-c", taken)
    until(lambda: "2380" in m3.run("ss", "-ltn").stdout)
    try:
        done = moves(person)
    finally:
        m3.run("systemctl", "stop", "taken")
        m2.run("rm", "-r", "/var/lib/c101-etcd")
    assert done.returncode == 1
    assert "m2: /var/lib/c101-etcd/data has the data of another etcd" in done.stdout
    assert "m3: it cannot listen on" in done.stdout
    assert "three members, or five" in person.site.fails(2, "kv", "ha", "m1", "m2")
    assert "no machine is called m9" in person.site.fails(3, "kv", "ha", "m1", "m2", "m9")


def test_what_fails_on_the_way_goes_back(person: Person) -> None:
    before = running(person)
    folders = [
        person.machine(name).root / "etc/systemd/system/c101-etcd.service.d"
        for name in ("m2", "m3")
    ]
    for folder in folders:
        folder.mkdir()
        (folder / "broken.conf").write_text(_BROKEN)
    try:
        done = moves(person)
    finally:
        for folder in folders:
            shutil.rmtree(folder)
    assert done.returncode == 1
    assert "ends again and again" in done.stderr
    assert person.states() == READY
    for name in NAMES:
        machine = person.machine(name)
        shown = machine.run("systemctl", "is-active", "c101-etcd", check=False).stdout.strip()
        assert shown == "inactive"
        assert not (machine.root / "var/lib/c101-etcd").exists()
    person.starts("back.service", SLEEPER)
    person.types("c101ctl destroy back.service")
    assert running(person) == before


def test_a_kv_that_is_held_comes_back_by_itself(person: Person) -> None:
    m1 = person.machine("m1")
    hold = "/usr/local/bin/c101-agent setup hold"
    m1.run("sh", "-c", f"echo '{{\"seconds\": 2}}' | {hold}")
    until(lambda: person.site.ctl("get", "--raw", "/c101/engine/guard").returncode == 0)
    until(lambda: person.states() == READY)
    assert m1.run("systemctl", "is-active", "c101-engine").stdout.strip() == "active"
