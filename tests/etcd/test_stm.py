"""Software transactions: what others do at the same time is noticed, or as agreed not."""

import asyncio
from functools import partial

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.stm import Isolation, Stm

ACCOUNTS = 5
START = 100


async def test_money_that_many_move_at_once_stays_the_same(client: Client, prefix: str) -> None:
    for number in range(ACCOUNTS):
        await client.put(f"{prefix}{number}", str(START))
    totals: list[int] = []

    async def move(stm: Stm, source: int, target: int) -> int:
        amounts = [int(await stm.get(f"{prefix}{n}") or b"") for n in range(ACCOUNTS)]
        stm.put(f"{prefix}{source}", str(amounts[source] - 1))
        stm.put(f"{prefix}{target}", str(amounts[target] + 1))
        totals.append(sum(amounts))
        return amounts[source]

    async def work(worker: int) -> None:
        for step in range(10):
            source, target = (worker + step) % ACCOUNTS, (worker + step * 2 + 1) % ACCOUNTS
            if source != target:
                await client.stm(partial(move, source=source, target=target))

    async with asyncio.TaskGroup() as group:
        for worker in range(4):
            group.create_task(work(worker))
    found = await client.get_prefix(prefix)
    assert sum(int(kv.value) for kv in found.kvs) == ACCOUNTS * START
    assert set(totals) == {ACCOUNTS * START}, "no run sees a half-made move, not even one in vain"


async def test_counting_from_many_sides_loses_no_step(client: Client, prefix: str) -> None:
    async def step(stm: Stm) -> None:
        stm.put(prefix, str(int(await stm.get(prefix) or 0) + 1))

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(client.stm(step))
    found = await client.get(prefix)
    assert found is not None
    assert found.value == b"20"


READS = {
    # isolation: what the second read of a run sees of a change made after its first read of
    # another key, how often the run is made, and what it then holds.
    Isolation.SERIALIZABLE_SNAPSHOT: (["old", "new"], 2),
    Isolation.SERIALIZABLE: (["old", "new"], 2),
    Isolation.REPEATABLE_READS: (["new"], 1),
    Isolation.READ_COMMITTED: (["new"], 1),
}


@pytest.mark.parametrize("isolation", Isolation)
async def test_what_a_run_sees_of_a_change_after_its_first_read(
    client: Client, prefix: str, isolation: Isolation
) -> None:
    await client.put(prefix + "a", "1")
    await client.put(prefix + "b", "old")
    seen: list[str] = []

    async def look(stm: Stm) -> None:
        await stm.get(prefix + "a")
        if not seen:
            await client.put(prefix + "b", "new")
        seen.append((await stm.get(prefix + "b") or b"").decode())
        stm.put(prefix + "c", "x")

    await client.stm(look, isolation=isolation)
    wanted, runs = READS[isolation]
    assert seen == wanted
    assert len(seen) == runs


@pytest.mark.parametrize("isolation", Isolation)
async def test_a_read_that_changed_before_the_end_makes_the_run_again_unless_committed_is_enough(
    client: Client, prefix: str, isolation: Isolation
) -> None:
    await client.put(prefix + "a", "1")
    runs = 0

    async def look(stm: Stm) -> None:
        nonlocal runs
        runs += 1
        await stm.get(prefix + "a")
        if runs == 1:
            await client.put(prefix + "a", "2")
        stm.put(prefix + "c", "x")

    await client.stm(look, isolation=isolation)
    assert runs == (1 if isolation is Isolation.READ_COMMITTED else 2)


async def test_only_a_snapshot_minds_that_what_it_writes_blindly_was_written(
    client: Client, prefix: str
) -> None:
    for isolation, expected in (
        (Isolation.SERIALIZABLE_SNAPSHOT, 2),
        (Isolation.SERIALIZABLE, 1),
    ):
        runs = 0

        async def write(stm: Stm) -> None:
            nonlocal runs
            runs += 1
            await stm.get(prefix + "a")
            if runs == 1:
                await client.put(prefix + "b", "theirs")
            stm.put(prefix + "b", "ours")

        await client.stm(write, isolation=isolation)
        assert runs == expected


async def test_a_run_sees_its_own_writes_and_deletions(client: Client, prefix: str) -> None:
    await client.put(prefix + "a", "1")

    async def change(stm: Stm) -> list[bytes | None]:
        stm.put(prefix + "b", "2")
        stm.delete(prefix + "a")
        return [await stm.get(prefix + "a"), await stm.get(prefix + "b")]

    assert await client.stm(change) == [None, b"2"]
    assert [kv.key for kv in (await client.get_prefix(prefix)).kvs] == [f"{prefix}b".encode()]


async def test_a_run_whose_first_revision_is_compacted_is_made_again(
    client: Client, prefix: str
) -> None:
    await client.put(prefix + "a", "1")
    runs = 0

    async def change(stm: Stm) -> bytes | None:
        nonlocal runs
        runs += 1
        await stm.get(prefix + "a")
        if runs == 1:
            written = await client.put(prefix + "b", "2")
            await client.compact(written.revision)
        return await stm.get(prefix + "b")

    assert await client.stm(change) == b"2"
    assert runs == 2


async def test_an_error_in_a_run_ends_it_and_writes_nothing(client: Client, prefix: str) -> None:
    async def fail(stm: Stm) -> None:
        stm.put(prefix, "x")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await client.stm(fail)
    assert await client.get(prefix) is None
