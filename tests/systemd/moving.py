"""What the tests of ``kv ha`` share: a cluster whose machines may install etcd."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.lab import packages
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.systemd.cluster import missing
from tests.systemd.person import Person

#: The members of the etcd.
NAMES = ("m1", "m2", "m3")


@contextmanager
def cluster_with_packages(places: pytest.TempPathFactory, machines: int) -> Iterator[Person]:
    """Have a cluster of m1 to m3, and *machines* whose apt knows etcd and nothing else."""
    if reason := missing() or _no_apt():
        pytest.skip(reason)
    debian = places.mktemp("debian")
    packages.fetch(debian, ("etcd-server", "etcd-client"))
    with Lab(machines, binds={packages.PLACE: debian}) as lab:
        for machine in lab.machines:
            packages.use(machine)
        somebody = Person(places.mktemp("home"), lab)
        somebody.makes_a_cluster()
        yield somebody


def _no_apt() -> str:
    return "" if shutil.which("apt-get") and shutil.which("dpkg-deb") else "needs apt-get"


def running(person: Person) -> dict[str, tuple[str, str]]:
    """Return where each unit runs, and as which process."""
    found = {}
    for row in person.site.json("list-units"):
        if row["machine"] is not None:
            machine = person.machine(row["machine"])
            found[row["unit"]] = (machine.name, _pid(machine, row["unit"]))
    return found


def _pid(machine: Machine, unit: str) -> str:
    return machine.run("systemctl", "show", "--value", "--property=MainPID", unit).stdout.strip()


def moves(person: Person, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Have somebody type ``kv ha`` with *arguments* for all members."""
    words = ("c101ctl", "-o", "json", "kv", "ha", *arguments, *NAMES)
    return person.types(" ".join(words), check=False)
