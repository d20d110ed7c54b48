"""The generator, compiled once, and both servers with a thousand keys."""

from collections.abc import Iterator

import pytest

from benchmarks.kv.generator import Generator, build
from benchmarks.kv.servers import Server, running

KEYS = 1_000


@pytest.fixture(scope="session")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return build(tmp_path_factory.mktemp("loadgen"))


@pytest.fixture(scope="module", params=["ours", "etcd"])
def server(
    request: pytest.FixtureRequest,
    generator: Generator,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("servers")
    with running(generator, directory, keys=KEYS, names=(request.param,)) as (server,):
        yield server
