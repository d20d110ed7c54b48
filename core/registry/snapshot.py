"""Reading everything under a prefix at one revision, in pages."""

from c101.core.etcd.client import Client
from c101.core.etcd.keys import prefix_end
from c101.core.model.key_value import KeyValue

#: Keys a page. A unit file of 4 KiB is already a long one, so a page is a few MiB at most.
PAGE_KEYS = 1_000


async def read_prefix(client: Client, prefix: str) -> tuple[int, int, list[KeyValue]]:
    """Return (revision, cluster id, keys) of all that is under *prefix* at that revision.

    Raises CompactedError: it was compacted away between two pages. Try again.
    """
    start, end = prefix.encode(), prefix_end(prefix.encode())
    page = await client.get_range(start, end, limit=PAGE_KEYS)
    revision, cluster_id, kvs = page.revision, page.cluster_id, page.kvs
    while page.more:
        after = kvs[-1].key + b"\0"
        page = await client.get_range(after, end, limit=PAGE_KEYS, revision=revision)
        kvs += page.kvs
    return revision, cluster_id, kvs
