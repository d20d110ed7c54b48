"""A namespace: every verb works inside, and nothing inside reaches what is outside."""

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.errors import InvalidRequestError
from c101.core.etcd.keys import FROM_KEY
from c101.core.etcd.stm import Stm
from c101.core.etcd.txn import Delete, Get, Put, Txn, create_revision, value, version


async def keys(client: Client, prefix: str) -> list[str]:
    return [kv.key.decode() for kv in (await client.get_prefix(prefix)).kvs]


async def test_keys_are_read_written_and_deleted_inside(client: Client, prefix: str) -> None:
    inside = client.namespace(prefix + "in/")
    await client.put(prefix + "outside", "x")
    await client.put(prefix + "in0", "right behind the namespace")
    await inside.put("b", "2")
    put = await inside.put("b", "3", prev_kv=True)
    assert put.prev is not None
    assert (put.prev.key, put.prev.value) == (b"b", b"2")
    await inside.put("a", "1")
    assert await inside.put_if_not_exists("c", "4")
    assert await inside.replace("c", "4", "5")
    assert await keys(client, prefix + "in/") == [f"{prefix}in/{key}" for key in "abc"]
    assert [kv.key for kv in (await inside.get_all()).kvs] == [b"a", b"b", b"c"]
    assert [kv.key for kv in (await inside.get_range("b", FROM_KEY)).kvs] == [b"b", b"c"]
    assert [kv.key for kv in (await inside.get_range("a", "c")).kvs] == [b"a", b"b"]
    assert [kv.key async for kv in inside.scan_prefix("", page_keys=1)] == [b"a", b"b", b"c"]
    popped = await inside.pop("a")
    assert popped is not None
    assert popped.key == b"a"
    assert await inside.delete_prefix("") == 2
    assert await keys(client, prefix) == [prefix + "in0", prefix + "outside"]


async def test_a_transaction_stays_inside_at_every_depth(client: Client, prefix: str) -> None:
    inside = client.namespace(prefix)
    await client.put(prefix + "k", "1")
    result = await inside.transaction(
        compare=[value("k").equals("1"), version("a", "z").greater(0)],
        success=[
            Put("a", "1", prev_kv=True),
            Txn([create_revision("x").equals(0)], [Get("k")]),
            Delete("k", prev_kv=True),
        ],
    )
    assert result.succeeded
    _, nested, deleted = result.responses
    assert nested.responses[0].kvs[0].key == b"k"  # type: ignore[union-attr]
    assert deleted.prev_kvs[0].key == b"k"  # type: ignore[union-attr]
    assert await keys(client, prefix) == [prefix + "a"]


async def test_a_watch_sees_what_is_inside_by_the_name_it_has_there(
    client: Client, prefix: str
) -> None:
    inside = client.namespace(prefix + "in/")
    async with inside.watch_prefix("", prev_kv=True) as watch, inside.watch_group() as group:
        await group.add_prefix("", prev_kv=True)
        await client.put(prefix + "in0", "outside")
        await inside.put("a", "1")
        await client.put(prefix + "in/a", "2")
        seen = [event for _ in range(2) for event in (await anext(watch)).events]
        _, first = await anext(group)
    assert [(event.kv.key, event.kv.value) for event in seen] == [(b"a", b"1"), (b"a", b"2")]
    assert seen[1].prev_kv is not None
    assert seen[1].prev_kv.key == b"a"
    assert first.events[0].kv.key == b"a"


async def test_locks_elections_leases_and_transactions_work_inside(
    client: Client, prefix: str
) -> None:
    inside = client.namespace(prefix)
    async with inside.held_lease(10) as lease, inside.lock("l", lease=lease) as lock:
        await client.put("/outside", "x", lease=lease.id)
        assert await keys(client, prefix) == [prefix + lock.key.decode()]
        done = await inside.transaction(compare=[lock.held()], success=[Put("done", "1")])
        assert done.succeeded
        under = (await inside.get_lease_info(lease.id, keys=True)).keys
        assert under == (lock.key,), "of keys under a lease those outside are left out"
        async with inside.election("e").campaign("me") as leadership:
            assert leadership.key.startswith(b"e/")
            leader = await inside.election("e").leader()
            assert leader is not None

    async def step(stm: Stm) -> bytes | None:
        stm.put("stm", "x")
        return await stm.get("done")

    assert await inside.stm(step) == b"1"
    assert await client.get(prefix + "stm") is not None


async def test_namespaces_nest_and_closing_a_view_closes_nothing(
    client: Client, prefix: str
) -> None:
    async with client.namespace(prefix).namespace("deep/") as deep:
        await deep.within(3).put("k", "1")
    assert await keys(client, prefix) == [prefix + "deep/k"]


@pytest.mark.parametrize("end", [b"", FROM_KEY])
async def test_an_empty_key_is_refused_inside_as_it_is_outside(
    client: Client, prefix: str, end: bytes
) -> None:
    inside = client.namespace(prefix)
    await client.put(prefix + "k", "1")
    for verb in (inside.get_range("", end), inside.delete_range("", end), inside.put("", "x")):
        with pytest.raises(InvalidRequestError, match="key is not provided"):
            await verb
    assert await keys(client, prefix) == [prefix + "k"]


async def test_a_watch_without_a_key_does_not_look_out_of_its_namespace(
    client: Client, prefix: str
) -> None:
    inside = client.namespace(prefix + "in/")
    async with inside.watch("", range_end=FROM_KEY) as watch:
        await client.put(prefix, "outside")
        await inside.put("k", "inside")
        batch = await anext(watch)
    assert [event.kv.value for event in batch.events] == [b"inside"]
