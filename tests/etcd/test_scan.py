"""Large ranges, page by page, as they were at one moment."""

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.errors import CompactedError
from tests.etcd.conftest import client_of
from tests.processes import KVProcess

MIB = 1 << 20


async def test_pages_show_one_moment_whatever_is_written_meanwhile(
    client: Client, prefix: str
) -> None:
    for number in range(50):
        await client.put(f"{prefix}{number:03}", "before")
    scan = client.scan_prefix(prefix, page_keys=7)
    seen = []
    async for kv in scan:
        seen.append(kv)
        if len(seen) % 10 == 1:
            await client.put(f"{prefix}{len(seen) + 20:03}", "meanwhile")
            await client.delete(f"{prefix}{49 - len(seen):03}")
            await client.put(f"{prefix}{len(seen):03}x", "meanwhile")
    assert [kv.key.decode() for kv in seen] == [f"{prefix}{number:03}" for number in range(50)]
    assert {kv.value for kv in seen} == {b"before"}
    assert max(kv.mod_revision for kv in seen) <= scan.revision


@pytest.mark.parametrize("keys", [0, 1, 6, 7, 8, 14])
async def test_a_range_of_any_size_comes_whole(client: Client, prefix: str, keys: int) -> None:
    for number in range(keys):
        await client.put(f"{prefix}{number:03}", "x")
    scan = client.scan_prefix(prefix, page_keys=7)
    assert len([kv async for kv in scan]) == keys
    assert scan.revision > 0


async def test_iterating_again_reads_the_same_moment_again(client: Client, prefix: str) -> None:
    await client.put(prefix + "a", "1")
    scan = client.scan_prefix(prefix)
    first = [kv async for kv in scan]
    await client.put(prefix + "b", "2")
    assert [kv async for kv in scan] == first


async def test_a_watch_from_the_revision_after_leaves_nothing_out(
    client: Client, prefix: str
) -> None:
    await client.put(prefix + "a", "1")
    scan = client.scan_prefix(prefix)
    assert len([kv async for kv in scan]) == 1
    await client.put(prefix + "b", "2")
    async with client.watch_prefix(prefix, start_revision=scan.revision + 1) as watch:
        batch = await anext(watch)
    assert [event.kv.key for event in batch.events] == [f"{prefix}b".encode()]


async def test_a_scan_that_is_overtaken_by_compaction_says_so(own_server: KVProcess) -> None:
    async with client_of(own_server) as client:
        for number in range(10):
            await client.put(f"/s/{number}", "x")
        pages = client.scan_prefix("/s/", page_keys=3).pages()
        assert len((await anext(pages)).kvs) == 3
        written = await client.put("/other", "x")
        await client.compact(written.revision)
        with pytest.raises(CompactedError):
            await anext(pages)


async def test_values_too_large_for_one_answer_come_in_smaller_pages(
    own_server: KVProcess,
) -> None:
    value = b"v" * MIB
    async with client_of(own_server, timeout_seconds=30) as client:
        for number in range(70):
            await client.put(f"/large/{number:02}", value)
        scan = client.scan_prefix("/large/")
        sizes = [len(page.kvs) async for page in scan.pages()]
    assert sum(sizes) == 70
    assert len(sizes) > 1
