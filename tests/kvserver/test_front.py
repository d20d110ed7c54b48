"""A front of a real etcd: what comes by its sockets goes on as it came, and so do the answers."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.errors import LinkError
from c101.core.etcd import txn
from c101.core.etcd.client import Client
from c101.core.etcd.errors import CompactedError, PermissionDeniedError
from c101.core.kv.auth.rights import Rights
from c101.core.kv.auth.spans import KeySpans
from c101.core.kvserver.front.methods import CHECKS, STREAMS, UNARY
from c101.core.kvserver.front.server import Front
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import UnixDialer, dialer_for
from c101.core.rpc.status import NOT_PASSED_ON_TEXT, Code, RpcError
from tests.kvserver.processes import HAVE_ETCD
from tests.processes import EtcdProcess, KVProcess, running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here"),
]

RANGE = "/etcdserverpb.KV/Range"


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[KVProcess]:
    with running(EtcdProcess, tmp_path / "etcd") as process:
        yield process


@pytest.fixture
async def socket(etcd: KVProcess, tmp_path: Path) -> AsyncIterator[Path]:
    """The admin's socket of a front, whose etcd has no key yet."""
    path = tmp_path / "kv-admin.sock"
    async with Front(dialer_for(etcd.url)) as front:
        await front.listen_unix(path)
        yield path


@pytest.fixture
async def client(socket: Path) -> AsyncIterator[Client]:
    async with Client([UnixDialer(socket)], clock=SystemClock(), fails_fast=True) as one:
        yield one


async def test_everything_that_an_etcd_may_be_asked_is_passed_on(client: Client) -> None:
    big = b"x" * 1_000_000
    await client.put("/a", big)
    found = await client.get("/a")
    assert found is not None
    assert found.value == big
    for number in range(300):
        await client.put(f"/many/{number:03}", b"y" * 10_000)
    assert len((await client.get_prefix("/many/")).kvs) == 300
    result = await client.transaction(
        compare=[txn.version("/none").equals(0)], success=[txn.Put("/t", "1")], failure=[]
    )
    assert result.succeeded
    async with client.lock("/locks/one"):
        pass
    async with client.held_lease(2) as lease:
        await client.put("/leased", "1", lease=lease.id)
        assert (await client.get_lease_info(lease.id, keys=True)).keys == (b"/leased",)
        await asyncio.sleep(3.5)
        assert not lease.lost.is_set()
    assert await client.get("/leased") is None
    pieces = [piece async for piece in client.maintenance.snapshot()]
    assert sum(map(len, pieces)) > 10_000
    revision = (await client.status()).revision
    await client.compact(revision)
    with pytest.raises(CompactedError):
        await client.get("/a", revision=revision - 1)
    await client.auth.add_user("anna", "secret")
    assert "anna" in await client.auth.users()
    await client.auth.delete_user("anna")


async def test_a_watch_sees_every_event_once_and_ends_with_its_client(client: Client) -> None:
    seen: list[bytes] = []
    async with client.watch_prefix("/w/") as watch:

        async def write() -> None:
            for number in range(1_000):
                await client.put(f"/w/{number:04}", b"z" * 1_000)

        writing = asyncio.create_task(write())
        async for batch in watch:
            seen.extend(event.kv.key for event in batch.events)
            if len(seen) == 1_000:
                break
        await writing
    assert seen == [f"/w/{number:04}".encode() for number in range(1_000)]


async def test_an_etcd_that_is_gone_is_told_of_and_asked_again_when_it_is_back(
    etcd: KVProcess, socket: Path, client: Client
) -> None:
    await client.put("/a", "1")
    channel = Channel(UnixDialer(socket))
    etcd.stop()
    try:
        with pytest.raises(RpcError) as caught:
            await channel.unary(RANGE, b"\n\x02/a", timeout=5)
        assert (caught.value.status, caught.value.message) == (
            Code.UNAVAILABLE,
            NOT_PASSED_ON_TEXT,
        )
        with pytest.raises(LinkError):
            await client.put("/a", "2")
    finally:
        etcd.start()
        await channel.close()
    found = None
    async with asyncio.timeout(10):
        while found is None:
            with suppress(LinkError):
                found = await client.get("/a")
    assert found.value == b"1"


