"""The verbs on keys: the same on etcd and on our own KV."""

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.errors import (
    CompactedError,
    FutureRevisionError,
    InvalidRequestError,
    LeaseNotFoundError,
)
from c101.core.etcd.ranges import Sort
from tests.etcd.conftest import client_of
from tests.processes import KVProcess


async def test_a_key_that_was_put_is_read_back_with_its_history(
    client: Client, prefix: str
) -> None:
    first = await client.put(prefix + "a", "1")
    second = await client.put(prefix + "a", b"2", prev_kv=True)
    found = await client.get(prefix + "a")
    assert found is not None
    assert (found.key, found.value) == ((prefix + "a").encode(), b"2")
    assert (found.create_revision, found.mod_revision) == (first.revision, second.revision)
    assert found.version == 2
    assert first.prev is None
    assert second.prev is not None
    assert second.prev.value == b"1"


async def test_a_key_that_does_not_exist_is_none(client: Client, prefix: str) -> None:
    assert await client.get(prefix) is None


async def test_the_past_is_readable_by_revision(client: Client, prefix: str) -> None:
    old = await client.put(prefix, "old")
    await client.put(prefix, "new")
    found = await client.get(prefix, revision=old.revision)
    assert found is not None
    assert found.value == b"old"


async def test_the_future_is_not_readable(client: Client, prefix: str) -> None:
    with pytest.raises(FutureRevisionError):
        await client.get(prefix, revision=1 << 40)


async def test_a_prefix_holds_its_keys_and_no_others(client: Client, prefix: str) -> None:
    for name in ("a", "b", "c"):
        await client.put(prefix + name, name * 2)
    await client.put(prefix[:-1] + "0", "behind")
    found = await client.get_prefix(prefix)
    assert [kv.value for kv in found.kvs] == [b"aa", b"bb", b"cc"]
    assert (found.count, found.more) == (3, False)
    assert found.cluster_id != 0


async def test_a_limit_cuts_a_range_short_and_says_so(client: Client, prefix: str) -> None:
    for name in ("a", "b", "c"):
        await client.put(prefix + name, "")
    found = await client.get_prefix(prefix, limit=2)
    assert (len(found.kvs), found.more, found.count) == (2, True, 3)


async def test_a_range_ends_before_its_end(client: Client, prefix: str) -> None:
    for name in ("a", "b", "c"):
        await client.put(prefix + name, name)
    found = await client.get_range(prefix + "a", prefix + "c")
    assert [kv.value for kv in found.kvs] == [b"a", b"b"]


async def test_keys_only_and_count_only_leave_out_what_they_say(
    client: Client, prefix: str
) -> None:
    await client.put(prefix + "a", "value")
    keys = await client.get_prefix(prefix, keys_only=True)
    assert [(kv.key, kv.value) for kv in keys.kvs] == [((prefix + "a").encode(), b"")]
    count = await client.get_prefix(prefix, count_only=True)
    assert (count.kvs, count.count) == ([], 1)


@pytest.mark.parametrize(
    ("sort", "descending"),
    [
        (Sort.KEY, "cba"),
        (Sort.VALUE, "abc"),
        (Sort.CREATE_REVISION, "acb"),
        (Sort.MOD_REVISION, "bac"),
        (Sort.VERSION, "bac"),
    ],
)
async def test_a_range_is_sorted_by_what_is_asked(
    client: Client, prefix: str, sort: Sort, descending: str
) -> None:
    for name, value in ("b2", "c1", "a3", "a3", "b2", "b2"):
        await client.put(prefix + name, value)
    down = await client.get_prefix(prefix, sort=sort, descending=True)
    up = await client.get_prefix(prefix, sort=sort)
    assert "".join(kv.key.decode()[-1] for kv in down.kvs) == descending
    assert up.kvs == down.kvs[::-1]


async def test_a_range_is_cut_by_revisions(client: Client, prefix: str) -> None:
    first = await client.put(prefix + "a", "")
    second = await client.put(prefix + "b", "")
    older = await client.get_prefix(prefix, max_create_revision=first.revision)
    newer = await client.get_prefix(prefix, min_mod_revision=second.revision)
    assert [kv.key[-1:] for kv in older.kvs] == [b"a"]
    assert [kv.key[-1:] for kv in newer.kvs] == [b"b"]


async def test_put_if_not_exists_creates_once(client: Client, prefix: str) -> None:
    assert await client.put_if_not_exists(prefix, "first")
    assert not await client.put_if_not_exists(prefix, "second")
    found = await client.get(prefix)
    assert found is not None
    assert found.value == b"first"


async def test_replace_swaps_only_the_value_it_expects(client: Client, prefix: str) -> None:
    await client.put(prefix, "a")
    assert await client.replace(prefix, "a", "b")
    assert not await client.replace(prefix, "a", "c")
    assert not await client.replace(prefix + "missing", "", "c")
    found = await client.get(prefix)
    assert found is not None
    assert found.value == b"b"


async def test_deleting_says_what_was_there(client: Client, prefix: str) -> None:
    for name in ("a", "b", "c", "d"):
        await client.put(prefix + name, "")
    assert await client.delete(prefix + "a")
    assert not await client.delete(prefix + "a")
    assert await client.delete_range(prefix + "b", prefix + "d") == 2
    assert await client.delete_prefix(prefix) == 1


async def test_an_empty_key_is_refused(client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="key is not provided"):
        await client.put("", "x")


async def test_a_put_under_a_lease_that_does_not_exist_is_refused(
    client: Client, prefix: str
) -> None:
    with pytest.raises(LeaseNotFoundError):
        await client.put(prefix, "x", lease=424_242)


async def test_a_value_of_a_mebibyte_goes_and_comes(client: Client, prefix: str) -> None:
    value = bytes(range(256)) * 4096
    await client.put(prefix, value)
    found = await client.get(prefix)
    assert found is not None
    assert found.value == value


async def test_what_was_compacted_cannot_be_read(own_server: KVProcess) -> None:
    async with client_of(own_server) as client:
        old = await client.put("k", "1")
        await client.put("k", "2")
        last = await client.put("k", "3")
        await client.compact(last.revision, physical=True)
        with pytest.raises(CompactedError) as caught:
            await client.get("k", revision=old.revision)
        assert caught.value.revision == old.revision
        with pytest.raises(CompactedError):
            await client.compact(old.revision)


async def test_status_and_members_say_who_answers(client: Client) -> None:
    status = await client.status()
    assert status.version.startswith("3.")
    assert status.leader == status.member_id
    assert status.cluster_id != 0
    assert status.revision >= 1
    members = await client.members()
    assert [member.id for member in members] == [status.member_id]
