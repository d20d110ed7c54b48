"""A mirror holds what the KV holds, at one revision, over whatever happens to the link."""

import asyncio

from c101.core.etcd.client import Client
from c101.core.etcd.mirror import Mirror
from c101.core.etcd.txn import Delete, Put
from tests.etcd.conftest import client_of
from tests.etcd.relay import relay_to
from tests.processes import KVProcess


async def same(mirror: Mirror, client: Client, prefix: str) -> bool:
    """Return whether *mirror* is what the KV held at its revision."""
    found = await client.get_prefix(prefix, revision=mirror.revision)
    return mirror.kvs == {kv.key: kv for kv in found.kvs}


async def test_between_batches_a_mirror_is_the_kv_at_its_revision(
    client: Client, prefix: str
) -> None:
    for number in range(5):
        await client.put(f"{prefix}{number}", "0")
    async with client.mirror(prefix) as mirror:
        assert await same(mirror, client, prefix)
        for number in range(20):
            await client.transaction(
                compare=[],
                success=[
                    Put(f"{prefix}{number % 5}", str(number)),
                    Put(f"{prefix}x{number}", str(number)),
                    Delete(f"{prefix}x{number - 3}"),
                ],
            )
        last = await client.put(prefix + "last", "x")
        async for batch in mirror:
            assert batch.events
            assert await same(mirror, client, prefix)
            if mirror.revision == last.revision:
                break
        assert prefix.encode() + b"last" in mirror.kvs


async def test_a_mirror_that_missed_what_was_compacted_is_given_the_difference(
    own_server: KVProcess,
) -> None:
    async with (
        relay_to(own_server.port) as relay,
        client_of(own_server) as near,
        client_of(relay) as far,
    ):
        for key in ("same", "changed", "gone"):
            await near.put(f"/m/{key}", "1")
        async with far.mirror("/m/") as mirror:
            waiting = asyncio.create_task(anext(mirror))
            await asyncio.sleep(0)
            relay.cut()
            await near.put("/m/changed", "2")
            await near.put("/m/new", "1")
            await near.put("/m/passing", "1")
            await near.delete("/m/passing")
            last = await near.delete("/m/gone")
            assert last
            revision = (await near.get_all(count_only=True)).revision
            await near.compact(revision)
            relay.mend()
            async with asyncio.timeout(20):
                batch = await waiting
            assert {(event.kind, event.kv.key) for event in batch.events} == {
                ("delete", b"/m/gone"),
                ("put", b"/m/changed"),
                ("put", b"/m/new"),
            }
            assert batch.revision == mirror.revision >= revision
            assert await same(mirror, near, "/m/")
            await near.put("/m/after", "1")
            async with asyncio.timeout(20):
                assert (await anext(mirror)).events[0].kv.key == b"/m/after"


async def test_a_mirror_in_a_namespace_has_the_names_of_inside(client: Client, prefix: str) -> None:
    inside = client.namespace(prefix)
    await inside.put("a", "1")
    async with inside.mirror("") as mirror:
        await client.put(prefix + "b", "2")
        await anext(mirror)
        assert sorted(mirror.kvs) == [b"a", b"b"]
