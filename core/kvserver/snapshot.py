"""etcdserverpb.Maintenance.Snapshot: the store as a bbolt file, streamed while it is made.

An export (``kv.snapshot.export``) is made by a thread of its own, at most one piece ahead of what
the caller has read. As long as it lasts the write-ahead log grows by what is written; so a caller
that reads nothing for a while, or slowly while much is written, is given up: it holds back only
itself.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self, TypeVar

from c101.core.kv import refusal
from c101.core.kv.refusal import refuse
from c101.core.kv.snapshot.etcd_buckets import SnapshotError
from c101.core.kv.snapshot.export import Export
from c101.core.kvserver.context import Context, parse
from c101.core.proto import rpc_pb2
from c101.core.rpc.server import ServerStream
from c101.core.rpc.status import Code, RpcError

#: A message has so much of the file, as etcd's have.
BLOB_BYTES = 32 << 10
#: Snapshots at once; one more is refused.
SNAPSHOTS_MAX = 4
#: A caller that reads nothing for so long is given up.
SILENCE_SECONDS_MAX = 60.0
#: So is one that is waited for when the write-ahead log has grown to this.
LOG_BYTES_MAX = 1 << 30
#: How often a caller that is waited for is looked at.
LOOK_SECONDS = 1.0

_T = TypeVar("_T")


class SnapshotService:
    """The Snapshot method on a store."""

    def __init__(
        self,
        context: Context,
        *,
        silence_seconds_max: float = SILENCE_SECONDS_MAX,
        log_bytes_max: int = LOG_BYTES_MAX,
    ) -> None:
        self._context = context
        self._silence_seconds_max = silence_seconds_max
        self._log_bytes_max = log_bytes_max
        self._database = context.store.storage.path
        self._running = 0

    async def snapshot(self, stream: ServerStream) -> None:
        """Send the store at its current revision: blobs of the file, then one with its SHA-256.

        It holds everything, passwords' hashes too: for admins only while auth is on.
        """
        auth = self._context.auth
        if auth.enabled:
            auth.require_admin(auth.caller_of(stream))
        await _request(stream)
        if self._running >= SNAPSHOTS_MAX:
            raise refuse(refusal.TOO_MANY_REQUESTS)
        self._running += 1
        self._context.streams.add(stream)
        try:
            async with ExportThread(self._database) as export:
                await self._send(stream, export)
        except SnapshotError as exc:
            raise RpcError(Code.INTERNAL, f"c101: {exc}") from exc
        finally:
            self._context.streams.discard(stream)
            self._running -= 1

    async def _send(self, stream: ServerStream, export: "ExportThread") -> None:
        left = await export.plan()
        while piece := await export.next():
            for first in range(0, len(piece), BLOB_BYTES):
                blob = piece[first : first + BLOB_BYTES]
                left -= len(blob)
                _send(stream, blob, left)
            await self._wait_for_reader(stream)
        assert not left, "a plan says how much there is"
        _send(stream, export.digest, 0)

    async def _wait_for_reader(self, stream: ServerStream) -> None:
        """Return when the caller has read most of what was sent; raise RpcError to give it up."""
        silent = 0.0
        while True:
            pending = stream.pending_bytes
            try:
                async with asyncio.timeout(LOOK_SECONDS):
                    await stream.drain()
                    return
            except TimeoutError:
                silent = silent + LOOK_SECONDS if stream.pending_bytes == pending else 0.0
            if silent >= self._silence_seconds_max:
                text = f"c101: the reader of the snapshot took nothing for {silent:g} s"
                raise RpcError(Code.DEADLINE_EXCEEDED, text)
            if _log_bytes(self._database) >= self._log_bytes_max:
                text = "c101: the reader of the snapshot is too slow for what is written meanwhile"
                raise RpcError(Code.RESOURCE_EXHAUSTED, text)


class ExportThread:
    """An export whose work is done by a thread. ``async with`` it; leaving waits for nothing."""

    def __init__(self, database: Path) -> None:
        self._database = database
        # One thread does all: what is left to do at the end comes after what it is doing then.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kv-snapshot")
        self._export: Export | None = None
        self._pieces: Iterator[bytes] = iter(())
        self._hash = hashlib.sha256()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of all pieces so far."""
        return self._hash.digest()

    async def plan(self) -> int:
        """Begin at the store's current revision; return how many bytes all pieces have."""
        return await self._do(self._plan)

    async def next(self) -> bytes:
        """Return the next piece; nothing is left when it is empty."""
        return await self._do(self._next)

    async def _do(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _plan(self) -> int:
        self._export = export = Export(self._database)
        size = export.plan()
        self._pieces = export.pieces()
        return size

    def _next(self) -> bytes:
        piece = next(self._pieces, b"")
        self._hash.update(piece)
        return piece

    def _close(self) -> None:
        if self._export is not None:
            self._export.close()


async def _request(stream: ServerStream) -> None:
    """Read the one request there is. Raises RpcError."""
    async for message in stream:
        parse(rpc_pb2.SnapshotRequest, message)
        return
    raise RpcError(Code.INTERNAL, "c101: the call ended without a request")


def _send(stream: ServerStream, blob: bytes, remaining: int) -> None:
    response = rpc_pb2.SnapshotResponse(remaining_bytes=remaining, blob=blob)
    stream.send(response.SerializeToString())


def _log_bytes(database: Path) -> int:
    try:
        return Path(f"{database}-wal").stat().st_size
    except FileNotFoundError:
        return 0
