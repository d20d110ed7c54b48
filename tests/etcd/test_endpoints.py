"""Several endpoints: failover, and what may be asked twice."""

import asyncio
import time
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.errors import DeadlineExceededError, LinkError, LinkLostError
from c101.core.etcd import connect
from c101.core.etcd.client import Client
from c101.core.etcd.txn import Put
from c101.core.rpc.dial import dialer_for
from tests.etcd.conftest import client_of
from tests.etcd.relay import relay_to
from tests.processes import KVProcess

NOBODY = KVProcess(Path("/nowhere"))


async def test_reads_and_writes_go_to_the_endpoint_that_lives(
    server: KVProcess, prefix: str
) -> None:
    async with client_of(NOBODY, server) as client:
        await client.put(prefix, "1")
        assert await client.get(prefix) is not None
        async with client.watch(prefix) as watch:
            await client.put(prefix, "2")
            batch = await anext(watch)
        async with client.held_lease(2) as lease:
            assert not lease.lost.is_set()
    assert batch.events[0].kv.value == b"2"


async def test_an_endpoint_that_is_silent_costs_its_share_of_the_time_once(
    server: KVProcess, prefix: str
) -> None:
    async with relay_to(server.port) as silent:
        silent.silence()
        async with client_of(silent, server, timeout_seconds=1) as client:
            before = time.monotonic()
            await client.put(prefix, "1")
            first = time.monotonic() - before
            await client.put(prefix, "2")
            assert 0.4 < first < 0.9
            assert time.monotonic() - before - first < 0.3


async def test_a_read_is_asked_again_when_its_link_is_lost(server: KVProcess, prefix: str) -> None:
    async with relay_to(server.port) as relay, client_of(relay) as client:
        await client.put(prefix, "1")
        relay.silence()
        reading = asyncio.create_task(client.get(prefix))
        await asyncio.sleep(0.05)
        relay.cut()
        await asyncio.sleep(0.05)
        relay.mend()
        found = await reading
        assert found is not None
        assert found.value == b"1"


async def test_a_write_that_may_have_been_done_is_not_asked_again(
    server: KVProcess, client: Client, prefix: str
) -> None:
    async with relay_to(server.port) as relay, client_of(relay, server) as far:
        await far.get(prefix)
        relay.silence()
        writing = asyncio.create_task(far.put(prefix, "1"))
        await asyncio.sleep(0.05)
        relay.cut()
        with pytest.raises(LinkLostError, match="may have been carried out"):
            await writing
        assert await client.get(prefix) is None


async def test_a_write_that_was_not_sent_is_asked_again(server: KVProcess, prefix: str) -> None:
    async with relay_to(server.port) as relay, client_of(relay) as client:
        relay.cut()
        writing = asyncio.create_task(client.put(prefix, "1"))
        await asyncio.sleep(0.1)
        assert not writing.done()
        relay.mend()
        await writing


async def test_a_link_that_was_lost_between_requests_is_made_anew_for_a_write(
    server: KVProcess, prefix: str
) -> None:
    async with relay_to(server.port) as relay, client_of(relay) as client:
        for value in range(5):
            await client.put(prefix, str(value))
            relay.cut()
            relay.mend()
            await asyncio.sleep(0.05)
        assert relay.accepted == 5


async def test_a_write_that_nobody_answers_ends_at_its_deadline(
    server: KVProcess, prefix: str
) -> None:
    async with relay_to(server.port) as relay, client_of(relay, timeout_seconds=0.3) as client:
        await client.get(prefix)
        relay.silence()
        before = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            await client.put(prefix, "1")
        assert 0.25 < time.monotonic() - before < 0.6


async def test_after_a_write_that_nobody_answered_the_next_goes_elsewhere(
    server: KVProcess, prefix: str
) -> None:
    async with (
        relay_to(server.port) as relay,
        client_of(relay, server, timeout_seconds=10) as client,
    ):
        await client.get(prefix)
        relay.silence()
        with pytest.raises(DeadlineExceededError):
            await client.within(0.3).put(prefix, "1")
        before = relay.accepted
        await client.put(prefix, "2")
        assert relay.accepted == before


async def test_a_link_that_fell_silent_is_replaced_after_a_request_found_out(
    server: KVProcess, prefix: str
) -> None:
    async with (
        relay_to(server.port) as relay,
        client_of(relay, timeout_seconds=0.5) as client,
        client.watch(prefix) as watch,
    ):
        relay.forget()
        waiting = asyncio.create_task(anext(watch))
        with pytest.raises(DeadlineExceededError):
            await client.get(prefix)
        async with asyncio.timeout(5):
            while not await written(client, prefix):
                pass
            batch = await waiting
        assert batch.events[0].kv.key == prefix.encode()


async def written(client: Client, key: str) -> bool:
    """Write *key*; return whether an answer came."""
    try:
        await client.put(key, "x")
    except (DeadlineExceededError, LinkError):
        return False
    return True


async def test_no_endpoint_at_all_is_a_link_error_in_time() -> None:
    other = KVProcess(Path("/nowhere"))
    async with client_of(NOBODY, other, timeout_seconds=0.4) as client:
        before = time.monotonic()
        with pytest.raises(LinkError, match="cannot reach"):
            await client.get("k")
        with pytest.raises(LinkError):
            await client.put("k", "v")
        assert time.monotonic() - before < 1.2


