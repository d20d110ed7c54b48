"""One cluster of three machines for a whole module: starting one is the costly part."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.cluster import Cluster, run_ctl


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster of three machines, ended afterwards."""
    home = tmp_path_factory.mktemp("home")
    directory = tmp_path_factory.mktemp("c") / "cluster"
    environment = private_environment(home)
    up = run_ctl(
        "local", "up", "--machines", "3", "--dir", str(directory), "-o", "json", env=environment
    )
    try:
        assert up.returncode == 0, up.stderr
        yield Cluster(directory, json.loads(up.stdout), environment)
    finally:
        run_ctl("local", "down", "--dir", str(directory), env=environment)


def private_environment(home: Path) -> dict[str, str]:
    """Return the environment without anything that names a cluster of the person who runs this."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("C101_")}
    return {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
    }
