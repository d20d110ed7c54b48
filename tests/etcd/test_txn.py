"""Transactions: every comparison, every operation, nested ones."""

from collections.abc import Callable

import pytest

from c101.core.etcd import txn
from c101.core.etcd.client import Client
from c101.core.etcd.errors import InvalidRequestError
from c101.core.etcd.keys import prefix_end
from c101.core.etcd.results import DeleteResult, PutResult, RangeResult, TxnResult
from c101.core.etcd.txn import Compare, Delete, Get, Put, Txn

SUBJECTS: dict[str, Callable[[str, str], txn.NumberSide]] = {
    "version": txn.version,
    "create_revision": txn.create_revision,
    "mod_revision": txn.mod_revision,
    "lease": txn.lease,
}


async def holds(client: Client, *compare: Compare) -> bool:
    return (await client.transaction(compare=compare, success=[])).succeeded


@pytest.mark.parametrize("subject", SUBJECTS)
async def test_numbers_are_compared_in_four_ways(client: Client, prefix: str, subject: str) -> None:
    lease = await client.lease(60)
    created = await client.put(prefix, "x")
    modified = await client.put(prefix, "x", lease=lease.id)
    actual = {
        "version": 2,
        "create_revision": created.revision,
        "mod_revision": modified.revision,
        "lease": lease.id,
    }[subject]
    side = SUBJECTS[subject](prefix, "")
    assert await holds(client, side.equals(actual))
    assert not await holds(client, side.equals(actual + 1))
    assert await holds(client, side.differs(actual + 1))
    assert not await holds(client, side.differs(actual))
    assert await holds(client, side.greater(actual - 1))
    assert not await holds(client, side.greater(actual))
    assert await holds(client, side.less(actual + 1))
    assert not await holds(client, side.less(actual))


async def test_values_are_compared_byte_by_byte(client: Client, prefix: str) -> None:
    await client.put(prefix, "m")
    side = txn.value(prefix)
    assert await holds(client, side.equals("m"), side.differs("n"), side.greater("l"))
    assert await holds(client, side.less(b"m\0"))
    assert not await holds(client, side.less("m"))


async def test_a_missing_key_counts_as_zero_and_its_value_satisfies_nothing(
    client: Client, prefix: str
) -> None:
    for subject in SUBJECTS.values():
        assert await holds(client, subject(prefix, "").equals(0))
    assert not await holds(client, txn.value(prefix).equals(""))
    assert not await holds(client, txn.value(prefix).differs("x"))


async def test_a_comparison_over_a_range_asks_every_key(client: Client, prefix: str) -> None:
    end = prefix_end(prefix.encode())
    some = txn.create_revision(prefix, end).greater(0)
    assert not await holds(client, some)
    await client.put(prefix + "a", "x")
    await client.put(prefix + "b", "x")
    assert await holds(client, some)
    assert await holds(client, txn.value(prefix, end).equals("x"))
    await client.put(prefix + "b", "y")
    assert not await holds(client, txn.value(prefix, end).equals("x"))


async def test_the_branch_that_holds_is_done_and_answers_in_order(
    client: Client, prefix: str
) -> None:
    await client.put(prefix + "gone", "1")
    result = await client.transaction(
        compare=[txn.version(prefix + "gone").equals(1)],
        success=[
            Put(prefix + "a", "1"),
            Get(prefix + "a"),
            Delete(prefix + "gone", prev_kv=True),
            Get(prefix, prefix_end(prefix.encode()), {"count_only": True}),
        ],
        failure=[Put(prefix + "never", "")],
    )
    assert result.succeeded
    put, read, deleted, count = result.responses
    assert isinstance(put, PutResult)
    assert isinstance(read, RangeResult)
    assert isinstance(deleted, DeleteResult)
    assert isinstance(count, RangeResult)
    assert read.kvs[0].mod_revision == result.revision
    assert (deleted.deleted, deleted.prev_kvs[0].value) == (1, b"1")
    assert count.count == 1


async def test_the_other_branch_is_done_when_one_comparison_fails(
    client: Client, prefix: str
) -> None:
    result = await client.transaction(
        compare=[txn.version(prefix).equals(0), txn.version(prefix).equals(1)],
        success=[Put(prefix, "success")],
        failure=[Put(prefix, "failure")],
    )
    assert not result.succeeded
    found = await client.get(prefix)
    assert found is not None
    assert found.value == b"failure"


async def test_inner_comparisons_see_the_state_before_the_outer_transaction(
    client: Client, prefix: str
) -> None:
    inner = Txn([txn.version(prefix + "a").equals(0)], [Put(prefix + "b", "inner")])
    result = await client.transaction(compare=[], success=[Put(prefix + "a", ""), inner])
    nested = result.responses[1]
    assert isinstance(nested, TxnResult)
    assert nested.succeeded
    assert await client.get(prefix + "b") is not None


async def test_a_key_cannot_be_put_twice_and_nothing_is_done(client: Client, prefix: str) -> None:
    with pytest.raises(InvalidRequestError, match="duplicate key given in txn request"):
        await client.transaction(compare=[], success=[Put(prefix, "1"), Put(prefix, "2")])
    assert await client.get(prefix) is None


async def test_too_many_operations_are_refused(client: Client, prefix: str) -> None:
    with pytest.raises(InvalidRequestError, match="too many operations"):
        await client.transaction(
            compare=[], success=[Put(f"{prefix}{number}", "") for number in range(129)]
        )
