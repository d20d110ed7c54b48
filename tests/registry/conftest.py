"""A registry under a prefix of its own, on every kind of server."""

import pytest

from c101.core.etcd.client import Client
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from tests.etcd.conftest import client, kind, own_server, prefix, server, servers
from tests.fakes.clock import FakeClock

__all__ = ["client", "clock", "keyspace", "kind", "own_server", "prefix", "server", "servers"]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keyspace(prefix: str) -> Keyspace:
    return Keyspace(prefix)


@pytest.fixture
def registry(client: Client, keyspace: Keyspace, clock: FakeClock) -> Registry:
    return Registry(client, keyspace, clock)