async def test_the_next_front_is_asked_also_for_what_must_not_happen_twice(
    socket: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.sock"
    async with Front(dialer_for("http://127.0.0.1:1")) as front:
        await front.listen_unix(empty)
        async with Client(
            [UnixDialer(empty), UnixDialer(socket)], clock=SystemClock(), fails_fast=True
        ) as client:
            result = await client.transaction(
                compare=[], success=[txn.Put("/once", "1")], failure=[]
            )
            assert result.succeeded
            async with client.watch("/once") as watch:
                await client.put("/once", "2")
                (event,) = (await anext(watch)).events
                assert event.kv.value == b"2"


async def test_an_etcd_that_stands_still_holds_up_nobody_for_ever(
    etcd: KVProcess, socket: Path
) -> None:
    channel = Channel(UnixDialer(socket))
    try:
        await channel.unary(RANGE, b"\n\x02/a", timeout=5)
        etcd.pause()
        with pytest.raises((RpcError, LinkError)):
            await channel.unary(RANGE, b"\n\x02/a", timeout=30)
    finally:
        etcd.resume()
        await channel.close()


async def test_who_comes_by_a_roles_socket_is_nobody_else_by_a_token(
    etcd: KVProcess, tmp_path: Path
) -> None:
    async with Front(dialer_for(etcd.url)) as front:
        path = tmp_path / "kv-viewer.sock"
        nothing, everything = KeySpans([]), KeySpans([(b"", None)])
        await front.listen_role(path, "viewer", Rights(root=False, read=everything, write=nothing))
        channel = Channel(UnixDialer(path))
        try:
            for name in ("token", "authorization"):
                with pytest.raises(RpcError, match="permission denied"):
                    await channel.unary(
                        "/etcdserverpb.KV/Put", b"\n\x02/a", metadata=((name, "x"),), timeout=5
                    )
            # ... and what the etcd is told has none, or it would refuse the token.
            await channel.unary(RANGE, b"\n\x02/a", metadata=(("token", "x"),), timeout=5)
        finally:
            await channel.close()


async def test_a_lease_with_a_key_of_another_is_not_renewed(
    etcd: KVProcess, tmp_path: Path
) -> None:
    dialer = dialer_for(etcd.url)
    async with Front(dialer) as front, Client([dialer], clock=SystemClock()) as admin:
        path = tmp_path / "kv-role.sock"
        own, everything = KeySpans([(b"/own/", b"/own0")]), KeySpans([(b"", None)])
        await front.listen_role(path, "role", Rights(root=False, read=everything, write=own))
        lease = await admin.lease(60)
        await admin.put("/theirs", "1", lease=lease.id)
        async with Client([UnixDialer(path)], clock=SystemClock(), fails_fast=True) as client:
            with pytest.raises(PermissionDeniedError):
                await client.refresh_lease(lease.id)
            with pytest.raises(PermissionDeniedError):
                await client.put("/own/a", "1", lease=lease.id)
            with pytest.raises(PermissionDeniedError):
                await client.revoke_lease(lease.id)
        await admin.revoke_lease(lease.id)


def test_every_method_of_etcd_has_a_way_and_what_is_looked_at_is_one() -> None:
    assert {*CHECKS} <= UNARY | STREAMS
    assert {"/etcdserverpb.KV/Range", "/etcdserverpb.Auth/UserAdd"} <= UNARY
    assert {"/etcdserverpb.Watch/Watch", "/etcdserverpb.Lease/LeaseKeepAlive"} <= STREAMS
    for path in UNARY | STREAMS:
        if path.startswith("/etcdserverpb.Auth/"):
            assert path not in CHECKS
