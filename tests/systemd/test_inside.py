"""The tests that need systemd as process 1, each file of them run within a machine."""

from pathlib import Path

import pytest

from tests.conftest import Summary
from tests.lab.machine import Machine
from tests.systemd.cluster import REPOSITORY
from tests.systemd.conftest import run_inside

FILES = sorted((Path(__file__).parent / "inside").glob("test_*.py"))

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_within_a_machine(file: Path, lab_machine: Machine, summary: Summary) -> None:
    done = run_inside(lab_machine, str(file.relative_to(REPOSITORY)))
    last = done.stdout.strip().rpartition("\n")[2].strip("= ")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in last, done.stdout
    summary(f"{file.stem} within a machine: {last}")
