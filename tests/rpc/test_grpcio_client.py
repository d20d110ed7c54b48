"""grpcio's client (C-core) at our server: every kind of call, unmodified."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest

from c101.core.rpc.server import Server
from tests.rpc.conftest import port_of

T = TypeVar("T")


class GrpcioClient:
    """A grpcio channel whose blocking calls run on a thread, beside the server's loop."""

    def __init__(self, channel: Any, pool: ThreadPoolExecutor) -> None:
        self.channel = channel
        self._pool = pool

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def unary(self, name: str) -> Any:
        return self.channel.unary_unary("/test.Echo/" + name)

    def stream(self, name: str) -> Any:
        return self.channel.stream_stream("/test.Echo/" + name)


@pytest.fixture(scope="module")
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as made:
        yield made


@pytest.fixture
async def client(port: int, pool: ThreadPoolExecutor) -> AsyncIterator[GrpcioClient]:
    options = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
    yield GrpcioClient(channel, pool)
    channel.close()


async def test_unary_calls_of_every_size_are_answered(client: GrpcioClient) -> None:
    call = client.unary("Unary")
    for size in (0, 1, 300, 16_379, 16_380, 65_536, 2_000_000):
        message = os.urandom(size)
        assert await client.run(partial(call, message, timeout=10)) == message


async def test_many_calls_at_once_are_answered(client: GrpcioClient) -> None:
    call = client.unary("Unary")

    def ask() -> list[bytes]:
        futures = [call.future(b"%d" % number, timeout=20) for number in range(500)]
        return [future.result() for future in futures]

    assert await client.run(ask) == [b"%d" % number for number in range(500)]


async def test_messages_go_both_ways_on_one_stream(client: GrpcioClient) -> None:
    def talk() -> list[bytes]:
        answered = threading.Semaphore(1)

        def ask() -> Iterator[bytes]:
            for number in range(50):
                answered.acquire()
                yield b"%d" % number

        found = []
        for answer in client.stream("Stream")(ask(), timeout=10):
            found.append(answer)
            answered.release()
        return found

    assert await client.run(talk) == [b"%d" % number for number in range(50)]


async def test_a_client_stream_is_answered_at_its_end(client: GrpcioClient) -> None:
    call = client.channel.stream_unary("/test.Echo/Collect")
    messages = [b"a", b"b" * 100_000, b""]
    assert await client.run(lambda: call(iter(messages), timeout=10)) == b",".join(messages)


async def test_a_server_stream_comes_in_order(client: GrpcioClient) -> None:
    call = client.channel.unary_stream("/test.Echo/Count")
    found = await client.run(lambda: list(call(b"20000", timeout=20)))
    assert found == [b"%d" % number for number in range(20_000)]


async def test_an_error_has_its_code_and_its_text(client: GrpcioClient) -> None:
    def ask() -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            client.unary("Fail")("größer als 100 %\n漢字".encode(), timeout=5)
        return caught.value

    error = await client.run(ask)
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == "größer als 100 %\n漢字"


async def test_a_stream_may_fail_after_messages(client: GrpcioClient) -> None:
    def ask() -> tuple[list[bytes], Any]:
        answers = client.channel.unary_stream("/test.Echo/FailLate")(b"", timeout=5)
        found = [next(answers)]
        with pytest.raises(grpc.RpcError) as caught:
            next(answers)
        return found, caught.value

    found, error = await client.run(ask)
    assert found == [b"first"]
    assert (error.code(), error.details()) == (grpc.StatusCode.ABORTED, "späť 100 %")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/test.Echo/No", "unknown method No for service test.Echo"),
        ("/no.Service/No", "unknown service no.Service"),
    ],
)
async def test_an_unknown_method_is_unimplemented(
    client: GrpcioClient, path: str, text: str
) -> None:
    def ask() -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            client.channel.unary_unary(path)(b"x", timeout=5)
        return caught.value

    error = await client.run(ask)
    assert (error.code(), error.details()) == (grpc.StatusCode.UNIMPLEMENTED, text)


async def test_a_message_too_large_is_refused_with_its_size(client: GrpcioClient) -> None:
    def ask() -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            client.unary("Unary")(bytes(2_097_153), timeout=10)
        return caught.value

    error = await client.run(ask)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert error.details() == "grpc: received message larger than max (2097153 vs. 2097152)"
    call = client.unary("Unary")
    assert await client.run(lambda: call(b"goes on", timeout=5)) == b"goes on"


async def test_compression_is_unimplemented(client: GrpcioClient) -> None:
    def ask() -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            client.unary("Unary")(bytes(1_000), timeout=5, compression=grpc.Compression.Gzip)
        return caught.value

    error = await client.run(ask)
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_deadline_ends_a_call(client: GrpcioClient) -> None:
    def ask() -> Any:
        with pytest.raises(grpc.RpcError) as caught:
            client.unary("Wait")(b"", timeout=0.1)
        return caught.value

    error = await client.run(ask)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_cancelled_call_ends_its_handler(client: GrpcioClient, server: Server) -> None:
    service = server.service

    def ask() -> Any:
        future = client.unary("Wait").future(b"", timeout=10)
        while not service.tasks:
            threading.Event().wait(0.005)
        future.cancel()
        return future

    future = await client.run(ask)
    assert future.code() is grpc.StatusCode.CANCELLED
    async with asyncio.timeout(2):
        while server.service.tasks:
            await asyncio.sleep(0.005)


async def test_metadata_arrives_in_order(client: GrpcioClient) -> None:
    fields = [("token", "abc"), ("x", "1"), ("x", "2"), ("raw-bin", b"\0\xff")]

    def ask() -> bytes:
        return bytes(client.unary("Metadata")(b"", metadata=fields, timeout=5))

    assert b"token=abc;x=1;x=2;raw-bin=AP8" in await client.run(ask)


async def test_a_server_that_closes_lets_a_call_end(client: GrpcioClient, server: Server) -> None:
    def ask() -> list[bytes]:
        go_on = threading.Event()

        def messages() -> Iterator[bytes]:
            yield b"first"
            go_on.wait(5)
            yield b"last"

        found = []
        for message in client.stream("Stream")(messages(), timeout=10):
            found.append(message)
            loop.call_soon_threadsafe(asked.set)
            server_drains.wait(5)
            go_on.set()
        return found

    loop = asyncio.get_running_loop()
    asked, server_drains = asyncio.Event(), threading.Event()
    answer = asyncio.create_task(client.run(ask))
    await asked.wait()
    closing = asyncio.create_task(server.close(5))
    await server.stopping.wait()
    server_drains.set()
    assert await answer == [b"first", b"last"]
    async with asyncio.timeout(3):
        await closing


async def test_grpcio_is_served_over_a_unix_socket_and_tls(
    server: Server,
    server_tls: Any,
    certificate: Path,
    pool: ThreadPoolExecutor,
    tmp_path: Path,
) -> None:
    await server.serve_unix(tmp_path / "s.sock")
    port = port_of(await server.serve_tcp("127.0.0.1", 0, ssl=server_tls))
    trust = grpc.ssl_channel_credentials(certificate.read_bytes().partition(b"-----BEGIN PRIV")[0])
    message = os.urandom(500_000)
    for channel in (
        grpc.insecure_channel(f"unix://{tmp_path}/s.sock"),
        grpc.secure_channel(f"127.0.0.1:{port}", trust),
    ):
        client = GrpcioClient(channel, pool)
        assert await client.run(partial(client.unary("Unary"), message, timeout=10)) == message
        channel.close()
