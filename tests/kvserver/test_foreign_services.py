"""Health and Reflection, asked by the clients that gRPC itself ships."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from c101.core.clock import SystemClock
from c101.core.kv import refusal
from c101.core.kvserver.server import KvServer
from tests.kvserver.processes import HAVE_ETCD, Etcd, Ours

pytestmark = pytest.mark.integration

SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
REFLECTED = [
    "list_services_response", 4, 1, 5, 5, "all_extension_numbers_response", 5, 5, 3,
]  # fmt: skip


def ask(port: int, *flags: str) -> dict[str, Any]:
    program = Path(__file__).with_name("foreign_services.py")
    done = subprocess.run(
        [sys.executable, str(program), str(port), *flags],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout)
    return answers


@pytest.mark.skipif(not HAVE_ETCD, reason="no etcd here")
def test_health_is_answered_as_by_a_real_etcd(ours: Ours, etcd: Etcd) -> None:
    assert ask(ours.port) == ask(etcd.port)


def test_a_client_learns_from_the_server_what_it_serves_and_calls_it(ours: Ours) -> None:
    found = ask(ours.port, "--reflection")
    assert {"Range", "Put", "DeleteRange", "Txn"} <= {*found["methods"]["etcdserverpb.KV"]}
    assert found["methods"]["v3lockpb.Lock"] == ["Lock", "Unlock"]
    assert "Observe" in found["methods"]["v3electionpb.Election"]
    for name in (
        "etcdserverpb.Watch",
        "etcdserverpb.Lease",
        "etcdserverpb.Maintenance",
        "etcdserverpb.Cluster",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
    ):
        assert found["methods"][name]
    client = ours.client()
    stored = client.get(b"reflected").kvs[0]
    assert (stored.value, stored.mod_revision) == (b"1", found["revision"])
    client.close()
    # A file comes with those it needs, another name with NOT_FOUND, no question with
    # INVALID_ARGUMENT; the stream goes on.
    assert found["grpc.reflection.v1"] == found["grpc.reflection.v1alpha"] == REFLECTED


async def test_who_watches_health_hears_that_the_disk_failed(tmp_path: Path) -> None:
    async with KvServer(tmp_path, SystemClock()) as server:
        url = await server.listen_tcp("127.0.0.1", 0)
        async with grpc.aio.insecure_channel(url.removeprefix("http://")) as channel:
            watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
            assert await watch.read() == SERVING
            check = channel.unary_unary("/grpc.health.v1.Health/Check")
            assert await check(b"") == SERVING
            server.context.store.admission.fail(refusal.STORAGE_FAILED)
            assert await watch.read() == NOT_SERVING
            assert await check(b"") == NOT_SERVING
            watch.cancel()
            late = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
            assert await late.read() == NOT_SERVING
            late.cancel()


async def test_a_stopping_server_ends_those_who_watch_its_health(tmp_path: Path) -> None:
    async with KvServer(tmp_path, SystemClock()) as server:
        url = await server.listen_tcp("127.0.0.1", 0)
        channel = grpc.aio.insecure_channel(url.removeprefix("http://"))
        watch = channel.unary_stream("/grpc.health.v1.Health/Watch")(b"")
        assert await watch.read() == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await asyncio.wait_for(watch.read(), 10)
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    await channel.close()
