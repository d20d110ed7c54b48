"""A range of any size, page by page, as it was at one moment."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from c101.core.etcd.errors import KVError
from c101.core.etcd.results import RangeResult
from c101.core.model.key_value import KeyValue
from c101.core.rpc.status import Code

if TYPE_CHECKING:
    from c101.core.etcd.kv import KeyVerbs


class Scan:
    """The keys of a range in order: ``async for kv in client.scan_prefix("/logs/")``.

    All pages are read at the revision of the first, or at the one given, so what is written
    meanwhile does not show; ``revision`` is set once the first page came, and a watch that starts
    at the revision after it leaves nothing out. A page has at most *page_keys* keys, and fewer
    where the answer would be larger than a client takes. Iterating twice reads twice, at the same
    revision.

    Raises as ``get``; CompactedError: the revision was compacted while it was read.

    Example::

        for number in range(10):
            await client.put(f"/measures/{number}", "x")
        scan = client.scan_prefix("/measures/", page_keys=4)
        keys = [kv.key async for kv in scan]
        assert len(keys) == 10 and keys == sorted(keys)
        pages = [len(page.kvs) async for page in scan.pages()]
        assert pages == [4, 4, 2]
    """

    def __init__(
        self, verbs: "KeyVerbs", key: bytes, range_end: bytes, *, page_keys: int, revision: int
    ) -> None:
        assert page_keys > 0
        self.revision = revision
        self._verbs = verbs
        self._key = key
        self._range_end = range_end
        self._page_keys = page_keys

    async def __aiter__(self) -> AsyncIterator[KeyValue]:
        async for page in self.pages():
            for kv in page.kvs:
                yield kv

    async def pages(self) -> AsyncIterator[RangeResult]:
        """Yield the pages as they come, the last one shorter and perhaps empty."""
        key, limit = self._key, self._page_keys
        while True:
            try:
                page = await self._verbs.get_range(
                    key, self._range_end, limit=limit, revision=self.revision
                )
            except KVError as exc:
                # One value always fits: it is smaller than what a client takes.
                if not _is_too_large(exc) or limit == 1:
                    raise
                limit = max(limit // 4, 1)
                continue
            self.revision = self.revision or page.revision
            yield page
            if not page.more:
                return
            # The least key that sorts behind the last one.
            key = page.kvs[-1].key + b"\0"


def _is_too_large(error: KVError) -> bool:
    return error.status is Code.RESOURCE_EXHAUSTED and "larger than max" in str(error)
