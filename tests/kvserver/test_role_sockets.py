"""Sockets of roles: each role against each method, over the real socket of a real server.

The server is our own KV, and then a front that has a real etcd behind it: all holds for both.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.errors import C101Error, LinkError
from c101.core.etcd import txn
from c101.core.etcd.client import Client
from c101.core.etcd.errors import PermissionDeniedError
from c101.core.kvserver.clock import NOW
from c101.core.kvserver.front.server import Front
from c101.core.kvserver.server import ADMIN_SOCKET, KvServer
from c101.core.model.machine import MachineRecord
from c101.core.model.unit import Placement
from c101.core.proto import agent_pb2
from c101.core.registry import records
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.roles import OPERATOR, VIEWER, agent_role
from c101.core.role_sockets import RoleSockets
from c101.core.rpc.dial import UnixDialer, dialer_for
from tests.kvserver.processes import HAVE_ETCD, Etcd

KEYSPACE = Keyspace()
OWN = KEYSPACE.machine_presence("a1")
TARGET = KEYSPACE.unit_target("web.service")
FILE = KEYSPACE.unit_file("web.service")
ROLES = (VIEWER, OPERATOR, agent_role("a1"))


class Site:
    """A server with the sockets of roles, for machines a1 and b2."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @asynccontextmanager
    async def client(self, role: str) -> AsyncIterator[Client]:
        dialer = UnixDialer(self.directory / f"kv-{role}.sock")
        async with Client([dialer], clock=SystemClock(), fails_fast=True) as client:
            yield client

    async def until_there(self, role: str, *, there: bool = True) -> None:
        async with asyncio.timeout(10):
            while (self.directory / f"kv-{role}.sock").exists() != there:
                await asyncio.sleep(0.01)


async def record(client: Client, machine: str) -> None:
    text = records.encode(MachineRecord(id=machine, name=machine))
    await client.put(KEYSPACE.machine_record(machine), text)


async def _name_a_secret(admin: Client, name: str, machine: str) -> None:
    """Have a unit name a secret of its own name: on a machine, or on all of them."""
    unit = f"{name}.service"
    text = f"[Service]\nExecStart=/bin/true\n[X-C101]\nSecret={name}\n"
    if machine:
        placement = Placement(machine_id=machine, reason="", since=1.0)
        await admin.put(KEYSPACE.unit_placement(unit), records.encode(placement))
    await admin.put(KEYSPACE.unit_file(unit), text + ("" if machine else "Global=true\n"))
    await admin.put(KEYSPACE.secret(name), name)


Server = KvServer | Front


@asynccontextmanager
async def serving(directory: Path, etcd: Etcd | None) -> AsyncIterator[Server]:
    """Serve our own KV, or *etcd*, which has no key any more."""
    clock = SystemClock()
    if etcd is None:
        async with KvServer(directory, clock) as server:
            yield server
        return
    dialer = dialer_for(f"http://127.0.0.1:{etcd.port}")
    async with Client([dialer], clock=clock) as client:
        await client.delete_prefix("")
    async with Front(dialer) as front:
        yield front


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd | None]:
    """The etcd behind the front, where there is one; started before any test looks for processes
    that are left behind.
    """
    process = Etcd(tmp_path_factory.mktemp("etcd")) if HAVE_ETCD else None
    if process is not None:
        process.start()
    yield process
    if process is not None:
        process.stop()


@pytest.fixture(params=["own", "etcd"])
async def site(
    request: pytest.FixtureRequest, tmp_path: Path, behind: Etcd | None
) -> AsyncIterator[Site]:
    if request.param == "etcd" and behind is None:
        pytest.skip("no etcd here")
    etcd = behind if request.param == "etcd" else None
    one = Site(tmp_path / "s")
    one.directory.mkdir()
    async with serving(tmp_path / "data", etcd) as server:
        await server.listen_unix(one.directory / ADMIN_SOCKET)
        roles = RoleSockets(server, one.directory, KEYSPACE, SystemClock())
        await roles.listen()
        following = asyncio.create_task(roles.follow_machines())
        try:
            async with one.client("admin") as admin:
                for machine in ("a1", "b2"):
                    await record(admin, machine)
                await admin.put(FILE, "[Service]")
                await admin.put("/services/a", "1")
                for unit, machine in (("own", "a1"), ("other", "b2"), ("everywhere", "")):
                    await _name_a_secret(admin, unit, machine)
            for role in (*ROLES, agent_role("b2")):
                await one.until_there(role)
            yield one
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


Deed = Callable[[Client], Awaitable[object]]


async def _watch(client: Client) -> None:
    async with client.watch_prefix("/", start_revision=1) as watch:
        await anext(watch)


async def _txn_that_hides_a_put(client: Client) -> None:
    await client.transaction(
        compare=[txn.version("/nothing").equals(0)],
        success=[],
        failure=[txn.Put(FILE, "evil")],
    )


async def _lease_of_another(client: Client) -> None:
    """End the lease that another's key hangs on."""
    found = await client.get(KEYSPACE.machine_presence("b2"))
    assert found is not None
    await client.revoke_lease(found.lease)


async def _own_lease(client: Client) -> None:
    lease = await client.lease(60)
    await client.put("/services/leased", "1", lease=lease.id)
    await client.revoke_lease(lease.id)


def _secret(name: str) -> Deed:
    async def read(client: Client) -> None:
        """Read a secret; the server hears of placements by a watch of its own."""
        for attempt in range(20):
            try:
                found = await client.get(KEYSPACE.secret(name))
            except PermissionDeniedError:
                if attempt == 19:
                    raise
                await asyncio.sleep(0.05)
            else:
                assert found is not None
                assert found.value == name.encode()
                return

    return read


