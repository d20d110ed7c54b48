"""Tests of the systemd runtime: some run here, those in ``inside`` within a machine of the lab."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.systemd.cluster import binds, missing
from tests.systemd.person import Person

#: Set within a machine of the lab.
INSIDE = "C101_LAB_MACHINE"

collect_ignore_glob = [] if INSIDE in os.environ else ["inside/*"]


@pytest.fixture(scope="session")
def lab_machine() -> Iterator[Machine]:
    """A machine that sees the repository and what it is installed with."""
    if reason := missing():
        pytest.skip(reason)
    with Lab(1, binds=binds()) as lab:
        (machine,) = lab.machines
        yield machine


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Somebody who has made three machines a cluster, as docs/install.md says."""
    if reason := missing():
        pytest.skip(reason)
    with Lab(3) as lab:
        somebody = Person(tmp_path_factory.mktemp("home"), lab)
        somebody.makes_a_cluster()
        yield somebody


def run_inside(machine: Machine, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest within *machine*, from the repository."""
    variables = (f"{INSIDE}=1", "PYTHONPATH=/packages", "PYTHONDONTWRITEBYTECODE=1", "LANG=C.UTF-8")
    command = ("python3", "-m", "pytest", "-p", "no:hypothesispytest", *arguments)
    return machine.run("env", "-C", "/c101", *variables, *command, check=False, seconds=300)
