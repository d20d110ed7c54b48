from collections.abc import Iterator

import pytest

from tests.kvserver.processes import Client, Etcd, Ours


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    """Our server, as a process of its own, one for the tests of a module."""
    process = Ours(tmp_path_factory.mktemp("ours"))
    process.start()
    yield process
    process.stop()


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """A real etcd, one for the tests of a module."""
    process = Etcd(tmp_path_factory.mktemp("etcd"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def client(ours: Ours) -> Iterator[Client]:
    one = ours.client()
    yield one
    one.close()
