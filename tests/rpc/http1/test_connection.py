"""HTTP/1.1 on a real socket: order, time, floods, slow readers, and clients that go away."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from c101.core.rpc.http1.exchange import Exchange
from c101.core.rpc.http1.limits import UNREAD_BYTES_MAX, Http1Limits
from c101.core.rpc.http1.request import HttpError
from c101.core.rpc.http1.response import HttpResponse
from c101.core.rpc.server import Server
from tests.rpc.conftest import port_of

WAIT_SECONDS = 20.0


class Site:
    """A server whose handlers note what becomes of them."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.written = 0
        self.turns = 0

    async def handle(self, exchange: Exchange) -> None:
        await getattr(self, exchange.request.path[1:])(exchange)

    async def path(self, exchange: Exchange) -> None:
        await exchange.respond(HttpResponse(body=exchange.request.query.encode()))

    async def echo(self, exchange: Exchange) -> None:
        body = b""
        while piece := await exchange.read():
            body += piece
        await exchange.respond(HttpResponse(body=body))

    async def echo_stream(self, exchange: Exchange) -> None:
        await exchange.begin(200, "text/plain")
        while piece := await exchange.read():
            await exchange.send(piece)

    async def ignore(self, exchange: Exchange) -> None:
        await exchange.respond(HttpResponse(body=b"ignored"))

    async def wait(self, _exchange: Exchange) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()

    async def stream_wait(self, exchange: Exchange) -> None:
        await exchange.begin(200, "text/plain")
        await self.wait(exchange)

    async def flood(self, exchange: Exchange) -> None:
        await exchange.begin(200, "text/plain")
        try:
            while True:
                await exchange.send(bytes(10_000))
                self.written += 10_000
                await asyncio.sleep(0)
        finally:
            self.cancelled.set()

    async def fail(self, _exchange: Exchange) -> None:
        raise ValueError("of no interest")

    async def fail_late(self, exchange: Exchange) -> None:
        await exchange.begin(200, "text/plain")
        await exchange.send(b"half")
        raise ValueError("of no interest")

    async def forget(self, _exchange: Exchange) -> None:
        return


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def ask(self, path: str, *fields: str, method: str = "GET", version: str = "1.1") -> None:
        lines = [f"{method} {path} HTTP/{version}", "Host: x", *fields]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def until(self, end: bytes) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.readuntil(end)

    async def rest(self) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.read()


Connect = Callable[[], Awaitable[Client]]


