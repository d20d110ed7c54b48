"""Our channel at grpcio's server (C-core)."""

import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from c101.core.errors import DeadlineExceededError
from c101.core.rpc.channel import Channel, TcpDialer
from c101.core.rpc.status import Code, RpcError


def fail(request: bytes, context: Any) -> bytes:
    context.abort(grpc.StatusCode.OUT_OF_RANGE, request.decode())
    return b""


def wait(_request: bytes, context: Any) -> bytes:
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait(10)
    return b""


def metadata(_request: bytes, context: Any) -> bytes:
    pairs = context.invocation_metadata()
    return ";".join(f"{name}={value}" for name, value in pairs if name != "user-agent").encode()


def count(request: bytes, _context: Any) -> Iterator[bytes]:
    return (b"%d" % number for number in range(int(request)))


class Echo(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Methods of every kind, without generated code."""

    def service(self, details: Any) -> Any:
        methods = {
            "Unary": grpc.unary_unary_rpc_method_handler(lambda request, _context: request),
            "Fail": grpc.unary_unary_rpc_method_handler(fail),
            "Wait": grpc.unary_unary_rpc_method_handler(wait),
            "Metadata": grpc.unary_unary_rpc_method_handler(metadata),
            "Count": grpc.unary_stream_rpc_method_handler(count),
            "Collect": grpc.stream_unary_rpc_method_handler(
                lambda requests, _context: b",".join(requests)
            ),
            "Stream": grpc.stream_stream_rpc_method_handler(lambda requests, _context: requests),
        }
        return methods.get(details.method.removeprefix("/test.Echo/"))


@pytest.fixture(scope="module")
def grpcio_server(certificate: Path) -> Iterator[tuple[int, int]]:
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, options=[("grpc.max_receive_message_length", -1)])
        server.add_generic_rpc_handlers((Echo(),))
        chain, _, key = certificate.read_bytes().partition(b"-----BEGIN PRIV")
        credentials = grpc.ssl_server_credentials([(b"-----BEGIN PRIV" + key, chain)])
        plain = server.add_insecure_port("127.0.0.1:0")
        secure = server.add_secure_port("127.0.0.1:0", credentials)
        server.start()
        yield plain, secure
        server.stop(0).wait()


@pytest.fixture
async def channel(grpcio_server: tuple[int, int]) -> AsyncIterator[Channel]:
    made = Channel(TcpDialer("127.0.0.1", grpcio_server[0]))
    yield made
    await made.close()


async def test_unary_calls_of_every_size_are_answered(channel: Channel) -> None:
    for size in (0, 1, 300, 16_379, 16_380, 65_536, 3_000_000):
        message = os.urandom(size)
        assert await channel.unary("/test.Echo/Unary", message, timeout=10) == message


async def test_messages_go_both_ways_on_one_stream(channel: Channel) -> None:
    async with channel.stream("/test.Echo/Stream", timeout=10) as stream:
        for number in range(50):
            stream.send(b"%d" % number)
            assert await anext(stream) == b"%d" % number
        stream.end()
        assert [message async for message in stream] == []


async def test_streams_of_one_direction(channel: Channel) -> None:
    async with channel.stream("/test.Echo/Count", timeout=20) as stream:
        stream.send(b"5000")
        stream.end()
        assert [message async for message in stream] == [b"%d" % n for n in range(5_000)]
    async with channel.stream("/test.Echo/Collect", timeout=20) as stream:
        for _ in range(30):
            stream.send(bytes(100_000))
            await stream.drain()
        stream.end()
        assert [len(message) async for message in stream] == [3_000_029]


async def test_errors_have_their_code_and_text(channel: Channel) -> None:
    with pytest.raises(RpcError) as caught:
        await channel.unary("/test.Echo/Fail", "größer 100 %".encode(), timeout=5)
    assert (caught.value.status, caught.value.message) == (Code.OUT_OF_RANGE, "größer 100 %")
    with pytest.raises(RpcError) as caught:
        await channel.unary("/test.Echo/No", b"", timeout=5)
    assert caught.value.status is Code.UNIMPLEMENTED


async def test_a_deadline_passes_on_both_sides(channel: Channel) -> None:
    with pytest.raises(DeadlineExceededError):
        await channel.unary("/test.Echo/Wait", b"", timeout=0.1)
    assert await channel.unary("/test.Echo/Unary", b"x", timeout=5) == b"x"


async def test_metadata_arrives(channel: Channel) -> None:
    answer = await channel.unary("/test.Echo/Metadata", b"", metadata=[("token", "abc"), ("x", "")])
    assert answer == b"token=abc;x="


async def test_a_ping_is_answered(channel: Channel) -> None:
    assert await channel.ping(5) < 5


async def test_tls_works_with_it(grpcio_server: tuple[int, int], client_tls: Any) -> None:
    channel = Channel(TcpDialer("127.0.0.1", grpcio_server[1], client_tls))
    assert await channel.unary("/test.Echo/Unary", b"x", timeout=5) == b"x"
    await channel.close()
