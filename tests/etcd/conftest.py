"""Servers and clients for the client's contract: each test runs against every kind of server."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.rpc.channel import dialer_for
from tests.processes import EtcdProcess, KVProcess, OwnKVProcess, running_etcd, running_kv

KINDS = {"etcd": (running_etcd, EtcdProcess), "own": (running_kv, OwnKVProcess)}


class Reachable(Protocol):
    """Anything with an address."""

    @property
    def url(self) -> str: ...


def client_of(
    *servers: Reachable, timeout_seconds: float = 5.0, fails_fast: bool = False
) -> Client:
    """Return a client of *servers*, in order of preference."""
    dialers = [dialer_for(server.url) for server in servers]
    return Client(
        dialers, clock=SystemClock(), timeout_seconds=timeout_seconds, fails_fast=fails_fast
    )


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, KVProcess]]:
    """One running server of each kind, shared: tests keep to keys of their own."""
    with ExitStack() as stack:
        yield {
            kind: stack.enter_context(running(tmp_path_factory.mktemp(kind)))
            for kind, (running, _) in KINDS.items()
        }


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(servers: Mapping[str, KVProcess], kind: str) -> KVProcess:
    """A server that other tests use, too."""
    return servers[kind]


@pytest.fixture
def own_server(kind: str, tmp_path: Path) -> Iterator[KVProcess]:
    """A server that this test may kill, stall and compact."""
    with KINDS[kind][0](tmp_path) as server:
        yield server


@pytest.fixture
async def client(server: KVProcess) -> AsyncIterator[Client]:
    async with client_of(server) as client:
        yield client


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A prefix of keys that no other test uses."""
    return f"/{request.node.name}/"
