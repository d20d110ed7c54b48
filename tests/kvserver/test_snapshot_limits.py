"""A reader of a snapshot that is too slow is given up, and nothing is kept for it."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from c101.core.clock import SystemClock
from c101.core.kv.revision import SHIFT
from c101.core.kv.storage import Storage
from c101.core.kv.store import Store
from c101.core.kvserver.context import Context
from c101.core.kvserver.options import KvOptions
from c101.core.kvserver.snapshot import SnapshotService
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import Server

PATH = "/etcdserverpb.Maintenance/Snapshot"


@pytest.fixture
async def context(tmp_path: Path) -> AsyncIterator[Context]:
    """A store with more in it than sockets and windows hold."""
    store = Store(Storage(tmp_path), SystemClock())
    for revision in range(2, 32):
        store.stage_put(revision << SHIFT, b"k", os.urandom(1_000_000), 0)
        store.staged_revision = revision
    await store.durable()
    context = Context.of(store, SystemClock(), KvOptions())
    yield context
    context.reads.close()
    await store.close()


async def ends_with(service: SnapshotService) -> grpc.StatusCode:
    """Read one blob, and no more until the service is through; return how the call ended."""
    over = asyncio.Event()

    async def snapshot(stream: Any) -> None:
        try:
            await service.snapshot(stream)
        finally:
            over.set()

    server = Server({}, {PATH: snapshot})
    listener = await server.serve_tcp("127.0.0.1", 0)
    channel = grpc.insecure_channel(f"127.0.0.1:{listener.sockets[0].getsockname()[1]}")
    call = channel.unary_stream(
        PATH,
        request_serializer=rpc_pb2.SnapshotRequest.SerializeToString,
        response_deserializer=rpc_pb2.SnapshotResponse.FromString,
    )(rpc_pb2.SnapshotRequest())
    await asyncio.to_thread(next, call)
    async with asyncio.timeout(40):
        await over.wait()

    def rest() -> grpc.StatusCode:
        try:
            for _ in call:
                pass
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    code = await asyncio.to_thread(rest)
    channel.close()
    await server.close(1)
    return code


async def test_a_reader_that_takes_nothing_is_given_up(context: Context) -> None:
    service = SnapshotService(context, silence_seconds_max=2)
    assert await ends_with(service) is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_reader_that_is_waited_for_while_the_log_grows_is_given_up(
    context: Context,
) -> None:
    service = SnapshotService(context, log_bytes_max=1)
    assert await ends_with(service) is grpc.StatusCode.RESOURCE_EXHAUSTED
