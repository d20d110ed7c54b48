"""Reading everything under a prefix at one revision."""

from c101.core.etcd.client import Client
from c101.core.etcd.keys import prefix_end
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.view import View, view_of

#: Keys a page. A unit file of 4 KiB is already a long one, so a page is a few MiB at most, and
#: some 12 ms of work before the loop has its turn again.
PAGE_KEYS = 1_000


async def read_view(client: Client, keyspace: Keyspace, prefix: str) -> tuple[View, int]:
    """Return the view of all that is under *prefix*, at one revision, and the KV's cluster id.

    Raises CompactedError: that revision was compacted away between two pages. Try again.
    """
    start, end = prefix.encode(), prefix_end(prefix.encode())
    page = await client.get_range(start, end, limit=PAGE_KEYS)
    revision, cluster_id = page.revision, page.cluster_id
    view = view_of(keyspace, page.kvs, revision)
    while page.more:
        after = page.kvs[-1].key + b"\0"
        page = await client.get_range(after, end, limit=PAGE_KEYS, revision=revision)
        view = view_of(keyspace, page.kvs, revision, view=view)
    return view, cluster_id