async def _watch_a_secret(client: Client) -> None:
    async with client.watch_prefix(KEYSPACE.secrets) as watch:
        await anext(watch)


async def _watch_ones_own_secret(client: Client) -> None:
    async with client.watch(KEYSPACE.secret("own"), start_revision=1) as watch:
        await anext(watch)


async def _guess_a_secret(client: Client) -> None:
    guess = txn.value(KEYSPACE.secret("other")).equals("other")
    await client.transaction(compare=[guess], success=[], failure=[])


DEEDS: dict[str, tuple[Deed, set[str]]] = {
    "get": (lambda c: c.get(FILE), {*ROLES}),
    "range": (lambda c: c.get_prefix("/"), {*ROLES}),
    "watch": (_watch, {*ROLES}),
    "status": (lambda c: c.status(), {*ROLES}),
    "service": (lambda c: c.put("/services/b", "1"), {OPERATOR, agent_role("a1")}),
    "delete service": (lambda c: c.delete("/services/a"), {OPERATOR, agent_role("a1")}),
    "delete services": (lambda c: c.delete_prefix("/services/"), {OPERATOR, agent_role("a1")}),
    "target": (lambda c: c.put(TARGET, "launched"), {OPERATOR}),
    "file": (lambda c: c.put(FILE, "evil"), set()),
    "hidden file": (_txn_that_hides_a_put, set()),
    "presence": (lambda c: c.put(OWN, "{}"), {agent_role("a1")}),
    "others presence": (lambda c: c.put(KEYSPACE.machine_presence("b2"), "{}"), set()),
    "record": (lambda c: c.put(KEYSPACE.machine_record("a1"), "{}"), set()),
    "delete all": (lambda c: c.delete_prefix("/c101/"), set()),
    "compact": (lambda c: c.compact(2), set()),
    "defragment": (lambda c: c.maintenance.defragment(), set()),
    "own lease": (_own_lease, {OPERATOR, agent_role("a1")}),
    "own secret": (_secret("own"), {agent_role("a1")}),
    "everywhere's secret": (_secret("everywhere"), {agent_role("a1")}),
    "others secret": (_secret("other"), set()),
    "all secrets": (lambda c: c.get_prefix(KEYSPACE.secrets), set()),
    "watch secrets": (_watch_a_secret, set()),
    "watch one's own secret": (_watch_ones_own_secret, set()),
    "guess a secret": (_guess_a_secret, set()),
    "all there is": (lambda c: c.get_prefix(""), set()),
    "write a secret": (lambda c: c.put(KEYSPACE.secret("own"), "mine"), set()),
}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("what", DEEDS)
async def test_each_role_may_do_what_is_its_own(site: Site, role: str, what: str) -> None:
    deed, permitted = DEEDS[what]
    async with site.client(role) as client:
        if role in permitted:
            await deed(client)
            return
        with pytest.raises(PermissionDeniedError):
            await deed(client)
        found = await client.get(FILE)
        assert found is not None
        assert found.value == b"[Service]"


async def test_the_lease_of_another_machine_is_not_ended(site: Site) -> None:
    async with site.client(agent_role("b2")) as other, site.client(agent_role("a1")) as client:
        lease = await other.lease(60)
        await other.put(KEYSPACE.machine_presence("b2"), "{}", lease=lease.id)
        with pytest.raises(PermissionDeniedError):
            await _lease_of_another(client)
        assert await client.get(KEYSPACE.machine_presence("b2")) is not None


@pytest.mark.parametrize("role", ROLES)
async def test_everybody_may_ask_what_time_it_is(site: Site, role: str) -> None:
    async with site.client(role) as client:
        answer = await client.call(NOW, agent_pb2.NowRequest(), agent_pb2.NowResponse)
    assert abs(answer.now_us / 1e6 - time.time()) < 10


async def test_users_are_no_business_of_a_role(site: Site) -> None:
    async with site.client(OPERATOR) as client:
        with pytest.raises(C101Error):
            await client.auth.add_user("me", "secret")
        with pytest.raises(C101Error):
            await client.auth.enable()


async def test_a_machine_that_is_forgotten_is_shut_out_at_once(site: Site) -> None:
    role = agent_role("a1")
    async with site.client("admin") as admin, site.client(role) as client:
        await client.put(OWN, "{}")
        await admin.delete(KEYSPACE.machine_record("a1"))
        await site.until_there(role, there=False)
        with pytest.raises(LinkError):
            await client.put(OWN, "{}")
        await record(admin, "a1")
        await site.until_there(role)
    async with site.client(role) as again:
        await again.put(OWN, "{}")


async def test_a_machine_with_an_odd_id_has_no_socket_elsewhere(site: Site) -> None:
    async with site.client("admin") as admin:
        await admin.put("/c101/machines/../record", "{}")
        await admin.put("/c101/machines/a/b/record", "{}")
        await admin.put(b"/c101/machines/a\0b/record", "{}")
        await record(admin, "c3")
        await site.until_there(agent_role("c3"))
    machines = {agent_role(one) for one in ("a1", "b2", "c3")}
    roles = {"admin", OPERATOR, VIEWER, *machines}
    assert {path.name for path in site.directory.iterdir()} == {f"kv-{one}.sock" for one in roles}


async def test_what_is_refused_is_in_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    async with site.client(VIEWER) as client:
        with caplog.at_level(logging.WARNING), pytest.raises(PermissionDeniedError):
            await client.put("/services/b", "1")
    (entry,) = [one for one in caplog.records if one.message == "refused"]
    assert entry.role == VIEWER  # type: ignore[attr-defined]
    assert "/services/b" in entry.what  # type: ignore[attr-defined]
    assert "uid=" in entry.peer  # type: ignore[attr-defined]
