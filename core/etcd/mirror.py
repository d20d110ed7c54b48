"""The keys of a prefix in memory: read once, then kept current (etcd: client/v3/mirror, Syncer)."""

from types import TracebackType
from typing import TYPE_CHECKING, Self

from c101.core.errors import AuthError, DeadlineExceededError, HostKeyError, LinkError
from c101.core.etcd.backoff import Backoff
from c101.core.etcd.errors import CompactedError
from c101.core.etcd.events import WatchBatch, WatchEvent
from c101.core.model.key_value import KeyValue

if TYPE_CHECKING:
    from c101.core.etcd.client import Client
    from c101.core.etcd.watch import Watch


class Mirror:
    """The keys that begin with a prefix, as of ``revision``.

    Entering reads them all, at one revision. Iterating waits for changes, applies each batch to
    ``kvs`` and then gives it: between two batches ``kvs`` is what the KV held at ``revision``, with
    no revision half applied. Whoever does not iterate has what was there last.

    When the link was away for so long that the history it missed is compacted, all is read again
    and the difference given as one batch: a put for what is another, a delete for what is gone.
    What came and went in between is not told.

    Raises as :class:`Scan` on entering, as :class:`Watch` later, CompactedError aside.

    Example::

        await client.put("/flags/a", "1")
        async with client.mirror("/flags/") as mirror:
            assert mirror.kvs[b"/flags/a"].value == b"1"
            await client.put("/flags/b", "2")
            async for batch in mirror:
                assert mirror.revision == batch.revision
                break
            assert sorted(mirror.kvs) == [b"/flags/a", b"/flags/b"]
    """

    def __init__(self, client: "Client", prefix: bytes) -> None:
        self.kvs: dict[bytes, KeyValue] = {}
        self.revision = 0
        self._client = client
        self._prefix = prefix
        self._watch: Watch | None = None

    async def __aenter__(self) -> Self:
        await self._load()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        watch, self._watch = self._watch, None
        if watch is not None:
            await watch.__aexit__(kind, error, traceback)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> WatchBatch:
        while True:
            if self._watch is None:
                raise StopAsyncIteration
            try:
                batch = await anext(self._watch)
            except CompactedError:
                batch = await self._reload()
            if batch.events:
                self._apply(batch)
                return batch

    async def _load(self) -> None:
        """Read everything at one revision, and watch from the one after it."""
        while True:
            scan = self._client.scan_prefix(self._prefix)
            try:
                kvs = {kv.key: kv async for kv in scan}
            except CompactedError:
                # Compacted while it was read: what stands at this moment is read anew.
                continue
            watch = self._client.watch_prefix(self._prefix, start_revision=scan.revision + 1)
            await watch.__aenter__()
            self.kvs, self.revision, self._watch = kvs, scan.revision, watch
            return

    async def _reload(self) -> WatchBatch:
        """Read everything again; return what became of what was here."""
        before = self.kvs
        backoff = Backoff()
        while True:
            try:
                await self._load()
                break
            except (AuthError, HostKeyError):
                raise
            except (LinkError, DeadlineExceededError):
                # As a watch would: the KV may come back.
                if self._client.closed:
                    raise
                await self._client.clock.sleep(backoff.next())
        puts = [
            WatchEvent(kind="put", kv=kv, prev_kv=before.get(key))
            for key, kv in self.kvs.items()
            if key not in before or before[key].mod_revision != kv.mod_revision
        ]
        deletes = [
            WatchEvent(kind="delete", kv=_gone(key, self.revision), prev_kv=kv)
            for key, kv in before.items()
            if key not in self.kvs
        ]
        return WatchBatch(revision=self.revision, events=(*deletes, *puts))

    def _apply(self, batch: WatchBatch) -> None:
        for event in batch.events:
            if event.kind == "put":
                self.kvs[event.kv.key] = event.kv
            else:
                self.kvs.pop(event.kv.key, None)
        self.revision = batch.revision


def _gone(key: bytes, revision: int) -> KeyValue:
    """Return a key that was deleted, at *revision* or before."""
    return KeyValue(key=key, value=b"", create_revision=0, mod_revision=revision, version=0)
