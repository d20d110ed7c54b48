"""One cluster for all of these tests: each keeps to keys and units of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ctl.site import Site, cluster, environment
from tests.processes import running_kv


@pytest.fixture(scope="session")
def variables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of every command."""
    return environment(tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("pycache"))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, variables: dict[str, str]) -> Iterator[Site]:
    """A KV, an engine and two machines: m1 with disk=ssd, m2 with disk=hdd."""
    with (
        running_kv(tmp_path_factory.mktemp("kv")) as server,
        cluster(server, tmp_path_factory.mktemp("c"), variables) as running,
    ):
        yield running


@pytest.fixture
def alone(tmp_path: Path, variables: dict[str, str]) -> Site:
    """Commands without a cluster."""
    return Site(f"unix://{tmp_path}/nobody.sock", variables, tmp_path)
