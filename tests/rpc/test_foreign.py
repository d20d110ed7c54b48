"""Foreign programs: our channel at a real etcd; etcdctl (grpc-go) and h2load (nghttp2) at us."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Channel, dialer_for
from c101.core.rpc.messages import prefixed
from c101.core.rpc.server import Server, ServerStream, UnaryCall
from c101.core.rpc.status import Code, RpcError
from tests.processes import KVProcess, running_etcd
from tests.rpc.conftest import port_of

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KVProcess]:
    with running_etcd(tmp_path_factory.mktemp("etcd")) as server:
        yield server


@pytest.fixture
async def channel(etcd: KVProcess) -> AsyncIterator[Channel]:
    made = Channel(dialer_for(etcd.url), keepalive_seconds=10)
    yield made
    await made.close()


async def put(channel: Channel, key: bytes, value: bytes) -> int:
    request = rpc_pb2.PutRequest(key=key, value=value).SerializeToString()
    answer = await channel.unary("/etcdserverpb.KV/Put", request, timeout=5)
    return rpc_pb2.PutResponse.FromString(answer).header.revision


async def test_a_real_etcd_is_written_and_read(channel: Channel) -> None:
    revision = await put(channel, b"k", b"v" * 100_000)
    request = rpc_pb2.RangeRequest(key=b"k").SerializeToString()
    answer = await channel.unary("/etcdserverpb.KV/Range", request, timeout=5)
    [found] = rpc_pb2.RangeResponse.FromString(answer).kvs
    assert (found.value, found.mod_revision) == (b"v" * 100_000, revision)


async def test_a_watch_of_a_real_etcd_delivers(channel: Channel) -> None:
    async with channel.stream("/etcdserverpb.Watch/Watch") as stream:
        create = rpc_pb2.WatchCreateRequest(key=b"w/", range_end=b"w0")
        stream.send(rpc_pb2.WatchRequest(create_request=create).SerializeToString())
        assert rpc_pb2.WatchResponse.FromString(await anext(stream)).created
        for number in range(100):
            await put(channel, b"w/%d" % number, b"x")
        keys: list[bytes] = []
        while len(keys) < 100:
            answer = rpc_pb2.WatchResponse.FromString(await anext(stream))
            keys += [event.kv.key for event in answer.events]
    assert keys == [b"w/%d" % number for number in range(100)]


async def test_a_large_answer_of_a_real_etcd_comes_whole(channel: Channel) -> None:
    await asyncio.gather(*[put(channel, b"l/%d" % n, bytes(1_000_000)) for n in range(5)])
    request = rpc_pb2.RangeRequest(key=b"l/", range_end=b"l0").SerializeToString()
    answer = await channel.unary("/etcdserverpb.KV/Range", request, timeout=10)
    assert len(rpc_pb2.RangeResponse.FromString(answer).kvs) == 5


async def test_errors_of_a_real_etcd_have_their_text(channel: Channel) -> None:
    with pytest.raises(RpcError) as caught:
        await put(channel, b"", b"")
    assert caught.value.status is Code.INVALID_ARGUMENT
    assert caught.value.message == "etcdserver: key is not provided"
    with pytest.raises(RpcError) as caught:
        await channel.unary("/etcdserverpb.KV/Put", bytes(3 << 20), timeout=5)
    assert caught.value.status is Code.RESOURCE_EXHAUSTED
    with pytest.raises(RpcError) as caught:
        await channel.unary("/etcdserverpb.KV/No", b"", timeout=5)
    assert caught.value.message == "unknown method No for service etcdserverpb.KV"


@pytest.fixture
async def endpoint() -> AsyncIterator[str]:
    """A server that stores puts in a dictionary, and watches nothing but its own clock."""
    stored: dict[bytes, bytes] = {}

    def store(call: UnaryCall, message: bytes) -> None:
        request = rpc_pb2.PutRequest.FromString(message)
        stored[request.key] = request.value
        call.reply(rpc_pb2.PutResponse().SerializeToString())

    def read(call: UnaryCall, message: bytes) -> None:
        request = rpc_pb2.RangeRequest.FromString(message)
        answer = rpc_pb2.RangeResponse()
        if request.key in stored:
            answer.kvs.add(key=request.key, value=stored[request.key])
        call.reply(answer.SerializeToString())

    def delete(_call: UnaryCall, _message: bytes) -> None:
        raise RpcError(Code.PERMISSION_DENIED, "etcdserver: permission denied")

    async def watch(stream: ServerStream) -> None:
        async for _ in stream:
            header = rpc_pb2.ResponseHeader(revision=1)
            stream.send(rpc_pb2.WatchResponse(header=header, created=True).SerializeToString())
            answer = rpc_pb2.WatchResponse(header=header)
            answer.events.add().kv.key = b"changed"
            stream.send(answer.SerializeToString())

    server = Server(
        {
            "/etcdserverpb.KV/Put": store,
            "/etcdserverpb.KV/Range": read,
            "/etcdserverpb.KV/DeleteRange": delete,
        },
        {"/etcdserverpb.Watch/Watch": watch},
    )
    port = port_of(await server.serve_tcp("127.0.0.1", 0))
    yield f"127.0.0.1:{port}"
    await server.close(0)


async def run(*command: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_etcdctl_is_served(endpoint: str) -> None:
    etcdctl = ("/usr/bin/etcdctl", "--endpoints", endpoint, "--command-timeout=5s")
    value = "x" * 100_000
    assert await run(*etcdctl, "put", "key", value) == (0, "OK\n", "")
    assert await run(*etcdctl, "get", "key") == (0, f"key\n{value}\n", "")
    code, _, err = await run(*etcdctl, "del", "key")
    assert code != 0
    assert "etcdserver: permission denied" in err
    code, _, err = await run(*etcdctl, "lease", "list")
    assert code != 0
    assert "unknown service etcdserverpb.Lease" in err


async def test_etcdctl_watches(endpoint: str) -> None:
    process = await asyncio.create_subprocess_exec(
        "/usr/bin/etcdctl",
        "--endpoints",
        endpoint,
        "watch",
        "key",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(10):
            assert await process.stdout.readline() == b"PUT\n"
            assert await process.stdout.readline() == b"changed\n"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


@pytest.mark.parametrize("size", [16, 40_000])
async def test_h2load_sees_no_failure(endpoint: str, tmp_path: Path, size: int) -> None:
    body = tmp_path / "put.bin"
    request = rpc_pb2.PutRequest(key=b"key", value=bytes(size))
    body.write_bytes(prefixed(request.SerializeToString()))
    total = 3_000
    code, out, err = await run(
        "/usr/bin/h2load",
        f"--requests={total}",
        "--clients=10",
        "--max-concurrent-streams=10",
        f"--data={body}",
        "--header=content-type: application/grpc",
        "--header=te: trailers",
        f"http://{endpoint}/etcdserverpb.KV/Put",
    )
    assert code == 0, err
    assert re.search(rf"{total} succeeded, 0 failed, 0 errored, 0 timeout", out), out
