"""The JSON gateway over time: streams, slow readers, clients that leave, large answers."""

import asyncio
import contextlib
import http.client
import json
import shutil
import socket
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from c101.core.clock import SystemClock
from c101.core.kvserver.gateway import Gateway
from c101.core.kvserver.gateway_paths import METHODS, PREFIXES
from c101.core.kvserver.json_reader import VALUE_BYTES_MAX
from c101.core.kvserver.json_scanner import MARKS_MAX
from c101.core.kvserver.server import KvServer
from c101.core.rpc.channel import Channel, UnixDialer
from c101.core.rpc.http1.limits import Http1Limits
from c101.core.rpc.server import Server, UnaryCall
from tests.kvserver.http_client import ask, connected, lines
from tests.kvserver.processes import HAVE_ETCDCTL, Ours, etcdctl

WAIT_SECONDS = 20.0
WATCH = "/etcdserverpb.Watch/Watch"


def text(value: bytes | str) -> str:
    return b64encode(value if isinstance(value, bytes) else value.encode()).decode()


class Client:
    """A raw connection to the gateway, over the unix socket of a server in this process."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        assert isinstance(writer.transport, asyncio.Transport)
        self.transport = writer.transport
        self.writer = writer

    @classmethod
    async def connect(cls, path: Path) -> "Client":
        return cls(*await asyncio.open_unix_connection(path, limit=64 << 20))

    def post(self, path: str, *fields: str) -> None:
        lines = [f"POST {path} HTTP/1.1", "Host: x", *fields]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def chunk(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def head(self) -> bytes:
        async with asyncio.timeout(WAIT_SECONDS):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def result(self) -> Any:
        """Return the next line of a stream, ``None`` at its end."""
        line = b""
        while not line.endswith(b"\n") and not line.startswith(b'{"error"'):
            piece = await self.piece()
            if not piece:
                return None
            line += piece
        return json.loads(line)

    async def piece(self) -> bytes:
        """Return what the next chunk has, nothing at the end of the answer."""
        async with asyncio.timeout(WAIT_SECONDS):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2]

    async def ask(self, path: str, body: object) -> Any:
        data = json.dumps(body).encode()
        self.post(path, f"Content-Length: {len(data)}")
        self.writer.write(data)
        size = int((await self.head()).lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        async with asyncio.timeout(WAIT_SECONDS):
            return json.loads(await self.reader.readexactly(size))


class Site:
    """A server in this process, and connections to its gateway."""

    def __init__(self, server: KvServer, path: Path) -> None:
        self.server = server
        self.path = path
        self.clients: list[Client] = []

    async def client(self) -> Client:
        client = await Client.connect(self.path)
        self.clients.append(client)
        return client

    def running(self, rpc: str = WATCH) -> int:
        return self.server.rpc.statistics().running.get(rpc, 0)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with KvServer(tmp_path / "kv", SystemClock()) as server:
        path = tmp_path / "s"
        await server.listen_unix(path)
        made = Site(server, path)
        yield made
        for client in made.clients:
            client.writer.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


def test_every_path_leads_to_its_call(ours: Ours) -> None:
    for path, method in METHODS.items():
        for prefix in PREFIXES:
            # A body that is no JSON gets as far as the decoder, and no call is made.
            answer = ask(ours.port, prefix + path, "nonsense")
            assert answer.status == (500 if method.streams_requests else 400), path
            assert b"in literal null (expecting 'u')" in answer.body


def test_a_call_of_a_service_that_is_not_there_answers_as_the_call_does(ours: Ours) -> None:
    calls = {
        "/v3/maintenance/downgrade": "unknown method Downgrade for service etcdserverpb.Maintenance"
    }
    for path, reason in calls.items():
        answer = ask(ours.port, path)
        assert answer.status == 501
        assert answer.json() == {"error": reason, "message": reason, "code": 12}


def test_a_change_of_the_membership_is_refused_as_over_grpc(ours: Ours) -> None:
    answer = ask(ours.port, "/v3/cluster/member/add", '{"peerURLs":["http://127.0.0.1:1"]}')
    assert answer.status == 412
    assert b"docs/etcd.md" in answer.body


Seen = list[UnaryCall]


@asynccontextmanager
async def gateway_to_a_listener(path: Path) -> AsyncIterator[Seen]:
    """Serve a gateway whose calls are noted, on a unix socket."""
    seen: Seen = []

    def note(call: UnaryCall, _message: bytes) -> None:
        seen.append(call)
        call.reply(b"")

    server = Server({"/etcdserverpb.KV/Put": note}, {})
    server.http = Gateway(server, SystemClock()).handle
    await server.serve_unix(path)
    try:
        yield seen
    finally:
        await server.close(0)


async def test_a_token_and_metadata_reach_the_call(tmp_path: Path) -> None:
    async with gateway_to_a_listener(tmp_path / "s") as seen:
        client = await Client.connect(tmp_path / "s")
        client.post(
            "/v3/kv/put",
            "Content-Length: 0",
            "Authorization: abc.7",
            "Grpc-Metadata-Hasleader: true",
            "Grpc-Metadata-Grpc-Status: 9",
            "Grpc-Metadata-Te: x",
            "Grpc-Metadata-X: \u00e9",
            "Cookie: no",
        )
        assert b" 200 OK" in await client.head()
        client.writer.close()
    metadata = dict(seen[0].metadata)
    assert metadata[b"token"] == b"abc.7"
    assert metadata[b"hasleader"] == b"true"
    assert not {b"cookie", b"te", b"x", b"grpc-status", b"authorization"} & set(metadata)


async def test_a_call_is_made_as_the_peer_of_its_connection(tmp_path: Path) -> None:
    async with gateway_to_a_listener(tmp_path / "s") as seen:
        client = await Client.connect(tmp_path / "s")
        await client.ask("/v3/kv/put", {})
        channel = Channel(UnixDialer(tmp_path / "s"))
        await channel.unary("/etcdserverpb.KV/Put", b"")
        await channel.close()
        client.writer.close()
    assert seen[0].peer == seen[1].peer
    assert seen[0].peer.kind == "unix"


async def test_a_watch_is_asked_and_answered_over_one_request(site: Site) -> None:
    client, other = await site.client(), await site.client()
    client.post("/v3/watch", "Transfer-Encoding: chunked")
    client.chunk({"create_request": {"key": text("a"), "watch_id": 3}})
    assert b" 200 OK" in await client.head()
    created = (await client.result())["result"]
    assert (created["watch_id"], created["created"]) == ("3", True)
    for number in range(5):
        await other.ask("/v3/kv/put", {"key": text("a"), "value": text(str(number))})
        event = (await client.result())["result"]["events"][0]
        assert event["kv"]["value"] == text(str(number))
    client.chunk({"progress_request": {}})
    assert (await client.result())["result"]["watch_id"] == "-1"
    client.chunk({"cancel_request": {"watch_id": "3"}})
    assert (await client.result())["result"]["canceled"]
    # The requests end; the watch that is asked for last goes on all the same.
    client.chunk({"create_request": {"key": text("b")}})
    client.writer.write(b"0\r\n\r\n")
    await client.result()
    await other.ask("/v3/kv/put", {"key": text("b")})
    assert (await client.result())["result"]["events"]


async def test_a_request_may_be_cut_anywhere_even_within_a_chunk(site: Site) -> None:
    client = await site.client()
    client.post("/v3/lease/keepalive", "Transfer-Encoding: chunked")
    data = b'{"ID":"1"} {"ID":2}\n{"ID":3}'
    for byte in data:
        client.writer.write(b"1\r\n%c\r\n" % byte)
        await client.writer.drain()
        await asyncio.sleep(0)
    client.writer.write(b"0\r\n\r\n")
    await client.head()
    assert [(await client.result())["result"]["ID"] for _ in range(3)] == ["1", "2", "3"]
    assert await client.result() is None
    # The connection goes on.
    assert (await client.ask("/v3/kv/range", {"key": text("a")}))["header"]


async def test_thousands_of_requests_in_one_piece_are_answered_in_turns(site: Site) -> None:
    client, other = await site.client(), await site.client()
    count = 3_000
    body = b'{"ID":1}' * count
    client.post("/v3/lease/keepalive", f"Content-Length: {len(body)}")
    client.writer.write(body)
    await client.head()
    # While they are answered another is, too.
    await other.ask("/v3/kv/range", {"key": text("a")})
    results = 0
    while await client.result() is not None:
        results += 1
    assert results == count


@pytest.mark.parametrize("gone", ["closed", "reset"])
async def test_a_client_that_leaves_frees_its_stream(site: Site, gone: str) -> None:
    site.server.rpc.http1_limits = Http1Limits(half_closed_seconds=0.05)
    client, other = await site.client(), await site.client()
    client.post("/v3/watch", "Transfer-Encoding: chunked")
    client.chunk({"create_request": {"key": text("a")}})
    await client.head()
    await until(lambda: site.running() == 1)
    await other.ask("/v3/kv/range", {"key": text("a")})
    # Each HTTP connection has its own inside: the two, and theirs.
    assert site.server.rpc.connections == 4
    if gone == "closed":
        client.writer.close()
    else:
        client.transport.abort()
    await until(lambda: site.running() == 0)
    await until(lambda: site.server.rpc.connections == 2)
    assert (await other.ask("/v3/kv/range", {"key": text("a")}))["header"]


async def test_a_slow_reader_costs_little_and_gets_every_event_once(site: Site) -> None:
    client, other = await site.client(), await site.client()
    client.post("/v3/watch", "Transfer-Encoding: chunked")
    client.chunk({"create_request": {"key": text("a")}})
    await client.head()
    await client.result()
    client.transport.pause_reading()
    value = text(bytes(100_000))
    count = 400
    for _ in range(count):
        await other.ask("/v3/kv/put", {"key": text("a"), "value": value})
    # 40 MB were put; what waits for the reader is bounded by windows and buffers, and the watch
    # is behind.
    (watch,) = site.server.context.streams
    assert watch.pending_bytes < 4 << 20
    client.transport.resume_reading()
    versions: list[int] = []
    while len(versions) < count:
        events = (await client.result())["result"]["events"]
        versions += [int(event["kv"]["version"]) for event in events]
    assert versions == list(range(1, count + 1))


async def test_a_large_answer_is_made_in_steps(site: Site) -> None:
    client = await site.client()
    operations = [
        {"request_put": {"key": text(f"k{number:05}"), "value": text(bytes(2_000))}}
        for number in range(100)
    ]
    for start in range(0, 5_000, 100):
        for number, operation in enumerate(operations):
            operation["request_put"]["key"] = text(f"k{start + number:05}")
        assert (await client.ask("/v3/kv/txn", {"success": operations}))["succeeded"]
    body = json.dumps({"key": text("k"), "range_end": text("l")}).encode()
    client.post("/v3/kv/range", f"Content-Length: {len(body)}")
    client.writer.write(body)
    assert b"Transfer-Encoding: chunked" in await client.head()
    chunks = []
    while piece := await client.piece():
        chunks.append(piece)
    answer = json.loads(b"".join(chunks))
    assert answer["count"] == "5000"
    assert [kv["key"] for kv in answer["kvs"]] == [text(f"k{n:05}") for n in range(5_000)]
    assert len(chunks) > 100


async def test_others_have_turns_while_a_large_answer_is_made(site: Site) -> None:
    client = await site.client()
    for start in range(0, 3_000, 100):
        puts = [{"request_put": {"key": text(f"k{start + n:05}")}} for n in range(100)]
        await client.ask("/v3/kv/txn", {"success": puts})
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    body = json.dumps({"key": text("k"), "range_end": text("l")}).encode()
    client.post("/v3/kv/range", f"Content-Length: {len(body)}")
    client.writer.write(body)
    await client.head()
    while await client.piece():
        pass
    counting.cancel()
    # 6,000 pieces, 200 a step: a turn of the loop for each step, and some for the way.
    assert turns > 30


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            b'{"key":"' + b"A" * VALUE_BYTES_MAX + b'"}',
            b"c101: a JSON value larger than max (3145728)",
        ),
        (b"[" + b"1," * MARKS_MAX + b"1]", b"commas, colons and brackets"),
        (b"[" * 1_000_000, b"exceeded max depth"),
    ],
)
def test_a_huge_value_is_refused_at_its_bound_and_the_server_goes_on(
    ours: Ours, body: bytes, reason: bytes
) -> None:
    answer = ask(ours.port, "/v3/kv/put", body)
    assert answer.status in (400, 429)
    assert reason in answer.body
    assert ask(ours.port, "/v3/kv/range", '{"key":"YQ=="}').status == 200


def test_a_body_without_end_is_refused_at_its_bound(ours: Ours) -> None:
    with connected(ours.port) as connection:
        chunks = iter([b'{"key":"'] + [b"A" * 65_536] * (VALUE_BYTES_MAX // 65_536 + 1))
        connection.request("POST", "/v3/kv/put", chunks, encode_chunked=True)
        assert connection.getresponse().status == 429


async def test_a_body_that_does_not_come_is_given_up(tmp_path: Path) -> None:
    async with KvServer(tmp_path / "kv", SystemClock()) as server:
        server.rpc.http1_limits = Http1Limits(body_seconds=0.1)
        await server.listen_unix(tmp_path / "s")
        for path, begun in (("/v3/kv/put", b""), ("/v3/kv/put", b"{"), ("/v3/watch", b"{")):
            client = await Client.connect(tmp_path / "s")
            client.post(path, "Content-Length: 100")
            client.writer.write(begun)
            assert b" 408 " in await client.head()
            client.writer.close()
        # Between the requests of a stream any time may pass.
        client = await Client.connect(tmp_path / "s")
        client.post("/v3/lease/keepalive", "Transfer-Encoding: chunked")
        await asyncio.sleep(0.3)
        client.chunk({"ID": 5})
        await client.head()
        await client.result()
        await asyncio.sleep(0.3)
        client.chunk({"ID": 6})
        assert (await client.result())["result"]["ID"] == "6"
        client.writer.close()


async def test_a_stream_of_requests_that_breaks_off_cuts_its_answers(site: Site) -> None:
    client = await site.client()
    client.post("/v3/watch", "Transfer-Encoding: chunked")
    client.chunk({"create_request": {"key": text("a")}})
    await client.head()
    await client.result()
    client.writer.write(b"nonsense\r\n")
    async with asyncio.timeout(WAIT_SECONDS):
        with contextlib.suppress(ConnectionResetError):
            assert await client.reader.read() == b""
    await until(lambda: site.running() == 0)


async def test_watches_are_told_that_the_server_stops(tmp_path: Path) -> None:
    async with KvServer(tmp_path / "kv", SystemClock()) as server:
        await server.listen_unix(tmp_path / "s")
        client = await Client.connect(tmp_path / "s")
        client.post("/v3/watch", "Transfer-Encoding: chunked")
        client.chunk({"create_request": {"key": text("a")}})
        await client.head()
        await client.result()
    assert await client.result() == {
        "error": {
            "grpc_code": 14,
            "http_code": 503,
            "message": "etcdserver: server stopped",
            "http_status": "Service Unavailable",
        }
    }
    assert await client.result() is None
    client.writer.close()


def test_a_half_closed_client_still_gets_its_answer(ours: Ours) -> None:
    body = b'{"key":"YQ=="}'
    with socket.create_connection(("127.0.0.1", ours.port), WAIT_SECONDS) as link:
        head = f"POST /v3/kv/put HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        link.sendall(head.encode() + body)
        link.shutdown(socket.SHUT_WR)
        with link.makefile("rb") as file:
            said = file.read()
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl_does_what_etcds_documentation_says(ours: Ours) -> None:
    def curl(*arguments: str) -> str:
        command = ["curl", "-sS", "--max-time", "20", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    url = f"http://127.0.0.1:{ours.port}"
    put = curl("-L", f"{url}/v3/kv/put", "-X", "POST", "-d", '{"key":"Zm9v","value":"YmFy"}')
    assert json.loads(put)["header"]["raft_term"] == "2"
    got = json.loads(curl("-L", f"{url}/v3/kv/range", "-X", "POST", "-d", '{"key":"Zm9v"}'))
    assert got["kvs"][0]["value"] == "YmFy"
    large = json.dumps({"key": "YQ==", "value": text(bytes(1_000_000))})
    # curl waits for 100 Continue with a body of this size.
    done = subprocess.run(
        ["curl", "-sS", f"{url}/v3/kv/put", "-H", "Expect: 100-continue", "-d", "@-"],
        input=large,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    assert "header" in json.loads(done.stdout)


@pytest.mark.integration
@pytest.mark.skipif(not HAVE_ETCDCTL, reason="no etcdctl here")
def test_what_grpc_writes_json_reads(ours: Ours) -> None:
    assert etcdctl(ours.port, "put", "both", "ways").returncode == 0
    answer: Any = ask(ours.port, "/v3/kv/range", json.dumps({"key": text("both")})).json()
    assert answer["kvs"][0]["value"] == text("ways")
    body = json.dumps({"create_request": {"key": text("both"), "start_revision": 1}})
    found: Any = lines(ours.port, "/v3/watch", body, 2)
    assert found[1]["result"]["events"][0]["kv"]["value"] == text("ways")


def test_a_refused_answer_leaves_the_connection_usable(ours: Ours) -> None:
    with connected(ours.port) as connection:
        for body in ("nonsense", '{"key":"@"}', "{}"):
            connection.request("POST", "/v3/kv/range", body)
            answer = connection.getresponse()
            assert answer.status == 400
            answer.read()
        assert isinstance(connection, http.client.HTTPConnection)
        connection.request("POST", "/v3/kv/range", '{"key":"YQ=="}')
        assert connection.getresponse().status == 200
