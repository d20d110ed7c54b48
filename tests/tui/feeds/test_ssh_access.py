"""The console's way to a cluster, over a real SSH connection to a real KV."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from c101.agents.ssh.endpoints import kv_link
from c101.core.clock import SystemClock
from c101.core.config import ClusterAddress
from c101.core.config import SshAccess as SshSettings
from c101.core.errors import ConfigError, ConflictError
from c101.core.model.unit import TargetState
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from c101.tui.feeds.ssh_access import SshAccess
from tests.processes import running_etcd
from tests.tui.feeds.conftest import Cluster


@asynccontextmanager
async def closing(made: SshAccess) -> AsyncIterator[SshAccess]:
    """Let go of *made* in the end."""
    try:
        yield made
    finally:
        await made.close()


@pytest.fixture
async def access(cluster: Cluster) -> AsyncIterator[SshAccess]:
    """The cluster as the console reaches it."""
    async with closing(SshAccess(cluster.address, SystemClock())) as made:
        yield made


async def test_keys_come_in_pages_and_then_as_they_change(
    cluster: Cluster, access: SshAccess
) -> None:
    for number in range(1_100):
        await cluster.client.put(f"/many/{number:05}", "x")
    async with aclosing(access.keys()) as stream:
        first = await anext(stream)
        second = await anext(stream)
        assert (first.snapshot, first.complete, len(first.put)) == (True, False, 1_000)
        assert (second.snapshot, second.complete, len(second.put)) == (False, True, 100)
        await cluster.client.put("/one", "1")
        await cluster.client.delete("/many/00000")
        seen: dict[bytes, str] = {}
        while len(seen) < 2:
            update = await anext(stream)
            seen |= {kv.key: "put" for kv in update.put} | dict.fromkeys(update.deleted, "gone")
    assert seen == {b"/one": "put", b"/many/00000": "gone"}


async def test_a_unit_that_is_submitted_is_in_the_next_state(
    cluster: Cluster, access: SshAccess
) -> None:
    registry = Registry(cluster.client, Keyspace(), SystemClock())
    async with aclosing(access.cluster()) as stream:
        assert not (await anext(stream)).cluster.units
        await registry.submit("hello.service", "[Service]\nExecStart=/bin/true\n")
        async for update in stream:
            if "hello.service" in update.cluster.units:
                break
        await access.verbs.set_target("hello.service", TargetState.LAUNCHED)
        async for update in stream:
            if update.cluster.units["hello.service"].target is TargetState.LAUNCHED:
                break
        assert update.connected


async def test_a_key_that_somebody_else_changed_is_not_overwritten(
    cluster: Cluster, access: SshAccess
) -> None:
    await cluster.client.put("/a", "1")
    held = await access.verbs.get_key(b"/a")
    assert held is not None
    await cluster.client.put("/a", "2")
    with pytest.raises(ConflictError):
        await access.verbs.put_key(b"/a", b"3", expected_revision=held.mod_revision)
    with pytest.raises(ConflictError):
        await access.verbs.delete_key(b"/a", expected_revision=held.mod_revision)
    found = await cluster.client.get("/a")
    assert found is not None
    assert found.value == b"2"


async def test_a_key_that_is_edited_keeps_its_lease(cluster: Cluster, access: SshAccess) -> None:
    lease = await cluster.client.lease(60)
    await cluster.client.put("/a", "1", lease=lease.id)
    held = await access.verbs.get_key(b"/a")
    assert held is not None
    await access.verbs.put_key(b"/a", b"2", expected_revision=held.mod_revision)
    found = await cluster.client.get("/a")
    assert found is not None
    assert (found.value, found.lease) == (b"2", lease.id)
    assert await access.verbs.lease_seconds(lease.id) == 60


async def test_the_streams_go_on_after_the_gateway_was_away(
    cluster: Cluster, access: SshAccess
) -> None:
    async with aclosing(access.cluster()) as stream:
        assert (await anext(stream)).connected
        assert (access.round_trip() or 0.0) >= 0.0
        await cluster.gateway.close()
        while (await anext(stream)).connected:
            pass
        await cluster.gateway.start()
        async with asyncio.timeout(20):
            while not (await anext(stream)).connected:
                pass


async def test_a_kv_is_reached_by_any_endpoint_also_a_real_etcd(tmp_path: Path) -> None:
    with running_etcd(tmp_path / "etcd") as server:
        nobody = "http://127.0.0.1:1"
        address = ClusterAddress(name="x", kv=f"{nobody}, {server.url}")
        async with closing(SshAccess(address, SystemClock())) as access:
            await access.verbs.put_key(b"/k", b"v", expected_revision=0)
            async with aclosing(access.keys()) as keys:
                assert [kv.key for kv in (await anext(keys)).put] == [b"/k"]
            assert access.round_trip() is None


@pytest.mark.parametrize(
    "endpoint", ["ssh://", "ssh://h/kv-god", "ssh://h:port", "ftp://h", "http://h:x"]
)
def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="endpoint"):
        SshAccess(ClusterAddress(name="x", kv=endpoint), SystemClock())


@pytest.mark.parametrize("role", ["admin", "operator", "viewer"])
def test_the_path_of_an_endpoint_says_which_role_is_asked_for(role: str) -> None:
    link, command = kv_link(f"ssh://core@h:77/kv-{role}", SshSettings(user="else"), SystemClock())
    assert link.target.name == "ssh://core@h:77"
    assert command == f"c101-core --stdio {role}"
