"""The channel at servers that behave badly."""

import asyncio

import pytest

from c101.core.errors import DeadlineExceededError, LinkError
from c101.core.rpc import frames
from c101.core.rpc.channel import Channel, TcpDialer
from c101.core.rpc.frames import ErrorCode
from c101.core.rpc.header_block import OK_TRAILERS, RESPONSE, literal, trailers
from c101.core.rpc.messages import prefixed
from c101.core.rpc.status import CallLostError, Code, RpcError
from tests.rpc.conftest import port_of


class ScriptedServer:
    """Greets, then answers each thing it reads with the next of its *answers*."""

    def __init__(self, *answers: bytes, greeting: bytes | None = None) -> None:
        self._answers = list(answers)
        self._greeting = frames.settings({}) if greeting is None else greeting
        self.connections = 0
        self.received: list[bytes] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._listener: asyncio.Server | None = None

    async def start(self) -> Channel:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return Channel(TcpDialer("127.0.0.1", port_of(self._listener)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        writer.write(self._greeting)
        while data := await reader.read(65_536):
            self.received.append(data)
            if b"/t.T/" in data and self._answers:
                writer.write(self._answers.pop(0))
        writer.close()

    async def close(self, channel: Channel) -> None:
        await channel.close()
        assert self._listener is not None
        self._listener.close()
        for writer in self._writers:
            writer.close()


def head(block: bytes, *, end: bool = False, stream: int = 1) -> bytes:
    return frames.headers(stream, block, end_stream=end)


def data(payload: bytes, flags: int = 0) -> bytes:
    return frames.frame(frames.DATA, flags, 1, payload)


def good(stream: int) -> bytes:
    message = frames.frame(frames.DATA, 0, stream, prefixed(b"good"))
    return head(RESPONSE, stream=stream) + message + head(OK_TRAILERS, end=True, stream=stream)


async def test_a_request_that_fits_is_one_frame_that_ends_the_call() -> None:
    server = ScriptedServer(good(1), good(3))
    channel = await server.start()
    assert await channel.unary("/t.T/M", b"first", timeout=5) == b"good"
    assert await channel.unary("/t.T/M", b"second", timeout=5) == b"good"
    sent = b"".join(server.received)
    for stream, message in ((1, b"first"), (3, b"second")):
        last = frames.frame(frames.DATA, frames.END_STREAM, stream, prefixed(message))
        assert sent.count(last) == 1
        assert frames.frame(frames.DATA, frames.END_STREAM, stream) not in sent
    await server.close(channel)


BAD_ANSWERS = [
    ("nothing but OK", head(RESPONSE + OK_TRAILERS, end=True), Code.INTERNAL, "OK without a"),
    ("no trailers", head(RESPONSE) + data(prefixed(b""), 1), Code.INTERNAL, "without a status"),
    (
        "a cut message",
        head(RESPONSE) + data(b"\0\0\0\0\5ab") + head(OK_TRAILERS, end=True),
        Code.INTERNAL,
        "within a message",
    ),
    (
        "two messages",
        head(RESPONSE) + data(prefixed(b"") * 2) + head(OK_TRAILERS, end=True),
        Code.INTERNAL,
        "a second message",
    ),
    ("compressed", head(RESPONSE) + data(b"\1\0\0\0\0"), Code.UNIMPLEMENTED, "compressed"),
    ("too large", head(RESPONSE) + data(b"\0\x7f\0\0\0"), Code.RESOURCE_EXHAUSTED, "larger than"),
    ("HTTP 503", head(literal(b":status", b"503")), Code.UNAVAILABLE, "HTTP status 503"),
    ("HTTP x", head(literal(b":status", b"x")), Code.INTERNAL, "HTTP status x"),
    (
        "a page",
        head(b"\x88" + literal(b"content-type", b"text/html")),
        Code.UNKNOWN,
        'content-type "text/html"',
    ),
    ("no HTTP status", head(b"", end=True), Code.INTERNAL, "ended without a status"),
    (
        "a compressed answer",
        head(RESPONSE + literal(b"grpc-encoding", b"gzip")),
        Code.INTERNAL,
        "compressed (gzip)",
    ),
    ("too many fields", head(literal(b"x", b"y" * 16_370)), Code.RESOURCE_EXHAUSTED, "metadata"),
    ("a status", head(RESPONSE + trailers(Code.NOT_FOUND, "no"), end=True), Code.NOT_FOUND, "no"),
    ("a reset", frames.rst_stream(1, ErrorCode.CANCEL), Code.CANCELLED, "CANCEL"),
    ("an unknown reset", frames.rst_stream(1, 77), Code.INTERNAL, "error 77"),
    (
        "calm",
        frames.rst_stream(1, ErrorCode.ENHANCE_YOUR_CALM),
        Code.RESOURCE_EXHAUSTED,
        "ENHANCE_YOUR_CALM",
    ),
]


@pytest.mark.parametrize(
    ("answer", "code", "text"),
    [pytest.param(answer, code, text, id=name) for name, answer, code, text in BAD_ANSWERS],
)
async def test_a_bad_answer_fails_its_call_only(answer: bytes, code: Code, text: str) -> None:
    server = ScriptedServer(answer, good(3))
    channel = await server.start()
    with pytest.raises(RpcError) as caught:
        await channel.unary("/t.T/X", b"", timeout=5)
    assert caught.value.status is code
    assert text in caught.value.message
    assert await channel.unary("/t.T/X", b"", timeout=5) == b"good"
    assert server.connections == 1
    await server.close(channel)


async def test_an_interim_answer_is_passed_over() -> None:
    server = ScriptedServer(head(literal(b":status", b"103")) + good(1))
    channel = await server.start()
    assert await channel.unary("/t.T/X", b"", timeout=5) == b"good"
    await server.close(channel)


@pytest.mark.parametrize(
    ("refusal", "stream"),
    [
        pytest.param(frames.rst_stream(1, ErrorCode.REFUSED_STREAM), 3, id="REFUSED_STREAM"),
        pytest.param(frames.goaway(0, ErrorCode.NO_ERROR), 1, id="GOAWAY before it"),
    ],
)
async def test_a_call_that_was_not_looked_at_is_made_again(refusal: bytes, stream: int) -> None:
    server = ScriptedServer(refusal, good(stream))
    channel = await server.start()
    assert await channel.unary("/t.T/X", b"", timeout=5) == b"good"
    await server.close(channel)


async def test_a_call_is_not_made_again_for_ever() -> None:
    refusals = [frames.rst_stream(number, ErrorCode.REFUSED_STREAM) for number in (1, 3, 5)]
    server = ScriptedServer(*refusals)
    channel = await server.start()
    with pytest.raises(RpcError) as caught:
        await channel.unary("/t.T/X", b"", timeout=5)
    assert caught.value.status is Code.UNAVAILABLE
    await server.close(channel)


@pytest.mark.parametrize(
    "violation",
    [
        pytest.param(frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(8)), id="a push"),
        pytest.param(head(OK_TRAILERS, stream=7), id="an answer to nothing"),
        pytest.param(b"HTTP/1.1 400 Bad Request\r\n\r\n", id="another protocol"),
        pytest.param(frames.frame(frames.HEADERS, 4, 1, b"\xbe"), id="a broken block"),
    ],
)
async def test_a_server_that_breaks_the_rules_loses_the_link(violation: bytes) -> None:
    server = ScriptedServer(violation)
    channel = await server.start()
    with pytest.raises(CallLostError):
        await channel.unary("/t.T/X", b"", timeout=5)
    assert not channel.connected
    await server.close(channel)


@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"])
async def test_something_else_than_http2_is_a_link_error(greeting: bytes) -> None:
    server = ScriptedServer(greeting=greeting)
    channel = await server.start()
    with pytest.raises(LinkError, match="without a word of HTTP/2"):
        await channel.unary("/t.T/X", b"", timeout=5)
    await server.close(channel)


async def test_a_server_that_says_nothing_is_not_waited_for_beyond_the_deadline() -> None:
    server = ScriptedServer(greeting=b"")
    channel = await server.start()
    with pytest.raises(DeadlineExceededError):
        await channel.unary("/t.T/X", b"", timeout=0.1)
    with pytest.raises(DeadlineExceededError, match="ping"):
        await channel.ping(0.1)
    await server.close(channel)


async def test_a_silent_link_is_given_up_by_keepalive() -> None:
    server = ScriptedServer()
    await (await server.start()).close()
    assert server._listener is not None
    channel = Channel(TcpDialer("127.0.0.1", port_of(server._listener)), keepalive_seconds=0.05)
    with pytest.raises(CallLostError, match="no answer to a keepalive"):
        await channel.unary("/t.T/X", b"", timeout=5)
    await server.close(channel)
