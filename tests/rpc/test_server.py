"""The server on real sockets: listeners, peers, HTTP/1.1, TLS, deadlines, draining."""

import asyncio
import os
import socket
import ssl
import stat
from pathlib import Path

import pytest

from c101.core.errors import ConfigError
from c101.core.rpc import frames
from c101.core.rpc.channel import Channel, TcpDialer, UnixDialer
from c101.core.rpc.header_block import request
from c101.core.rpc.http1.exchange import Exchange
from c101.core.rpc.http1.limits import Http1Limits
from c101.core.rpc.http1.response import HttpResponse
from c101.core.rpc.limits import Limits
from c101.core.rpc.messages import prefixed
from c101.core.rpc.peer import ADMIN_ROLE, Peer, peer_of
from c101.core.rpc.server import Server, ServerStream, UnaryCall
from c101.core.rpc.status import Code, RpcError
from tests.rpc.conftest import port_of
from tests.rpc.raw_peer import echo, split_frames


async def read_all(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(5):
        return await reader.read()


async def talk(port: int, data: bytes) -> bytes:
    """Send *data* and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answer = await read_all(reader)
    writer.close()
    await writer.wait_closed()
    return answer


async def check_cut_off(port: int, data: bytes) -> None:
    """Check that the server answers *data* by closing, with or without a reset."""
    try:
        answer = await talk(port, data)
    except ConnectionResetError:
        return
    assert answer == b""


async def test_a_unix_socket_has_its_mode_and_tells_who_calls(tmp_path: Path) -> None:
    peers: list[Peer] = []

    def who(call: UnaryCall, _message: bytes) -> None:
        peers.append(call.peer)
        call.reply(b"")

    server = Server({"/t.T/Who": who}, {})
    path = tmp_path / "s.sock"
    await server.serve_unix(path, mode=0o640)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    channel = Channel(UnixDialer(path))
    await channel.unary("/t.T/Who", b"")
    assert (peers[0].kind, peers[0].pid, peers[0].uid) == ("unix", os.getpid(), os.getuid())
    await channel.close()
    await server.close(0)
    assert not path.exists()


async def test_the_role_of_a_peer_is_that_of_the_unix_socket_it_came_by(tmp_path: Path) -> None:
    def role(call: UnaryCall, _message: bytes) -> None:
        call.reply(call.peer.role.encode())

    server = Server({"/t.T/Role": role}, {})
    await server.serve_unix(tmp_path / "admin.sock", role=ADMIN_ROLE)
    await server.serve_unix(tmp_path / "other.sock")
    listener = await server.serve_tcp("127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    # What a caller says of itself counts for nothing.
    claim = ((b"role", b"admin"), (b"c101-role", b"admin"))
    for dialer, expected in (
        (UnixDialer(tmp_path / "admin.sock"), b"admin"),
        (UnixDialer(tmp_path / "other.sock"), b""),
        (TcpDialer("127.0.0.1", port), b""),
    ):
        channel = Channel(dialer)
        assert await channel.unary("/t.T/Role", b"", metadata=claim) == expected
        await channel.close()
    await server.close(0)


def test_a_peer_by_tcp_has_no_role_whatever_its_listener_is_for() -> None:
    class Transport(asyncio.BaseTransport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return sock if name == "socket" else default

    with socket.socket(socket.AF_INET) as sock:
        assert peer_of(Transport(), ADMIN_ROLE).role == ""


async def test_a_socket_left_behind_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    server, other = Server({}, {}), Server({}, {})
    await server.serve_unix(path)
    with pytest.raises(ConfigError, match="in use"):
        await other.serve_unix(path)
    await server.close(0)
    path.write_text("a file")
    with pytest.raises(ConfigError, match="cannot listen on"):
        await other.serve_unix(path)
    assert path.read_text() == "a file"
    await other.close(0)


async def test_a_port_that_is_taken_is_told(server: Server, port: int) -> None:
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
        await server.serve_tcp("127.0.0.1", port)


async def test_garbage_instead_of_a_preface_is_cut_off(server: Server, port: int) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00", b"\0\0\0\0\0", b"\r\n"):
        await check_cut_off(port, garbage)
    # What begins like a request of HTTP/1.1 is answered as one.
    answer = await talk(port, b"PRI * HTTP/2.0\r\n\r\nXX")
    assert answer.startswith(b"HTTP/1.1 505 ")
    async with asyncio.timeout(5):
        while server.connections:
            await asyncio.sleep(0.01)


async def test_a_preface_cut_at_every_byte_is_understood(port: int) -> None:
    hello = frames.PREFACE + frames.settings({}) + frames.frame(frames.PING, 0, 0, b"12345678")
    for cut in (1, 3, 4, 14, 23, 24, 25, 33):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(hello[:cut])
        await asyncio.sleep(0.005)
        writer.write(hello[cut:])
        said = b""
        while b"12345678" not in said:
            async with asyncio.timeout(5):
                said += await reader.read(1_000)
        writer.close()
        await writer.wait_closed()


async def test_a_connection_that_says_nothing_is_closed() -> None:
    limits = Http1Limits(head_seconds=0.05, idle_seconds=0.05)
    server = Server({}, {}, limits=Limits(preface_seconds=0.05), http1_limits=limits)
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    for start in (b"", b"PRI * HT"):
        await check_cut_off(port, start)
    assert (await talk(port, b"GET / HTTP/1.1\r\n")).startswith(b"HTTP/1.1 408 ")
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    assert (await talk(port, request)).endswith(b"\r\n\r\n404 page not found\n")
    await server.close(0)


async def test_a_connection_over_the_limit_is_closed() -> None:
    server = Server({}, {}, limits=Limits(connections_max=1))
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    first = Channel(TcpDialer("127.0.0.1", port))
    await first.ping(5)
    await check_cut_off(port, frames.PREFACE)
    await first.close()
    await server.close(0)


async def test_a_protocol_error_is_told_by_goaway_before_the_end(port: int) -> None:
    said = await talk(port, frames.PREFACE + frames.frame(frames.PING, 0, 0, bytes(8)))
    found, rest = split_frames(said)
    assert rest == b""
    assert found[-1].kind == frames.GOAWAY
    assert frames.parse_goaway(found[-1].payload)[2] == "SETTINGS must come first"


async def test_http1_is_served_on_the_same_port() -> None:
    async def version(exchange: Exchange) -> None:
        path = exchange.request.path.encode()
        await exchange.respond(HttpResponse(body=b'{"path":"%s"}' % path))

    server = Server({"/t.T/Echo": echo}, {}, http=version)
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    channel = Channel(TcpDialer("127.0.0.1", port))
    assert await channel.unary("/t.T/Echo", b"both") == b"both"
    head = b"GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answer = await talk(port, head)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b'\r\n\r\n{"path":"/version"}')
    refused = await talk(port, b"DELETE / HTTP/3\r\nHost: x\r\n\r\n")
    assert refused.startswith(b"HTTP/1.1 400 ")
    await channel.close()
    await server.close(0)


async def test_tls_carries_calls_of_every_kind(
    server: Server, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    port = port_of(await server.serve_tcp("127.0.0.1", 0, ssl=server_tls))
    channel = Channel(TcpDialer("127.0.0.1", port, client_tls))
    large = os.urandom(1_500_000)
    assert await channel.unary("/test.Echo/Unary", large, timeout=10) == large
    async with channel.stream("/test.Echo/Stream") as stream:
        stream.send(large)
        assert await anext(stream) == large
    await channel.close()


async def test_a_deadline_is_answered_and_cancels_the_handler() -> None:
    ended: list[str] = []

    async def wait(stream: ServerStream) -> None:
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(stream.method.decode())

    server = Server({}, {"/t.T/Wait": wait})
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    channel = Channel(TcpDialer("127.0.0.1", port))
    # The caller's metadata carries the deadline, so that the server's answer is what is heard.
    with pytest.raises(RpcError) as caught:
        async with channel.stream("/t.T/Wait", metadata=[("grpc-timeout", "50m")]) as stream:
            await anext(stream)
    assert caught.value.status is Code.DEADLINE_EXCEEDED
    assert caught.value.message == "context deadline exceeded"
    assert ended == ["/t.T/Wait"]
    await channel.close()
    await server.close(0)


async def test_a_closing_server_lets_calls_end_within_its_grace() -> None:
    asked = asyncio.Event()
    may_answer = asyncio.Event()

    async def slow(stream: ServerStream) -> None:
        asked.set()
        await may_answer.wait()
        stream.send(b"answered")

    server = Server({}, {"/t.T/Slow": slow})
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    channel = Channel(TcpDialer("127.0.0.1", port))
    async with channel.stream("/t.T/Slow") as stream:
        await asked.wait()
        closing = asyncio.create_task(server.close(5))
        await server.stopping.wait()
        await asyncio.sleep(0.02)
        may_answer.set()
        assert [message async for message in stream] == [b"answered"]
    async with asyncio.timeout(2):
        await closing
    await channel.close()


async def test_what_outlasts_the_grace_is_told_unavailable() -> None:
    asked = asyncio.Event()

    async def forever(_stream: ServerStream) -> None:
        asked.set()
        await asyncio.Event().wait()

    server = Server({}, {"/t.T/Forever": forever})
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    channel = Channel(TcpDialer("127.0.0.1", port))
    async with channel.stream("/t.T/Forever") as stream:
        await asked.wait()
        await server.close(0.05)
        with pytest.raises(RpcError) as caught:
            await anext(stream)
    assert caught.value.status is Code.UNAVAILABLE
    assert caught.value.message == "server is shutting down"
    await channel.close()


async def test_a_client_that_reads_nothing_costs_a_bounded_amount() -> None:
    server = Server({"/t.T/Large": lambda call, _message: call.reply(bytes(100_000))}, {})
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    hello = frames.PREFACE + frames.settings({4: 2**31 - 1}) + frames.window_update(0, 1 << 30)
    writer.write(hello)
    block = request(b"/t.T/Large", b"x", b"http", ())
    # Some are refused for what waits, not so many that the connection is given up for it.
    for number in range(1, 3_000, 2):
        head = frames.headers(number, block, end_stream=False)
        writer.write(head + frames.frame(frames.DATA, 1, number, prefixed(b"")))
    await writer.drain()
    await asyncio.sleep(0.3)
    [wire] = server._wires
    assert wire.connection is not None
    assert wire.transport is not None
    assert wire.transport.get_write_buffer_size() < 4 << 20
    assert wire.connection.pending_bytes < 80 << 20
    writer.close()
    del reader
    await server.close(0)


async def test_a_handler_is_cancelled_when_its_client_vanishes() -> None:
    cancelled = asyncio.Event()
    asked = asyncio.Event()

    async def wait(_stream: ServerStream) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    server = Server({}, {"/t.T/Wait": wait})
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    channel = Channel(TcpDialer("127.0.0.1", port))
    async with channel.stream("/t.T/Wait"):
        await asked.wait()
        await channel.close()
        async with asyncio.timeout(2):
            await cancelled.wait()
    await server.close(0)
