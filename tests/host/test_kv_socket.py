"""The KV's socket for a machine's programs: a real client through it to a real KV, and its end."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from c101.agents.host.kv_socket import KvSocket
from c101.core.clock import SystemClock
from c101.core.errors import LinkError
from c101.core.etcd.client import Client
from c101.core.kvserver.server import KvServer
from c101.core.rpc.dial import UnixDialer, dialer_for
from tests.processes import free_port

LARGE = b"x" * 1_000_000


@pytest.fixture
async def kv(tmp_path: Path) -> AsyncIterator[Path]:
    async with KvServer(tmp_path / "data", SystemClock()) as server:
        path = tmp_path / "kv-admin.sock"
        await server.listen_unix(path)
        yield path


@pytest.fixture
async def socket(tmp_path: Path, kv: Path) -> AsyncIterator[Path]:
    path = tmp_path / "kv.sock"
    nobody = UnixDialer(tmp_path / "nobody.sock")
    one = KvSocket(path, [nobody, UnixDialer(kv)])
    await one.start()
    yield path
    await one.close()


def client_of(path: Path) -> Client:
    return Client([UnixDialer(path)], clock=SystemClock(), fails_fast=True)


async def test_a_client_reaches_the_kv_behind_one_that_is_away(socket: Path) -> None:
    async with client_of(socket) as client:
        await client.put("/a", LARGE)
        found = await client.get("/a")
        assert found is not None
        assert found.value == LARGE
        async with client.watch("/b") as watch:
            await client.put("/b", "1")
            batch = await anext(watch)
            assert batch.events[0].kv.value == b"1"


async def test_many_at_once_are_kept_apart(socket: Path) -> None:
    async def one(number: int) -> None:
        async with client_of(socket) as client:
            await client.put(f"/many/{number}", str(number))
            found = await client.get(f"/many/{number}")
            assert found is not None
            assert found.value == str(number).encode()

    await asyncio.gather(*map(one, range(50)))


async def test_without_a_kv_the_connection_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "kv.sock"
    one = KvSocket(path, [UnixDialer(tmp_path / "nobody.sock")])
    await one.start()
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        async with asyncio.timeout(5):
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(LinkError):
            async with client_of(path) as client:
                await client.get("/a")
    finally:
        await one.close()


async def test_a_program_that_goes_takes_its_connection_along(socket: Path, kv: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(socket)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    async with asyncio.timeout(5):
        assert await reader.readexactly(9)
    writer.transport.abort()
    async with client_of(socket) as client:
        await client.get("/a")


async def test_the_end_of_the_socket_is_the_end_of_what_came_by_it(
    tmp_path: Path, kv: Path
) -> None:
    path = tmp_path / "kv.sock"
    one = KvSocket(path, [UnixDialer(kv)])
    await one.start()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    async with asyncio.timeout(5):
        assert await reader.readexactly(9)
        await one.close()
        assert (await reader.read())[-1:] == b"" or reader.at_eof()
    writer.close()
    assert not path.exists()


async def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path, kv: Path) -> None:
    path = tmp_path / "kv.sock"
    left, one = KvSocket(path, [UnixDialer(kv)]), KvSocket(path, [UnixDialer(kv)])
    await left.start()
    await one.start()
    async with client_of(path) as client:
        await client.get("/a")
    await one.close()
    await left.close()
    with pytest.raises(Exception, match="cannot listen"):
        await KvSocket(tmp_path / "no" / "kv.sock", []).start()


async def test_a_port_of_loopback_leads_there_too(tmp_path: Path, kv: Path) -> None:
    port = free_port()
    one = KvSocket(tmp_path / "kv.sock", [UnixDialer(kv)], port=port)
    await one.start()
    try:
        url = f"http://127.0.0.1:{port}"
        async with Client([dialer_for(url)], clock=SystemClock(), fails_fast=True) as client:
            await client.put("/a", "1")
            found = await client.get("/a")
            assert found is not None
            assert found.value == b"1"
    finally:
        await one.close()


async def test_a_port_that_is_taken_is_done_without(
    tmp_path: Path, kv: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def nothing(*_: object) -> None: ...

    async with await asyncio.start_server(nothing, "127.0.0.1", 0) as other:
        port = other.sockets[0].getsockname()[1]
        one = KvSocket(tmp_path / "kv.sock", [UnixDialer(kv)], port=port)
        await one.start()
        try:
            async with client_of(tmp_path / "kv.sock") as client:
                await client.put("/a", "1")
        finally:
            await one.close()
    assert "the KV has no port here" in caplog.text
