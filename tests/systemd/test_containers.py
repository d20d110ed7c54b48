"""The containers of examples/containers, each as a unit of a cluster, where its engine runs.

The cluster is made by somebody who is not root there, but may become so by sudo.
"""

from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.systemd.cluster import missing, until
from tests.systemd.person import REPOSITORY, Person

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(240)]

EXAMPLES = REPOSITORY / "examples" / "containers"
#: A root file system of the machine's own programs, with a word in it that only it has.
MAKE_ROOT = """
set -e; R=/var/lib/machines/hello
mkdir -p $R/usr $R/etc $R/proc $R/sys $R/dev $R/run $R/tmp $R/var $R/root
for name in bin sbin lib lib64; do ln -s usr/$name $R/$name; done
echo "ID=hello" > $R/etc/os-release; echo "a root of its own" > $R/etc/hello
mount --bind /usr $R/usr
"""


#: The same as an image: what is bound in there is copied.
MAKE_IMAGE = """
set -e; R=/var/lib/machines/hello; I=/tmp/image; mkdir -p $I/bin $I/etc
cp $R/etc/hello $I/etc/; for name in sh cat sleep uname; do cp /bin/$name $I/bin/; done
for file in $(ldd /bin/sh /bin/cat /bin/sleep /bin/uname | grep -o '/[^ :]*\\.so[^ ]*' | sort -u)
do mkdir -p $I$(dirname $file); cp $file $I$file; done
tar -C $I -c . | docker import - hello:latest
"""


MAKE_USER = """
set -e; useradd -m -s /bin/bash anna
mkdir -m 700 /home/anna/.ssh; cp /root/.ssh/authorized_keys /home/anna/.ssh/
chown -R anna: /home/anna/.ssh
"""


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    if reason := missing():
        pytest.skip(reason)
    home = tmp_path_factory.mktemp("home")
    packages = ["systemd-container", "sudo", "docker.io", "iptables"]
    with Lab(1, packages=packages, engines=True) as lab:
        somebody = Person(home, lab)
        (machine,) = lab.machines
        machine.run("sh", "-c", MAKE_USER)
        refused = somebody.site.fails(1, "init", "--accept-new", "--cluster", "prod", "anna@m1")
        assert "anna may not become root" in refused
        machine.run("sh", "-c", "echo 'anna ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/anna")
        somebody.types("c101ctl init --cluster prod anna@m1")
        machine.run("sh", "-c", MAKE_ROOT)
        machine.run("sh", "-c", MAKE_IMAGE)
        yield somebody


IMAGES = {
    "hello-rootdir": "/var/lib/machines/hello",
    "hello-nspawn": "/var/lib/machines/hello",
    "hello-docker": "hello:latest",
}


@pytest.mark.parametrize("name", IMAGES)
def test_a_container_is_a_unit_like_any_other(person: Person, name: str) -> None:
    (machine,) = person.lab.machines
    person.types(f"c101ctl start {EXAMPLES}/{name}.service")
    until(lambda: "hello from a root of its own" in person.types(f"c101ctl journal {name}").stdout)
    (container,) = until(lambda: person.site.json("list-containers"))
    assert container["unit"] == f"{name}.service"
    assert container["engine"] == name.partition("-")[2]
    assert (container["machine"], container["image"]) == ("m1", IMAGES[name])
    assert container["resources"]["cpu_seconds"] is not None
    inside = person.types(f"c101ctl exec {name} sh -c 'cat /etc/hello; exit 3'", check=False)
    assert (inside.returncode, inside.stdout) == (3, "a root of its own\n")
    if name != "hello-docker":
        assert _sees(machine, name) == "a root of its own"
    status = person.site.json("status", name)[0]
    assert status["active"] == "active"
    assert status["processes"]
    assert [one["id"] for one in status["containers"]] == [container["id"]]
    person.types(f"c101ctl stop {name}")
    until(lambda: person.site.unit(f"{name}.service")["active"] == "inactive")
    assert person.site.json("list-containers") == []
    assert machine.run("pgrep", "-f", "hello from", check=False).stdout == ""
    person.types(f"c101ctl destroy {name}")


def _sees(machine: Machine, name: str) -> str:
    """Return what the unit's processes see as /etc/hello."""
    group = f"/sys/fs/cgroup/system.slice/{name}.service"
    look = f"for pid in $(find {group} -name cgroup.procs | xargs cat); do "
    look += "cat /proc/$pid/root/etc/hello 2>/dev/null && break; done"
    return machine.run("sh", "-c", look, check=False).stdout.strip()


def test_whoever_made_the_cluster_is_an_admin_of_it_and_nobody_else(person: Person) -> None:
    (machine,) = person.lab.machines
    groups = machine.run("id", "-nG", "anna").stdout.split()
    assert "c101-admin" in groups
    machine.run("useradd", "bert")
    relay = ("runuser", "-u", "bert", "--", "/usr/local/bin/c101-core", "--stdio", "admin")
    assert "Permission denied" in machine.run(*relay, check=False).stderr
    (row,) = person.site.json("list-machines")
    assert row["state"] == "ready"


def test_a_quadlet_file_is_refused_or_run_as_its_keys_say(person: Person) -> None:
    """No podman runs within these machines: that the unit is the one that asks for it is shown."""
    (machine,) = person.lab.machines
    person.types(f"c101ctl submit {EXAMPLES}/hello-podman.container")
    text = person.types("c101ctl cat hello-podman").stdout
    assert "ExecStart=/usr/bin/podman run" in text
    failed = person.site.ctl("start", "--timeout", "10", "hello-podman")
    assert failed.returncode != 0
    shown = machine.run("systemctl", "show", "hello-podman", "--property=ExecStart").stdout
    assert "--network=none --pull=never localhost/hello:latest /bin/sh -c" in shown
    person.types("c101ctl destroy hello-podman")