async def test_a_silent_server_that_was_never_reached_is_a_link_error(
    server: KVProcess,
) -> None:
    async with relay_to(server.port) as relay, client_of(relay, timeout_seconds=0.3) as client:
        relay.silence()
        with pytest.raises(LinkError, match="did not answer"):
            await client.put("k", "v")


async def test_many_requests_at_once_share_one_link(server: KVProcess, prefix: str) -> None:
    async with relay_to(server.port) as relay, client_of(relay) as client:
        await asyncio.gather(*(client.put(f"{prefix}{n}", str(n)) for n in range(200)))
        found = await client.get_prefix(prefix)
        assert found.count == 200
        assert relay.accepted == 1


async def test_cancelling_a_request_leaves_the_client_usable(
    server: KVProcess, prefix: str
) -> None:
    async with client_of(server) as client:
        for delay in (0, 0.0005, 0.001, 0.002):
            task = asyncio.create_task(client.put(prefix, "x"))
            await asyncio.sleep(delay)
            task.cancel()
            await asyncio.wait({task})
        await client.put(prefix, "y")
        found = await client.get(prefix)
        assert found is not None
        assert found.value == b"y"


async def test_closing_the_client_fails_what_waits_for_a_link(server: KVProcess) -> None:
    async with relay_to(server.port) as relay:
        relay.silence()
        client = client_of(relay)
        waiting = [asyncio.create_task(client.put("k", "v")) for _ in range(3)]
        await asyncio.sleep(0.05)
        await client.close()
        for task in waiting:
            with pytest.raises(LinkError):
                await task


async def test_a_closed_client_refuses_at_once(server: KVProcess) -> None:
    client = client_of(server)
    await client.close()
    before = time.monotonic()
    with pytest.raises(LinkError, match="closed"):
        await client.get("k")
    assert time.monotonic() - before < 0.1


class LateClock(SystemClock):
    """That of a machine so busy that every sleeper is woken late."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds + 0.3 if seconds > 0 else seconds)


async def test_why_there_is_no_link_is_told_also_where_time_runs_out_in_between() -> None:
    dialers = [dialer_for(NOBODY.url)]
    async with Client(dialers, clock=LateClock(), timeout_seconds=0.3) as client:
        with pytest.raises(LinkError, match="cannot reach"):
            await client.get("k")


async def test_who_fails_fast_tries_each_endpoint_once(server: KVProcess, prefix: str) -> None:
    before = time.monotonic()
    async with client_of(NOBODY, NOBODY, fails_fast=True) as client:
        with pytest.raises(LinkError, match="cannot reach"):
            await client.get(prefix)
        with pytest.raises(LinkError, match="cannot reach"):
            async with client.watch(prefix):
                pass
    assert time.monotonic() - before < 2
    async with client_of(NOBODY, server, fails_fast=True) as client:
        assert await client.get(prefix) is None
        async with client.watch(prefix):
            pass


async def test_who_fails_fast_waits_for_a_server_that_was_there(
    server: KVProcess, prefix: str
) -> None:
    async with relay_to(server.port) as relay, client_of(relay, fails_fast=True) as client:
        await client.put(prefix, "1")
        relay.cut()
        reading = asyncio.create_task(client.get(prefix))
        await asyncio.sleep(0.3)
        assert not reading.done()
        relay.mend()
        assert await reading is not None


async def test_what_runs_on_an_endpoint_that_is_left_out_ends_in_its_own_time(
    server: KVProcess, prefix: str
) -> None:
    async with relay_to(server.port) as relay, connect(relay.url) as client:
        async with client.watch(prefix) as watch:
            # What the member says of itself is not the relay.
            assert await client.cluster.sync() == (server.url,)
            for number in range(3):
                await client.put(prefix, str(number))
                async with asyncio.timeout(5):
                    batch = await anext(watch)
                assert batch.events[0].kv.value == str(number).encode()
            assert relay.accepted == 1
            relay.cut()
            relay.mend()
            await client.put(prefix, "after")
            async with asyncio.timeout(5):
                assert (await anext(watch)).events[0].kv.value == b"after"
        assert relay.accepted == 1, "the watch went on at the endpoint that took its place"


async def test_a_view_with_less_time_ends_in_that_and_shares_the_link(
    server: KVProcess, prefix: str
) -> None:
    async with relay_to(server.port) as relay, client_of(relay, timeout_seconds=30) as client:
        await client.put(prefix, "1")
        quick = client.within(0.3)
        assert await quick.get(prefix) is not None
        assert relay.accepted == 1
        relay.silence()
        async with asyncio.timeout(10):
            with pytest.raises(DeadlineExceededError):
                await quick.get(prefix)
            with pytest.raises(DeadlineExceededError):
                await quick.put(prefix, "2")


async def test_a_transaction_that_may_be_repeated_is_when_its_answer_is_lost(
    server: KVProcess, prefix: str
) -> None:
    async with relay_to(server.port) as relay, client_of(relay) as client:
        await client.put(prefix, "0")
        relay.silence()
        writing = asyncio.create_task(
            client.transaction(compare=[], success=[Put(prefix, "1")], repeatable=True)
        )
        await asyncio.sleep(0.05)
        relay.cut()
        relay.mend()
        assert (await writing).succeeded
