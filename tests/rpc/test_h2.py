"""The ``h2`` package as the other side: it refuses every frame that a rule forbids."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    PingAckReceived,
    RequestReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes

from c101.core.rpc.channel import Channel, TcpDialer
from c101.core.rpc.messages import prefixed
from c101.core.rpc.server import Server
from c101.core.rpc.status import Code, RpcError
from tests.rpc.raw_peer import head_for


def text_of(headers: Iterable[tuple[bytes | str, bytes | str]]) -> dict[str, str]:
    """Return the fields as text, which is how the connections here are configured."""
    return {str(name): str(value) for name, value in headers}


class H2Client:
    """A client that keeps to every rule of flow control, of which h2 keeps the books."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.fields: dict[int, dict[str, str]] = defaultdict(dict)
        self.data: dict[int, bytes] = defaultdict(bytes)
        self.ended: set[int] = set()
        self.pings = 0

    def call(self, path: str) -> int:
        """Begin a call and return its stream."""
        number = self.h2.get_next_available_stream_id()
        self.h2.send_headers(number, head_for(path))
        return number

    async def send(self, stream: int, message: bytes) -> None:
        """Send one message, as windows and frames allow, and end."""
        data = prefixed(message)
        while data:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if not room:
                await self.read()
                continue
            self.h2.send_data(stream, data[:room])
            data = data[room:]
        self.h2.end_stream(stream)

    async def read(self) -> None:
        """Send what is queued, take what comes."""
        self._writer.write(self.h2.data_to_send())
        await self._writer.drain()
        async with asyncio.timeout(10):
            received = await self._reader.read(65_536)
        assert received, "the server ended the connection"
        for event in self.h2.receive_data(received):
            self._take(event)
        self._writer.write(self.h2.data_to_send())

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                self.fields[event.stream_id].update(text_of(event.headers))
            case DataReceived():
                self.data[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case StreamEnded() | StreamReset():
                self.ended.add(event.stream_id)
            case PingAckReceived():
                self.pings += 1
            case _:
                pass

    async def end(self, stream: int) -> tuple[bytes, dict[str, str]]:
        """Wait for the end of a call; return its message and its fields."""
        while stream not in self.ended:
            await self.read()
        return self.data[stream][5:], self.fields[stream]


@pytest.fixture
async def client(server: Server, port: int) -> AsyncIterator[H2Client]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield H2Client(reader, writer)
    writer.close()


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_530, 65_531, 1_500_000])
async def test_h2_is_answered_whatever_the_size(client: H2Client, size: int) -> None:
    message = bytes(size)
    stream = client.call("/test.Echo/Unary")
    await client.send(stream, message)
    answer, fields = await client.end(stream)
    assert answer == message
    assert (fields[":status"], fields["grpc-status"]) == ("200", "0")


async def test_h2_has_many_calls_at_once_in_small_windows_and_frames(client: H2Client) -> None:
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 100})
    streams = {client.call("/test.Echo/Unary"): bytes([n]) * 1_000 for n in range(50)}
    for stream, message in streams.items():
        await client.send(stream, message)
    client.h2.ping(b"12345678")
    for stream, message in streams.items():
        answer, _ = await client.end(stream)
        assert answer == message
    assert client.pings == 1


async def test_h2_hears_errors_resets_and_trailers(client: H2Client) -> None:
    stream = client.call("/test.Echo/Fail")
    await client.send(stream, b"so it is")
    _, fields = await client.end(stream)
    assert (fields["grpc-status"], fields["grpc-message"]) == ("9", "so it is")
    cancelled = client.call("/test.Echo/Wait")
    await client.send(cancelled, b"")
    client.h2.reset_stream(cancelled)
    stream = client.call("/test.Echo/FailLate")
    client.h2.end_stream(stream)
    answer, fields = await client.end(stream)
    assert answer == b"first"
    assert fields["grpc-status"] == "10"


async def serve_with_h2(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every call with its own data, in frames of a few bytes, or with a status."""
    h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
    h2.initiate_connection()
    writer.write(h2.data_to_send())
    paths: dict[int, str] = {}
    data: dict[int, bytes] = defaultdict(bytes)
    while received := await reader.read(65_536):
        for event in h2.receive_data(received):
            if isinstance(event, RequestReceived):
                paths[event.stream_id] = text_of(event.headers)[":path"]
            elif isinstance(event, DataReceived):
                data[event.stream_id] += event.data
                h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                answer(h2, event.stream_id, paths[event.stream_id], data.pop(event.stream_id))
        writer.write(h2.data_to_send())
    writer.close()


def answer(h2: H2Connection, stream: int, path: str, data: bytes) -> None:
    head = [(":status", "200"), ("content-type", "application/grpc")]
    if path.endswith("/Fail"):
        h2.send_headers(stream, [*head, ("grpc-status", "9"), ("grpc-message", "no")], True)
        return
    h2.send_headers(stream, head)
    for first in range(0, len(data), 7):
        h2.send_data(stream, data[first : first + 7], pad_length=3)
    h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)


async def test_our_client_keeps_the_rules_that_h2_checks() -> None:
    listener = await asyncio.start_server(serve_with_h2, "127.0.0.1", 0)
    channel = Channel(TcpDialer("127.0.0.1", listener.sockets[0].getsockname()[1]))
    messages = [bytes([n]) * 200 for n in range(20)]
    calls = [channel.unary("/t.T/Echo", message, timeout=10) for message in messages]
    assert await asyncio.gather(*calls) == messages
    with pytest.raises(RpcError, match="no") as refused:
        await channel.unary("/t.T/Fail", b"", timeout=10)
    assert refused.value.status is Code.FAILED_PRECONDITION
    assert await channel.ping(10) < 10
    await channel.close()
    listener.close()
    await listener.wait_closed()
