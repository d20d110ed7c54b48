"""What a web page in somebody's browser may ask of a KV on their machine: nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.errors import ConfigError
from c101.core.kvserver.access import HttpAccess
from c101.core.kvserver.options import KvOptions
from c101.core.kvserver.server import KvServer
from tests.kvserver.http_client import ask
from tests.kvserver.processes import Ours
from tests.rpc.test_server import read_all, talk

RANGE = '{"key":"YQ=="}'


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST:2379", "localhost.", "127.0.0.1", "127.0.0.1:2379", "127.9.9.9",
        "[::1]", "[::1]:2379",
    ],
)  # fmt: skip
def test_loopback_by_any_of_its_names_is_answered(ours: Ours, host: str) -> None:
    assert ask(ours.port, "/v3/kv/range", RANGE, fields={"Host": host}).status == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:2379", "localhost.evil.example", "127.0.0.1.evil.example",
        "10.0.0.1", "[2001:db8::1]", "0.0.0.0", "2130706433", "0x7f.1", "", "localhost..",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["/v3/kv/range", "/version", "/health", "/metrics", "/nothing"])
def test_a_name_that_is_not_ours_is_refused_everywhere(ours: Ours, host: str, path: str) -> None:
    method = "POST" if path.startswith("/v3/") else "GET"
    answer = ask(ours.port, path, RANGE, method=method, fields={"Host": host})
    assert answer.status == 421
    assert b"--host-whitelist NAME allows it" in answer.body


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "https://localhost", "http://localhost", "http://localhost:8080",
        "null", "http://127.0.0.1", "file://", "", "http://localhost:1, http://localhost:2379",
    ],
)  # fmt: skip
def test_a_page_from_elsewhere_is_refused(ours: Ours, origin: str) -> None:
    fields = {"Origin": origin, "Host": "localhost:2379", "Content-Type": "text/plain"}
    for method, path in (("POST", "/v3/kv/put"), ("OPTIONS", "/v3/kv/put"), ("GET", "/metrics")):
        answer = ask(ours.port, path, '{"key":"b3JpZ2lu"}', method=method, fields=fields)
        assert answer.status == 403
        assert answer.body == b"c101: requests of web pages are not taken\n"
    assert ask(ours.port, "/v3/kv/range", '{"key":"b3JpZ2lu"}').json().get("count") is None  # type: ignore[attr-defined]


def test_a_page_of_our_own_would_be_answered(ours: Ours) -> None:
    fields = {"Origin": "http://localhost:2379", "Host": "localhost:2379"}
    answer = ask(ours.port, "/v3/kv/range", RANGE, fields=fields)
    assert answer.status == 200


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[KvServer]:
    options = KvOptions(host_names=("kv1", "KV.example"))
    async with KvServer(tmp_path / "kv", SystemClock(), options) as made:
        yield made


def head(host: str, version: str = "1.1") -> bytes:
    field = f"Host: {host}\r\n" if host else ""
    return f"GET /version HTTP/{version}\r\n{field}Connection: close\r\n\r\n".encode()


async def test_names_that_were_given_are_ours(server: KvServer) -> None:
    port = int((await server.listen_tcp("127.0.0.1", 0)).rpartition(":")[2])
    for host, status in (("kv1", 200), ("Kv.Example:99", 200), ("kv2", 421)):
        assert (await talk(port, head(host))).startswith(b"HTTP/1.1 %d " % status)
    # HTTP/1.0 has no names, and no browser speaks it.
    assert (await talk(port, head("", "1.0"))).startswith(b"HTTP/1.1 200 ")
    assert (await talk(port, head("kv2", "1.0"))).startswith(b"HTTP/1.1 421 ")


@pytest.mark.parametrize(
    ("host", "reached", "known"),
    [
        ("192.0.2.7:2379", "192.0.2.7", True),
        ("192.0.2.8", "192.0.2.7", False),
        ("[2001:db8::1]", "2001:db8:0::1", True),
        ("[2001:db8::2]", "2001:db8::1", False),
        ("[fe80::1]", "fe80::1%eth0", True),
        ("kv1", "192.0.2.7", True),
        ("localhost", "192.0.2.7", True),
    ],
)
def test_the_address_that_was_reached_is_ours(host: str, reached: str, known: bool) -> None:
    assert HttpAccess(["kv1"]).knows(host, reached) is known


async def test_what_comes_over_a_unix_socket_no_browser_has_sent(
    server: KvServer, tmp_path: Path
) -> None:
    await server.listen_unix(tmp_path / "s")
    reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
    writer.write(head("x\r\nOrigin: http://evil.example"))
    assert (await read_all(reader)).startswith(b"HTTP/1.1 200 ")
    writer.close()


@pytest.mark.parametrize("name", ["*", "a b", "", "http://x", "x/y"])
def test_what_is_no_name_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(ConfigError, match="--host-whitelist"):
        HttpAccess([name])
