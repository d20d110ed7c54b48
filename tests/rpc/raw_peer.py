"""A peer that speaks raw frames: what a correct client would never say can be said with it.

Header blocks are made and read by the ``hpack`` package: an implementation that is not ours.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from struct import unpack

from hpack import Decoder, Encoder

from c101.core.rpc import frames
from c101.core.rpc.limits import Limits
from c101.core.rpc.messages import prefixed
from c101.core.rpc.peer import Peer
from c101.core.rpc.routes import Routes, StreamHandler, UnaryHandler
from c101.core.rpc.server import ServerStream, UnaryCall
from c101.core.rpc.server_connection import ServerConnection, Service

HEAD = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/test.Echo/Unary"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)


@dataclass(frozen=True)
class Frame:
    """One frame as it came."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes


def head_for(path: str, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the fields of a good call of *path*."""
    return (*((name, path if name == ":path" else value) for name, value in HEAD), *more)


def split_frames(data: bytes) -> tuple[list[Frame], bytes]:
    """Cut *data* into frames; return them and what is left."""
    found = []
    while len(data) >= 9:
        length = int.from_bytes(data[:3], "big")
        if len(data) < 9 + length:
            break
        kind, flags, stream_id = unpack(">BBI", data[3:9])
        found.append(Frame(kind, flags, stream_id, data[9 : 9 + length]))
        data = data[9 + length :]
    return found, data


@dataclass
class Answer:
    """What came back on one stream."""

    fields: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def messages(self) -> list[bytes]:
        """The messages in the data."""
        found = []
        data = self.data
        while data:
            size = int.from_bytes(data[1:5], "big")
            found.append(data[5 : 5 + size])
            data = data[5 + size :]
        return found


class RawPeer:
    """A client of a server connection that has no socket: feed it bytes, see what it answers."""

    def __init__(
        self,
        unary: dict[str, UnaryHandler],
        streams: dict[str, StreamHandler],
        limits: Limits | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.service = Service(Routes(unary, streams), limits or Limits(), loop)
        self.connection = ServerConnection(self.service, Peer(), lambda: None)
        self.encoder = Encoder()
        self.decoder = Decoder()
        self.frames: list[Frame] = []
        self.answers: dict[int, Answer] = {}
        self.goaway: tuple[int, int, str] | None = None
        self._rest = b""

    def say(self, data: bytes) -> None:
        """Give the connection *data* and take what it answers."""
        self.connection.receive(data)
        self.collect()
        while self.connection.more:
            self.connection.go_on()
            self.collect()

    def greet(self, settings: dict[int, int] | None = None) -> None:
        """Say what comes first."""
        self.say(frames.settings(settings or {}))

    def block(self, fields: Sequence[tuple[str, str]] = HEAD) -> bytes:
        """Encode *fields*, using the dynamic table."""
        return bytes(self.encoder.encode(list(fields)))

    def call(
        self, stream_id: int, message: bytes, fields: Sequence[tuple[str, str]] = HEAD
    ) -> Answer:
        """Make a whole unary call and return its answer."""
        head = frames.headers(stream_id, self.block(fields), end_stream=False)
        self.say(head + frames.frame(frames.DATA, 1, stream_id, prefixed(message)))
        return self.answers.setdefault(stream_id, Answer())

    def collect(self) -> None:
        """Take the output, as a socket would, until there is no more."""
        while output := self.connection.take_output():
            self.connection.flushed()
            self._take(output)

    async def settle(self) -> None:
        """Let handlers run, then take the output."""
        for _ in range(5):
            await asyncio.sleep(0)
            self.collect()

    def _take(self, output: bytes) -> None:
        found, self._rest = split_frames(self._rest + output)
        for frame in found:
            self.frames.append(frame)
            self._sort(frame)

    def _sort(self, frame: Frame) -> None:
        answer = self.answers.setdefault(frame.stream_id, Answer())
        if frame.kind == frames.HEADERS:
            for name, value in self.decoder.decode(frame.payload):
                answer.fields[str(name)] = str(value)
            answer.ended |= bool(frame.flags & 1)
        elif frame.kind == frames.DATA:
            answer.data += frame.payload
        elif frame.kind == frames.RST_STREAM:
            answer.reset = int.from_bytes(frame.payload, "big")
        elif frame.kind == frames.GOAWAY:
            self.goaway = frames.parse_goaway(frame.payload)

    async def close(self) -> None:
        """End what the connection started."""
        self.connection.lose("the test is over")
        await asyncio.gather(*self.service.tasks, return_exceptions=True)
        self.service.deadlines.close()


def echo(call: UnaryCall, message: bytes) -> None:
    """Answer what was asked."""
    call.reply(message)


async def echo_stream(stream: ServerStream) -> None:
    """Answer each message by itself."""
    async for message in stream:
        stream.send(message)
        await stream.drain()
