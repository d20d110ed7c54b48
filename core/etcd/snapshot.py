"""A member's database as a stream, and as a file that is whole or not there."""

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO

from c101.core.errors import DeadlineExceededError, LinkLostError
from c101.core.etcd.attempts import TOKENS_MAX
from c101.core.etcd.caller import Caller
from c101.core.etcd.endpoint import Endpoint
from c101.core.etcd.endpoints import Endpoints, decode
from c101.core.etcd.errors import KVError, from_rpc
from c101.core.etcd.metadata import Metadata
from c101.core.etcd.retry import Fate, rule
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import ClientStream
from c101.core.rpc.status import RpcError

SNAPSHOT = "/etcdserverpb.Maintenance/Snapshot"

#: A snapshot of which nothing comes for so long is given up.
SILENCE_SECONDS_MAX = 60.0

#: What the stream ends with.
HASH_BYTES = 32

#: Pieces are handed to the disk together: one is 32 KiB, and a thread's turn costs more than that.
WRITE_BYTES = 1 << 20


class SnapshotError(KVError):
    """A snapshot came damaged, or could not be written."""

    code = "snapshot"


async def pieces(
    caller: Caller, endpoint: Endpoint | None, progress: Callable[[int, int], None]
) -> AsyncGenerator[bytes, None]:
    """Yield the pieces of a snapshot (``Maintenance.snapshot``)."""
    endpoints = caller.endpoints
    source = endpoint or endpoints.current
    await endpoints.connect(source, caller.timeout_seconds)
    for attempt in range(1, TOKENS_MAX + 1):
        metadata = await endpoints.metadata(source, caller.timeout_seconds)
        try:
            # Without the leader's field: a member that lost its leader can still be saved.
            async with aclosing(_stream(endpoints, source, metadata[1:])) as stream:
                done = 0
                async for piece, left in stream:
                    done += len(piece)
                    progress(done, done + left)
                    yield piece
        except RpcError as exc:
            # A token is refused before anything is sent.
            refused = rule(exc).fate is Fate.TOKEN_REFUSED and endpoints.refused(metadata)
            if not refused or attempt == TOKENS_MAX:
                raise from_rpc(exc) from exc
        else:
            return


async def _stream(
    endpoints: Endpoints, source: Endpoint, metadata: Metadata
) -> AsyncGenerator[tuple[bytes, int], None]:
    """Yield each piece with the number of bytes of the database that are still to come."""
    left = 0
    async with endpoints.stream(source, SNAPSHOT, metadata) as stream:
        stream.send(rpc_pb2.SnapshotRequest().SerializeToString())
        stream.end()
        while (message := await _next(stream, source)) is not None:
            answer = decode(rpc_pb2.SnapshotResponse, message)
            left = answer.remaining_bytes
            yield answer.blob, left
    if left:
        raise LinkLostError(f"{source.name} ended the snapshot with {left} bytes still to come")


async def _next(stream: ClientStream, source: Endpoint) -> bytes | None:
    """Return the next message, ``None`` at the end. Raises DeadlineExceededError."""
    try:
        async with asyncio.timeout(SILENCE_SECONDS_MAX):
            return await anext(stream, None)
    except TimeoutError as exc:
        text = f"{source.name} sent nothing of it for {SILENCE_SECONDS_MAX:g} s"
        raise DeadlineExceededError(f"snapshot: {text}") from exc


async def save(source: AsyncIterator[bytes], path: Path) -> int:
    """Write *source* to *path* (``Maintenance.save_snapshot``)."""
    part = path.with_name(path.name + ".part")
    try:
        file = await asyncio.to_thread(_create, part)
        try:
            size = await _write(source, file)
            await asyncio.to_thread(_settle, file, part, path)
        finally:
            await asyncio.to_thread(file.close)
            await asyncio.to_thread(part.unlink, missing_ok=True)
    except OSError as exc:
        raise SnapshotError(f"cannot write {path}: {exc.strerror or exc}") from exc
    return size


async def _write(source: AsyncIterator[bytes], file: BinaryIO) -> int:
    """Write all of *source*, checking its hash. Raises SnapshotError."""
    checked = hashlib.sha256()
    held = b""
    size = 0
    async with aclosing(_gathered(source)) as chunks:
        async for chunk in chunks:
            held += chunk
            # The hash is not part of what it is the hash of.
            checked.update(memoryview(held)[: max(len(held) - HASH_BYTES, 0)])
            held = held[-HASH_BYTES:]
            size += len(chunk)
            await asyncio.to_thread(file.write, chunk)
    if size <= HASH_BYTES or checked.digest() != held:
        raise SnapshotError(f"the snapshot of {size} bytes came damaged: its hash is another")
    return size


async def _gathered(source: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    gathered: list[bytes] = []
    size = 0
    async for piece in source:
        gathered.append(piece)
        size += len(piece)
        if size >= WRITE_BYTES:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    yield b"".join(gathered)


def _create(path: Path) -> BinaryIO:
    # Nobody else may read it, from the first byte on: it holds all keys, passwords' hashes too.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(descriptor, "wb")


def _settle(file: BinaryIO, part: Path, path: Path) -> None:
    """Have the bytes on disk before the name says that they are there."""
    file.flush()
    os.fsync(file.fileno())
    part.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