@asynccontextmanager
async def serving(**limits: float) -> AsyncIterator[tuple[Site, Server, Connect]]:
    """Serve a site on a port; give how to connect to it."""
    site = Site()
    server = Server({}, {}, http=site.handle, http1_limits=Http1Limits(**limits))
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    clients: list[Client] = []

    async def connect() -> Client:
        client = Client(*await asyncio.open_connection("127.0.0.1", port))
        clients.append(client)
        return client

    try:
        yield site, server, connect
    finally:
        for client in clients:
            client.writer.close()
        await server.close(0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def test_pipelined_requests_are_answered_in_order_and_the_last_one_closes() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        for number in range(1_000):
            client.ask(f"/path?{number}")
        client.ask("/path?last", "Connection: close")
        said = await client.rest()
    bodies = [part.partition(b"\r\n\r\n")[2] for part in said.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert bodies == [b"%d" % number for number in range(1_000)] + [b"last"]
    assert said.count(b"Connection: close\r\n") == 1


async def test_a_flood_of_pipelined_requests_does_not_hold_up_the_others() -> None:
    async with serving() as (_, _, connect):
        flooder, other = await connect(), await connect()
        for number in range(5_000):
            flooder.ask(f"/path?{number}")
        await flooder.until(b"\r\n\r\n0")
        # The other is answered long before the flood is: both have their turns.
        other.ask("/path?other")
        await other.until(b"\r\n\r\nother")
        flooder.ask("/path?end", "Connection: close")
        said = await flooder.rest()
        assert said.endswith(b"\r\n\r\nend")


@pytest.mark.parametrize("path", ["/echo", "/echo_stream"])
async def test_a_body_in_chunks_comes_through_however_it_is_cut(path: str) -> None:
    data = b"".join(b"%x\r\n%b\r\n" % (size, b"x" * size) for size in range(1, 40)) + b"0\r\n\r\n"
    async with serving() as (_, _, connect):
        client = await connect()
        for cut in range(0, len(data), 7):
            client.ask(path, "Transfer-Encoding: chunked", method="POST")
            client.send(data[:cut])
            await client.writer.drain()
            await asyncio.sleep(0)
            client.send(data[cut:])
            head = await client.until(b"\r\n\r\n")
            if b"Content-Length: 780\r\n" in head:
                body = await client.reader.readexactly(780)
            else:
                body = await client.until(b"0\r\n\r\n")
            assert body.count(b"x") == 780


async def test_answers_are_interleaved_with_the_request_they_answer() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        client.ask("/echo_stream", "Transfer-Encoding: chunked", method="POST")
        for number in range(10):
            client.send(b"2\r\nn%d\r\n" % number)
            await client.until(b"2\r\nn%d\r\n" % number)
        client.send(b"0\r\n\r\n")
        assert await client.until(b"0\r\n\r\n") == b"0\r\n\r\n"
        client.ask("/path?still")
        await client.until(b"\r\n\r\nstill")


async def test_a_client_of_the_old_version_gets_its_stream_without_chunks() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        client.ask("/echo_stream", "Content-Length: 5", method="POST", version="1.0")
        client.send(b"hello")
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert b"Connection: close" in head
        assert body == b"hello"


async def test_head_is_answered_without_a_body() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        client.ask("/path?four", method="HEAD")
        client.ask("/path?four", "Connection: close")
        said = await client.rest()
        assert said.count(b"Content-Length: 4\r\n") == 2
        assert said.count(b"\r\n\r\nfour") == 1


async def test_a_client_that_waits_is_told_to_go_on_when_its_body_is_wanted() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        client.ask("/echo", "Expect: 100-continue", "Content-Length: 2", method="POST")
        assert await client.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ok")
        await client.until(b"\r\n\r\nok")
        # Answered before: whether the body comes nobody knows, so the connection ends.
        client.ask("/ignore", "Expect: 100-continue", "Content-Length: 2", method="POST")
        said = await client.rest()
        assert said.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in said


async def test_a_body_that_nobody_reads_is_dropped_and_the_connection_goes_on() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        size = 4 * UNREAD_BYTES_MAX
        client.ask("/ignore", f"Content-Length: {size}", method="POST")
        client.send(bytes(size))
        client.ask("/path?next")
        await client.until(b"ignored")
        await client.until(b"\r\n\r\nnext")


async def test_a_body_that_nobody_reads_and_that_does_not_come_ends_the_connection() -> None:
    async with serving(drop_seconds=0.05) as (_, _, connect):
        client = await connect()
        client.ask("/ignore", "Content-Length: 10", method="POST")
        assert (await client.rest()).endswith(b"ignored")


async def test_a_request_that_was_answered_is_not_refused_for_the_rest_of_its_body() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        client.ask("/ignore", "Transfer-Encoding: chunked", method="POST")
        await client.until(b"ignored")
        client.send(b"nonsense\r\n")
        assert await client.rest() == b""


async def test_a_slow_head_is_told_so_and_an_idle_connection_closed_without_a_word() -> None:
    async with serving(head_seconds=0.1, idle_seconds=0.3) as (_, _, connect):
        slow, idle = await connect(), await connect()
        # Bytes that keep coming are no excuse: the head as a whole is too slow.
        slow.send(b"GET / HTTP/1.1\r\n")
        said = asyncio.create_task(slow.rest())
        while not said.done():
            slow.send(b"a: b\r\n")
            await asyncio.sleep(0.02)
        assert said.result().startswith(b"HTTP/1.1 408 ")
        idle.ask("/path?one")
        assert (await idle.rest()).endswith(b"\r\n\r\none")


async def test_malformed_bytes_are_refused_behind_what_was_answered() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        client.ask("/path?fine")
        client.send(b"GET / HTTP/1.1\nHost: x\n\n")
        client.ask("/path?never")
        said = await client.rest()
        assert b"fine" in said
        assert b"HTTP/1.1 400 " in said
        assert b"never" not in said


async def test_a_malformed_body_is_refused_and_cuts_an_answer_that_was_begun() -> None:
    async with serving() as (_, _, connect):
        for path, answered in (("/echo", True), ("/echo_stream", False)):
            client = await connect()
            client.ask(path, "Transfer-Encoding: chunked", method="POST")
            client.send(b"1\r\nx\r\nnonsense\r\n")
            try:
                said = await client.rest()
            except ConnectionResetError:
                said = b""
            assert said.startswith(b"HTTP/1.1 400 ") is answered
            assert b"0\r\n\r\n" not in said


async def test_a_reader_that_is_slow_holds_its_handler_back() -> None:
    async with serving() as (site, _, connect):
        client = await connect()
        client.ask("/flood")
        await client.until(b"\r\n\r\n")
        written = -1
        while written != site.written:
            written = site.written
            await asyncio.sleep(0.2)
        # What the kernel and the transport hold, and no more.
        assert written < 32 * 1_048_576
        client.writer.transport.abort()
        async with asyncio.timeout(WAIT_SECONDS):
            await site.cancelled.wait()


@pytest.mark.parametrize("path", ["/wait", "/stream_wait"])
@pytest.mark.parametrize("gone", ["closed", "reset", "half closed"])
async def test_the_handler_of_a_client_that_went_away_is_cancelled(path: str, gone: str) -> None:
    async with serving(half_closed_seconds=0.05) as (site, server, connect):
        client = await connect()
        client.ask(path)
        await site.begun.wait()
        if gone == "closed":
            client.writer.close()
        elif gone == "reset":
            client.writer.transport.abort()
        else:
            client.writer.write_eof()
        async with asyncio.timeout(WAIT_SECONDS):
            await site.cancelled.wait()
        await until(lambda: server.connections == 0)


async def test_a_client_that_went_away_is_noticed_behind_all_that_it_had_sent() -> None:
    async with serving(stalled_seconds=0.2) as (site, server, connect):
        client = await connect()
        client.ask("/wait")
        await site.begun.wait()
        client.send(bytes(4 * UNREAD_BYTES_MAX))
        async with asyncio.timeout(WAIT_SECONDS):
            await site.cancelled.wait()
        await until(lambda: server.connections == 0)


async def test_a_client_that_said_all_still_gets_its_answers() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        client.ask("/path?one")
        client.ask("/echo", "Content-Length: 2", method="POST")
        client.send(b"ok")
        client.writer.write_eof()
        said = await client.rest()
        assert b"\r\n\r\none" in said
        assert said.endswith(b"\r\n\r\nok")


async def test_a_body_that_is_cut_off_is_no_body() -> None:
    async with serving() as (_, _, connect):
        client = await connect()
        client.ask("/echo", "Content-Length: 3", method="POST")
        client.send(b"ok")
        client.writer.write_eof()
        assert (await client.rest()).startswith(b"HTTP/1.1 400 ")


async def test_a_handler_that_fails_is_an_error_or_a_cut_and_never_a_whole_answer() -> None:
    async with serving() as (_, _, connect):
        for path in ("/fail", "/forget"):
            client = await connect()
            client.ask(path)
            assert (await client.until(b"internal error\n")).startswith(b"HTTP/1.1 500 ")
        client = await connect()
        client.ask("/fail_late")
        try:
            said = await client.rest()
        except ConnectionResetError:
            said = b""
        assert b"0\r\n\r\n" not in said


async def test_a_server_that_closes_lets_an_answer_that_is_being_made_leave() -> None:
    async with serving() as (_, server, connect):
        idle, busy = await connect(), await connect()
        idle.ask("/path?idle")
        await idle.until(b"idle")
        busy.ask("/echo_stream", "Transfer-Encoding: chunked", method="POST")
        busy.send(b"1\r\na\r\n")
        await busy.until(b"a\r\n")
        closing = asyncio.create_task(server.close(WAIT_SECONDS))
        assert await idle.rest() == b""
        busy.send(b"1\r\nb\r\n0\r\n\r\n")
        assert await busy.rest() == b"1\r\nb\r\n0\r\n\r\n"
        await closing


def test_a_refusal_has_a_status_and_a_reason() -> None:
    error = HttpError(431, "too large")
    assert (error.status, str(error)) == (431, "too large")
