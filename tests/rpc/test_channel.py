"""The channel at our own server."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from c101.core.errors import DeadlineExceededError, LinkError, LinkLostError
from c101.core.rpc.channel import Channel, TcpDialer, UnixDialer
from c101.core.rpc.limits import KIB, MIB, Limits
from c101.core.rpc.server import Server, ServerStream, UnaryCall
from c101.core.rpc.status import CallLostError, Code, RpcError
from tests.rpc.conftest import port_of
from tests.rpc.raw_peer import echo


@pytest.fixture
async def channel(port: int) -> AsyncIterator[Channel]:
    made = Channel(TcpDialer("127.0.0.1", port))
    yield made
    await made.close()


async def test_unary_calls_of_every_size_are_answered(channel: Channel) -> None:
    assert not channel.connected
    for size in (0, 1, 300, 16_379, 16_380, 65_536, 2_000_000):
        message = os.urandom(size)
        assert await channel.unary("/test.Echo/Unary", message, timeout=10) == message
    assert channel.connected


async def test_a_thousand_calls_at_once_are_answered(channel: Channel) -> None:
    calls = [channel.unary("/test.Echo/Unary", b"%d" % number) for number in range(1_000)]
    assert await asyncio.gather(*calls) == [b"%d" % number for number in range(1_000)]


async def test_messages_go_both_ways_on_one_stream(channel: Channel) -> None:
    async with channel.stream("/test.Echo/Stream", timeout=10) as stream:
        for number in range(100):
            stream.send(b"%d" % number)
            assert await anext(stream) == b"%d" % number
        stream.end()
        assert [message async for message in stream] == []


async def test_a_client_stream_is_answered_at_its_end(channel: Channel) -> None:
    async with channel.stream("/test.Echo/Collect") as stream:
        for _ in range(100):
            stream.send(bytes(10_000))
            await stream.drain()
        stream.end()
        assert [len(message) async for message in stream] == [1_000_099]


async def test_a_stream_that_fails_gives_its_messages_first(channel: Channel) -> None:
    async with channel.stream("/test.Echo/FailLate") as stream:
        assert await anext(stream) == b"first"
        with pytest.raises(RpcError) as caught:
            await anext(stream)
    assert (caught.value.status, caught.value.message) == (Code.ABORTED, "späť 100 %")


async def test_metadata_is_sent(channel: Channel) -> None:
    answer = await channel.unary("/test.Echo/Metadata", b"", metadata=[("Token", b"abc")])
    assert answer == b"user-agent=c101;token=abc"


async def test_leaving_the_block_cancels_the_stream(channel: Channel, server: Server) -> None:
    async with channel.stream("/test.Echo/Stream") as stream:
        stream.send(b"x")
        await anext(stream)
        assert len(server.service.tasks) == 1
    async with asyncio.timeout(2):
        while server.service.tasks:
            await asyncio.sleep(0.005)


async def test_a_cancelled_call_ends_its_handler(channel: Channel, server: Server) -> None:
    call = asyncio.create_task(channel.unary("/test.Echo/Wait", b""))
    async with asyncio.timeout(2):
        while not server.service.tasks:
            await asyncio.sleep(0.005)
        call.cancel()
        while server.service.tasks:
            await asyncio.sleep(0.005)
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_deadline_is_the_callers_own(channel: Channel) -> None:
    with pytest.raises(DeadlineExceededError, match=r"did not answer /test.Echo/Wait within 0.1 s"):
        await channel.unary("/test.Echo/Wait", b"", timeout=0.1)
    with pytest.raises(DeadlineExceededError):
        async with channel.stream("/test.Echo/Stream", timeout=0.1) as stream:
            await anext(stream)
    assert await channel.unary("/test.Echo/Unary", b"goes on") == b"goes on"


async def test_a_deadline_that_is_far_is_kept_too(channel: Channel) -> None:
    loop = asyncio.get_running_loop()
    before = loop.time()
    with pytest.raises(DeadlineExceededError, match=r"within 1\.2 s"):
        await channel.unary("/test.Echo/Wait", b"", timeout=1.2)
    assert loop.time() - before >= 1.2
    assert await channel.unary("/test.Echo/Unary", b"x", timeout=1.2) == b"x"


async def test_a_channel_that_is_retired_lets_what_runs_end_and_takes_no_more(
    channel: Channel,
) -> None:
    async with channel.stream("/test.Echo/Stream") as stream:
        stream.send(b"1")
        assert await anext(stream) == b"1"
        assert channel.busy
        channel.retire()
        with pytest.raises(LinkError, match="closed"):
            await channel.unary("/test.Echo/Unary", b"")
        stream.send(b"2")
        assert await anext(stream) == b"2"
    assert not channel.busy


async def test_whoever_reads_a_stream_sees_that_it_was_left(channel: Channel) -> None:
    async with channel.stream("/test.Echo/Stream") as stream:
        reading = asyncio.create_task(anext(stream, None))
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await reading is None


async def test_a_ping_takes_a_while(channel: Channel) -> None:
    assert 0 < await channel.ping(5) < 5


async def test_a_slow_reader_holds_the_server_back() -> None:
    sent = 0

    async def pour(stream: ServerStream) -> None:
        nonlocal sent
        while True:
            stream.send(bytes(10_000))
            sent += 1
            await stream.drain()

    server = Server({"/t.T/Echo": echo}, {"/t.T/Pour": pour})
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    channel = Channel(TcpDialer("127.0.0.1", port), limits=Limits(stream_window_bytes=256 * KIB))
    async with channel.stream("/t.T/Pour") as stream:
        await anext(stream)
        for _ in range(5):
            await asyncio.sleep(0.02)
            # Other calls on the same connection are not held back.
            assert await channel.unary("/t.T/Echo", b"x", timeout=5) == b"x"
        # The window, and what the server's handler may have waiting.
        assert 20 <= sent <= 40
        for _ in range(100):
            await anext(stream)
        assert sent >= 100
    await channel.close()
    await server.close(0)


async def test_calls_wait_for_the_servers_limit_on_streams() -> None:
    at_once = most = 0
    waiting: list[UnaryCall] = []

    def keep(call: UnaryCall, _message: bytes) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        waiting.append(call)
        asyncio.get_running_loop().call_later(0.01, answer)

    def answer() -> None:
        nonlocal at_once
        at_once -= 1
        waiting.pop(0).reply(b"")

    server = Server({"/t.T/Keep": keep}, {}, limits=Limits(streams_max=3))
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    channel = Channel(TcpDialer("127.0.0.1", port))
    await asyncio.gather(*[channel.unary("/t.T/Keep", b"", timeout=5) for _ in range(20)])
    assert most == 3
    await channel.close()
    await server.close(0)


async def test_a_call_that_cannot_start_in_time_says_so() -> None:
    server = Server({"/t.T/Keep": lambda _call, _message: None}, {}, limits=Limits(streams_max=1))
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    channel = Channel(TcpDialer("127.0.0.1", port))
    try:
        # The first one holds the only stream for longer than the second one waits.
        first = asyncio.create_task(channel.unary("/t.T/Keep", b"", timeout=30))
        second = asyncio.create_task(channel.unary("/t.T/Keep", b"", timeout=0.2))
        with pytest.raises(DeadlineExceededError, match="could not be asked"):
            await second
        first.cancel()
        await asyncio.wait({first})
        with pytest.raises(DeadlineExceededError, match="did not answer"):
            await channel.unary("/t.T/Keep", b"", timeout=0.2)
    finally:
        await channel.close()
        await server.close(0)


async def test_nobody_there_is_a_link_error(tmp_path: Path) -> None:
    channel = Channel(UnixDialer(tmp_path / "none.sock"))
    with pytest.raises(LinkError, match="cannot reach unix://") as caught:
        await channel.unary("/t.T/X", b"")
    assert not isinstance(caught.value, LinkLostError)
    assert caught.value.exit_status == 5
    await channel.close()


async def test_a_lost_link_fails_what_runs_and_the_next_call_connects_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s.sock"
    first = Server({"/t.T/Keep": lambda _call, _message: None}, {})
    await first.serve_unix(path)
    channel = Channel(UnixDialer(path))
    call = asyncio.create_task(channel.unary("/t.T/Keep", b""))
    async with asyncio.timeout(2):
        while not first.connections or not channel.connected:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    for wire in list(first._wires):
        wire.abort()
    with pytest.raises(CallLostError, match="the request may have been carried out") as caught:
        await call
    assert caught.value.maybe_sent
    await first.close(0)
    second = Server({"/t.T/Echo": echo}, {})
    await second.serve_unix(path)
    assert await channel.unary("/t.T/Echo", b"again") == b"again"
    await channel.close()
    await second.close(0)


async def test_a_lost_link_fails_streams_and_pings(server: Server, channel: Channel) -> None:
    async with channel.stream("/test.Echo/Stream") as stream:
        stream.send(b"x")
        await anext(stream)
        for wire in list(server._wires):
            wire.abort()
        with pytest.raises(CallLostError):
            await anext(stream)
        stream.send(b"dropped")
        await stream.drain()


async def test_after_goaway_streams_end_and_new_calls_use_a_new_link(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    first, second = (
        Server({"/t.T/Echo": echo}, {"/t.T/Stream": _echo_until_told}) for _ in range(2)
    )
    await first.serve_unix(path)
    channel = Channel(UnixDialer(path))
    async with channel.stream("/t.T/Stream") as stream:
        stream.send(b"one")
        assert await anext(stream) == b"one"
        closing = asyncio.create_task(first.close(5))
        await first.stopping.wait()
        await asyncio.sleep(0.02)
        await second.serve_unix(path)
        assert await channel.unary("/t.T/Echo", b"elsewhere") == b"elsewhere"
        stream.send(b"two")
        assert await anext(stream) == b"two"
        stream.end()
        assert [message async for message in stream] == []
    async with asyncio.timeout(2):
        await closing
    await channel.close()
    await second.close(0)


async def _echo_until_told(stream: ServerStream) -> None:
    async for message in stream:
        stream.send(message)


async def test_closing_the_channel_ends_its_calls_and_refuses_others(channel: Channel) -> None:
    call = asyncio.create_task(channel.unary("/test.Echo/Wait", b""))
    async with asyncio.timeout(2):
        while not channel.connected:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.02)
    await channel.close()
    with pytest.raises(CallLostError, match="closed by this side"):
        await call
    with pytest.raises(LinkError, match="is closed"):
        await channel.unary("/test.Echo/Unary", b"")


async def test_closing_the_channel_ends_an_attempt_to_connect() -> None:
    class NeverDialer:
        name = "never://"

        async def dial(self, _protocol: asyncio.Protocol) -> None:
            await asyncio.Event().wait()

    channel = Channel(NeverDialer())
    call = asyncio.create_task(channel.unary("/t.T/X", b""))
    await asyncio.sleep(0.01)
    await channel.close()
    with pytest.raises(LinkError, match="was closed"):
        await call


async def test_many_callers_share_one_attempt_to_connect(port: int) -> None:
    class CountingDialer(TcpDialer):
        dialled = 0

        async def dial(self, protocol: asyncio.Protocol) -> None:
            self.dialled += 1
            await asyncio.sleep(0.01)
            await super().dial(protocol)

    dialer = CountingDialer("127.0.0.1", port)
    channel = Channel(dialer)
    calls = [channel.unary("/test.Echo/Unary", b"x", timeout=5) for _ in range(50)]
    impatient = asyncio.create_task(channel.unary("/test.Echo/Unary", b"x", timeout=0.001))
    assert await asyncio.gather(*calls) == [b"x"] * 50
    with pytest.raises(DeadlineExceededError, match="could not be asked"):
        await impatient
    assert dialer.dialled == 1
    await channel.close()


async def test_a_link_that_answers_keepalives_stays(port: int) -> None:
    channel = Channel(TcpDialer("127.0.0.1", port), keepalive_seconds=0.02)
    with pytest.raises(DeadlineExceededError):
        await channel.unary("/test.Echo/Wait", b"", timeout=0.2)
    assert channel.connected
    await channel.close()


async def test_an_answer_over_the_window_comes_whole(port: int) -> None:
    limits = Limits(stream_window_bytes=64 * KIB, message_bytes_max=4 * MIB)
    channel = Channel(TcpDialer("127.0.0.1", port), limits=limits)
    message = os.urandom(2 * MIB)
    assert await channel.unary("/test.Echo/Unary", message, timeout=10) == message
    await channel.close()


async def test_a_closed_channel_has_left_the_server(
    server: Server, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    port = port_of(await server.serve_tcp("127.0.0.1", 0, ssl=server_tls))
    channel = Channel(TcpDialer("127.0.0.1", port, client_tls))
    await channel.unary("/test.Echo/Unary", b"x")
    wire = channel._wire
    await channel.close()
    assert wire is not None
    assert wire.transport is None
