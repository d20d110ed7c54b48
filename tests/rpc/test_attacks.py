"""Hostile clients of a whole server: it stays small, ends them, and others do not notice.

Each attack comes on ten connections at once, which send as fast as they can until they are cut
off or have sent all they wanted. One client does its work meanwhile, without a single failure.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass

import psutil
import pytest

from c101.core.proto import rpc_pb2
from c101.core.rpc import frames
from c101.core.rpc.channel import Channel, TcpDialer
from c101.core.rpc.frames import ErrorCode
from c101.core.rpc.header_block import request
from c101.core.rpc.limits import MIB
from c101.core.rpc.messages import prefixed
from tests.kvserver.processes import Ours

pytestmark = [pytest.mark.integration, pytest.mark.slow]

CONNECTIONS = 10
#: How long all connections of an attack may take, those that are not cut off included.
ATTACK_SECONDS_MAX = 60.0
#: What a server may grow by while it is attacked.
GROWTH_BYTES_MAX = 64 * MIB
#: And what each connection may cost that asks and does not read (``Limits.pending_bytes_max``).
UNREAD_BYTES_MAX = 96 * MIB
#: What the client that does its work has to get done, during an attack and after it.
CALLS = 20
#: What a slow reader asks for: so little that even the thousand answers which may be in the making
#: when its connection has too much are less than what is allowed for one that does not read.
KEYS, VALUE_BYTES = 500, 150

PUT = request(b"/etcdserverpb.KV/Put", b"x", b"http", ())
RANGE = request(b"/etcdserverpb.KV/Range", b"x", b"http", ())
EVERYTHING = prefixed(rpc_pb2.RangeRequest(key=b"v/", range_end=b"v0").SerializeToString())
frame = frames.frame


def odd(count: int) -> Iterator[int]:
    """Yield stream numbers."""
    return iter(range(1, 2 * count, 2))


def pings() -> Iterator[bytes]:
    yield from [frame(frames.PING, 0, 0, bytes(8)) * 100] * 10_000


def settings() -> Iterator[bytes]:
    yield from [frames.settings({4: 65_535}) * 100] * 10_000


def empty_data() -> Iterator[bytes]:
    yield frames.headers(1, PUT, end_stream=False)
    yield from [frame(frames.DATA, 0, 1) * 100] * 10_000


def rapid_resets() -> Iterator[bytes]:
    for stream in odd(200_000):
        yield frames.headers(stream, PUT, end_stream=False) + frames.rst_stream(
            stream, ErrorCode.CANCEL
        )


def resets_by_us() -> Iterator[bytes]:
    for stream in odd(200_000):
        yield frames.headers(stream, PUT, end_stream=False) + frames.window_update(stream, 0)


def continuations() -> Iterator[bytes]:
    yield frame(frames.HEADERS, 0, 1, PUT)
    yield from [frame(frames.CONTINUATION, 0, 1, b"\x00\x01a\x01b" * 1_000)] * 10_000


def empty_continuations() -> Iterator[bytes]:
    yield frame(frames.HEADERS, 0, 1, PUT)
    yield from [frame(frames.CONTINUATION, 0, 1) * 100] * 10_000


def priorities() -> Iterator[bytes]:
    yield from [frame(frames.PRIORITY, 0, 3, b"\0\0\0\1\x0f") * 100] * 2_000


def header_bombs() -> Iterator[bytes]:
    """One entry of 3 KiB, then requests that refer to it four thousand times: 12 MiB each."""
    entry = b"\x40\x01a\x7f\x81\x17" + b"b" * 3_072
    yield frames.headers(1, PUT + entry, end_stream=True)
    for stream in odd(300):
        yield frames.headers(stream + 2, PUT + b"\xbe" * 4_000, end_stream=True)


def zero_windows() -> Iterator[bytes]:
    yield frames.settings({4: 0})
    for stream in odd(4_000):
        yield frames.headers(stream, RANGE, end_stream=False) + frame(
            frames.DATA, 1, stream, EVERYTHING
        )


def unread_answers() -> Iterator[bytes]:
    yield frames.settings({4: 2**31 - 1}) + frames.window_update(0, 1 << 30)
    for stream in odd(4_000):
        yield frames.headers(stream, RANGE, end_stream=False) + frame(
            frames.DATA, 1, stream, EVERYTHING
        )


def windows_of_one_byte() -> Iterator[bytes]:
    yield frames.settings({4: 0})
    for stream in odd(20):
        yield frames.headers(stream, RANGE, end_stream=False) + frame(
            frames.DATA, 1, stream, EVERYTHING
        )
    for _ in range(1_000):
        yield b"".join(frames.window_update(stream, 1) for stream in odd(20))


def window_overflow() -> Iterator[bytes]:
    yield from [frames.window_update(0, 2**31 - 1)] * 2


def heads_without_end() -> Iterator[bytes]:
    for stream in odd(20_000):
        yield frames.headers(stream, PUT, end_stream=False)


def endless_message() -> Iterator[bytes]:
    yield frames.headers(1, PUT, end_stream=False)
    yield frame(frames.DATA, 0, 1, b"\0\xff\xff\xff\xff")
    yield from [frame(frames.DATA, 0, 1, bytes(16_384))] * 2_000


def unknown_frames() -> Iterator[bytes]:
    yield from [frame(0x77, 0xFF, 1, bytes(16_384))] * 2_000


def half_a_preface() -> Iterator[bytes]:
    yield b""


def nonsense() -> Iterator[bytes]:
    yield from [b"\xff" * 10_000] * 100


@dataclass(frozen=True, kw_only=True)
class Attack:
    """What is said; whether that must end the connection; what is read of the answers."""

    said: Callable[[], Iterator[bytes]]
    ends: bool = True
    growth_bytes_max: int = GROWTH_BYTES_MAX
    reads: bool = True
    preface: bool = True


ATTACKS = {
    "a flood of PINGs": Attack(said=pings),
    "a flood of PINGs by one who reads nothing": Attack(said=pings, reads=False),
    "a flood of SETTINGS": Attack(said=settings),
    "a flood of empty DATA": Attack(said=empty_data),
    "rapid resets": Attack(said=rapid_resets),
    "streams that we must reset": Attack(said=resets_by_us),
    "an endless header block": Attack(said=continuations),
    "an endless header block of nothing": Attack(said=empty_continuations),
    "a flood of PRIORITY": Attack(said=priorities, ends=False),
    "header bombs": Attack(said=header_bombs, ends=False),
    "zero windows": Attack(
        said=zero_windows, ends=False, growth_bytes_max=CONNECTIONS * UNREAD_BYTES_MAX
    ),
    "answers that nobody reads": Attack(
        said=unread_answers,
        ends=False,
        reads=False,
        growth_bytes_max=CONNECTIONS * UNREAD_BYTES_MAX,
    ),
    "windows of one byte": Attack(
        said=windows_of_one_byte, ends=False, growth_bytes_max=CONNECTIONS * UNREAD_BYTES_MAX
    ),
    "a window over its maximum": Attack(said=window_overflow),
    "heads that never end": Attack(said=heads_without_end, ends=False),
    "a message of 4 GiB": Attack(said=endless_message, ends=False),
    "frames of no known kind": Attack(said=unknown_frames, ends=False),
    "nothing but a connection": Attack(said=half_a_preface, ends=False, preface=False),
    "nonsense": Attack(said=nonsense, preface=False),
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ours]:
    server = Ours(tmp_path_factory.mktemp("attacked"))
    server.start()
    client = server.client()
    for number in range(KEYS):
        client.put(b"v/%04d" % number, bytes(VALUE_BYTES))
    client.close()
    yield server
    server.stop()


class Attacker:
    """One hostile connection."""

    def __init__(self, how: Attack) -> None:
        self._how = how
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self.ended = False

    async def say_all(self, port: int) -> None:
        """Connect and say it all, or as much as is taken; the connection stays if it may."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        self._writer = writer
        if self._how.preface:
            writer.write(frames.PREFACE + frames.settings({}))
        if self._how.reads:
            self._reading = asyncio.create_task(_read_all(reader))
        try:
            for chunk in self._how.said():
                writer.write(chunk)
                await writer.drain()
            while self._how.ends and not self._over():
                # The end may be on its way: what is said after it is refused.
                writer.write(frame(frames.PING, 0, 0, bytes(8)))
                await writer.drain()
                await asyncio.sleep(0.01)
        except OSError:
            self.ended = True

    def _over(self) -> bool:
        self.ended = self._reading is not None and self._reading.done()
        return self.ended

    async def close(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.transport.abort()


async def _read_all(reader: asyncio.StreamReader) -> None:
    while await reader.read(1 << 20):
        pass


class Bystander:
    """A client that works as if nothing were."""

    def __init__(self, port: int) -> None:
        self._channel = Channel(TcpDialer("127.0.0.1", port))
        self.calls = 0

    async def work(self) -> None:
        """Write and read back, for ever; raise what fails."""
        while True:
            value = b"%d" % self.calls
            put = rpc_pb2.PutRequest(key=b"bystander", value=value).SerializeToString()
            await self._channel.unary("/etcdserverpb.KV/Put", put, timeout=20)
            get = rpc_pb2.RangeRequest(key=b"bystander").SerializeToString()
            answer = await self._channel.unary("/etcdserverpb.KV/Range", get, timeout=20)
            assert rpc_pb2.RangeResponse.FromString(answer).kvs[0].value == value
            self.calls += 1

    async def more(self, working: "asyncio.Task[None]") -> None:
        """Wait until it did some more, or failed."""
        enough = self.calls + CALLS
        async with asyncio.timeout(ATTACK_SECONDS_MAX):
            while self.calls < enough and not working.done():
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        await self._channel.close()


@pytest.fixture
async def bystander(ours: Ours) -> AsyncIterator[Bystander]:
    one = Bystander(ours.port)
    yield one
    await one.close()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ATTACKS.values(), ids=ATTACKS)
async def test_an_attack_is_ended_or_borne_and_nobody_else_notices(
    ours: Ours, bystander: Bystander, how: Attack
) -> None:
    process = psutil.Process(ours.pid)
    before = process.memory_info().rss
    attackers = [Attacker(how) for _ in range(CONNECTIONS)]
    working = asyncio.create_task(bystander.work())
    try:
        async with asyncio.timeout(ATTACK_SECONDS_MAX):
            await asyncio.gather(*(attacker.say_all(ours.port) for attacker in attackers))
        # Whatever came before its calls has been looked at when they are answered.
        await bystander.more(working)
        growth = process.memory_info().rss - before
    finally:
        for attacker in attackers:
            await attacker.close()
    await bystander.more(working)
    working.cancel()
    [failure] = await asyncio.gather(working, return_exceptions=True)
    assert isinstance(failure, asyncio.CancelledError), failure
    assert all(attacker.ended for attacker in attackers) or not how.ends

    assert growth < how.growth_bytes_max, f"it grew by {growth / MIB:.0f} MiB"
    assert "Traceback" not in ours.log
