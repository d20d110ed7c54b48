"""The load generator on real servers: it counts what happened, and says what is wrong."""

import signal
import socket
import threading
import time

import pytest
from hpack import Decoder

from benchmarks.kv.generator import Generator, LoadError
from benchmarks.kv.servers import Server, ServerError
from c101.core.rpc.frames import HEADER_BYTES, HEADERS, PREFACE, unpack_header
from tests.benchmarks.conftest import KEYS
from tests.kvserver.processes import Client

pytestmark = pytest.mark.integration

WAIT_SECONDS = 20.0
_ALL = ["-n", str(KEYS)]
#: An endless load, ended by SIGTERM.
_ENDLESS = ["-s", "3600", "-w", "0", *_ALL]


@pytest.mark.parametrize("style", [[], ["-t", "go"], ["-t", "core"]], ids=["none", "go", "core"])
def test_every_put_counted_is_a_revision(server: Server, style: list[str]) -> None:
    # So many on one connection that its header table is turned over some times.
    load = server.drive(["-k", "put", "-c", "2", "-N", "2000", *_ALL, *style], writes=True)
    assert load.all_requests == load.requests == 2000
    assert 0 < load.p50_ms <= load.p99_ms


@pytest.mark.parametrize("kind", ["get", "range", "scan"])
def test_every_read_is_answered_with_all_keys_it_asked_for(server: Server, kind: str) -> None:
    load = server.drive(["-k", kind, "-c", "2", "-m", "2", "-N", "20", *_ALL], writes=False)
    assert load.all_requests == 20


def test_a_read_of_keys_that_are_not_there_fails(server: Server) -> None:
    with pytest.raises(LoadError, match="failed, or found something else"):
        server.drive(["-k", "scan", "-c", "1", "-m", "1", "-N", "20", "-n", "2000"], writes=False)


def test_every_swap_succeeds_because_nobody_else_writes(server: Server) -> None:
    load = server.drive(["-k", "swap", "-N", "3000", *_ALL], writes=True)
    assert load.all_requests == 3000


def test_a_swap_that_somebody_overtook_is_a_failure(server: Server) -> None:
    before = server.revision()
    load = server.generator.start(server.port, ["-k", "swap", "-c", "1", "-m", "1", *_ENDLESS])
    _until_written(server, before)
    client = Client(server.port)
    for number in range(KEYS):
        client.put(b"k%07d" % number)
    client.channel.close()
    _, said = load.communicate(timeout=WAIT_SECONDS)
    assert load.returncode == 1
    assert "failed, or found something else" in said


@pytest.mark.parametrize(
    ("options", "watchers"),
    [
        (["-W", "50", "-S", "10", "-K"], 1),
        (["-W", "50", "-S", "10"], 50),
        (["-W", "50", "-S", "50"], 50),
        (["-W", "50", "-S", "10", "-m", "1"], 50),
    ],
    ids=["a key each", "one prefix", "a stream each", "one put at a time"],
)
def test_every_watcher_gets_every_event(server: Server, options: list[str], watchers: int) -> None:
    arguments = ["-k", "watch", "-c", "3", "-s", "0.3", "-w", "0", *options, *_ALL]
    load = server.drive(arguments, writes=True)
    assert load.all_requests > 0
    assert load.all_events == load.all_requests * watchers


def test_an_event_that_nobody_put_is_not_counted_as_one_of_ours(server: Server) -> None:
    before = server.revision()
    watch = ["-k", "watch", "-c", "1", "-m", "2", "-W", "3", "-S", "3", *_ENDLESS]
    load = server.generator.start(server.port, watch)
    _until_written(server, before)
    client = Client(server.port)
    client.put(b"k0000000")
    client.channel.close()
    # Events come in order: with later ones that of the stranger has come.
    _until_written(server, server.revision() + 500)
    load.send_signal(signal.SIGTERM)
    _, said = load.communicate(timeout=WAIT_SECONDS)
    assert load.returncode == 1
    assert "watch 1 has " in said


def test_a_revision_that_somebody_else_made_is_no_measurement(server: Server) -> None:
    with pytest.raises(ServerError, match="the revision rose by 10, not by 0"):
        server.drive(["-k", "put", "-N", "10", *_ALL], writes=False)


@pytest.mark.parametrize(
    ("style", "agent", "unit"), [("go", b"grpc-go/1.33.3", b"u"), ("core", b"grpc-python", b"m")]
)
def test_each_call_has_another_timeout_in_a_table_that_any_decoder_follows(
    generator: Generator, style: str, agent: bytes, unit: bytes
) -> None:
    blocks = _blocks_of(generator, ["-k", "put", "-c", "1", "-m", "100", "-t", style, *_ALL])
    decoder = Decoder()
    calls = [dict(decoder.decode(block, raw=True)) for block in blocks]
    assert len(calls) == 100
    for call in calls:
        assert call[b":path"] == b"/etcdserverpb.KV/Put"
        assert call[b"te"] == b"trailers"
        assert call[b"user-agent"].startswith(agent)
        assert call[b"grpc-timeout"].endswith(unit)
    assert len({call[b"grpc-timeout"] for call in calls}) > 50
    # Once all is in the table a call costs little more than its timeout, until fields fall out.
    assert len(blocks[1]) < 40 < len(blocks[0])


def _blocks_of(generator: Generator, arguments: list[str]) -> list[bytes]:
    """Return the header blocks that the generator sends before it hears an answer."""
    received = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        load = generator.start(port, arguments)

        def receive() -> None:
            peer, _ = listener.accept()
            with peer:
                while data := peer.recv(65_536):
                    received.extend(data)
                    if len(_headers_in(received)) >= 100:
                        return

        receiver = threading.Thread(target=receive)
        receiver.start()
        receiver.join(WAIT_SECONDS)
        load.communicate(timeout=WAIT_SECONDS)  # it ends because we closed the connection
    return _headers_in(received)


def _headers_in(received: bytearray) -> list[bytes]:
    blocks = []
    at = len(PREFACE)
    while len(received) - at >= HEADER_BYTES:
        high, length, kind, _, _ = unpack_header(received, at)
        end = at + HEADER_BYTES + (high << 16 | length)
        if end > len(received):
            break
        if kind == HEADERS:
            blocks.append(bytes(received[at + HEADER_BYTES : end]))
        at = end
    return blocks


def _until_written(server: Server, revision: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while server.revision() <= revision:
        assert time.monotonic() < deadline, "nothing was written"
