"""Leases: granted, renewed, lost and given up."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from c101.core.etcd.client import Client
from c101.core.etcd.errors import LeaseExistsError, LeaseNotFoundError
from c101.core.etcd.lease import HeldLease
from tests.etcd.conftest import client_of
from tests.etcd.relay import relay_to
from tests.processes import KVProcess

#: What takes seconds and rests on the client's clock alone is shown once.
OWN_ONLY = pytest.mark.parametrize("kind", ["own"])


async def test_keys_under_a_lease_go_with_it(client: Client, prefix: str) -> None:
    lease = await client.lease(30)
    await client.put(prefix, "x", lease=lease.id)
    info = await client.get_lease_info(lease.id, keys=True)
    assert (info.granted_ttl, info.keys) == (lease.ttl, (prefix.encode(),))
    assert 28 <= info.ttl <= 30
    await client.revoke_lease(lease.id)
    assert await client.get(prefix) is None


async def test_a_lease_may_have_the_id_one_asks_for_once(client: Client) -> None:
    lease = await client.lease(30, lease_id=777_001)
    assert lease.id == 777_001
    with pytest.raises(LeaseExistsError):
        await client.lease(30, lease_id=777_001)
    await client.revoke_lease(lease.id)


async def test_a_lease_that_does_not_exist_is_an_error_in_every_verb(client: Client) -> None:
    for verb in (client.revoke_lease, client.refresh_lease, client.get_lease_info):
        with pytest.raises(LeaseNotFoundError):
            await verb(999_999)


async def test_a_lease_that_nobody_renews_ends(client: Client, prefix: str) -> None:
    lease = await client.lease(2)
    await client.put(prefix, "x", lease=lease.id)
    async with client.watch(prefix) as watch, asyncio.timeout(8):
        batch = await anext(watch)
    assert batch.events[0].kind == "delete"
    with pytest.raises(LeaseNotFoundError):
        await client.get_lease_info(lease.id)


async def test_refreshing_gives_a_lease_its_whole_time(client: Client) -> None:
    lease = await client.lease(30)
    assert await client.refresh_lease(lease.id) == lease.ttl
    await client.revoke_lease(lease.id)


async def test_a_held_lease_outlives_its_time_and_ends_with_its_block(
    client: Client, prefix: str
) -> None:
    async with client.held_lease(1) as lease:
        await client.put(prefix, "x", lease=lease.id)
        granted = (await client.get_lease_info(lease.id)).granted_ttl
        assert granted == 2
        await asyncio.sleep(granted + 0.3)
        assert not lease.lost.is_set()
        assert lease.remaining_seconds > 0.5
        assert await client.get(prefix) is not None
    assert await client.get(prefix) is None


async def test_a_lease_that_is_kept_outlives_its_block(client: Client, prefix: str) -> None:
    async with client.held_lease(5, keep=True) as lease:
        await client.put(prefix, "x", lease=lease.id)
    assert await client.get(prefix) is not None
    await client.revoke_lease(lease.id)


async def test_a_lease_revoked_by_somebody_else_is_lost_at_the_next_renewal(
    client: Client,
) -> None:
    async with client.held_lease(1.5) as lease:
        await client.revoke_lease(lease.id)
        async with asyncio.timeout(2):
            await lease.lost.wait()


@OWN_ONLY
async def test_a_lease_is_renewed_over_a_lost_link(server: KVProcess, prefix: str) -> None:
    async with (
        relay_to(server.port) as relay,
        client_of(relay) as client,
        client.held_lease(1.5) as lease,
    ):
        await client.put(prefix, "x", lease=lease.id)
        for _ in range(3):
            relay.cut()
            await asyncio.sleep(0.3)
            relay.mend()
            await asyncio.sleep(0.5)
        assert not lease.lost.is_set()
        assert await client.get(prefix) is not None


@OWN_ONLY
async def test_a_lease_is_renewed_over_a_killed_server(own_server: KVProcess) -> None:
    async with client_of(own_server) as client, client.held_lease(6) as lease:
        await asyncio.to_thread(own_server.kill)
        await asyncio.to_thread(own_server.start)
        await renewed(lease)
        assert (await client.get_lease_info(lease.id)).granted_ttl == 8


async def renewed(lease: HeldLease) -> None:
    """Return when *lease* was renewed once more: only that gives it time. Fails if it is lost."""
    left = lease.remaining_seconds
    while lease.remaining_seconds <= left:
        assert not lease.lost.is_set()
        left = lease.remaining_seconds
        await asyncio.sleep(0.02)


@OWN_ONLY
async def test_a_lease_is_lost_when_nobody_answered_for_its_time(server: KVProcess) -> None:
    async with (
        relay_to(server.port) as relay,
        client_of(relay) as client,
        client.held_lease(1) as lease,
    ):
        relay.silence()
        async with asyncio.timeout(2.5):
            await lease.lost.wait()
        assert lease.remaining_seconds <= 0
        relay.mend()


async def test_cancelling_the_block_gives_the_lease_up(client: Client) -> None:
    held: list[int] = []

    async def hold() -> None:
        async with client.held_lease(5) as lease:
            held.append(lease.id)
            await asyncio.sleep(60)

    task = asyncio.create_task(hold())
    while not held:
        await asyncio.sleep(0.005)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    with pytest.raises(LeaseNotFoundError):
        await client.get_lease_info(held[0])


HOLDER = """
import asyncio, sys
from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.rpc.channel import dialer_for

async def main() -> None:
    client = Client([dialer_for(sys.argv[1])], clock=SystemClock())
    async with client, client.held_lease(1.5) as lease:
        await client.put(sys.argv[2], "x", lease=lease.id)
        print("held", flush=True)
        await lease.lost.wait()
        print("lost", flush=True)

asyncio.run(main())
"""


@OWN_ONLY
async def test_a_process_stalled_for_less_than_its_ttl_keeps_the_lease_and_for_longer_loses_it(
    server: KVProcess, client: Client, prefix: str
) -> None:
    with holder(server, prefix) as process:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == b"held\n"
        async with client.watch(prefix) as watch:
            # Stalled at another moment between two renewals each time, for just under the TTL.
            for pause in (0.2, 0.45):
                await asyncio.sleep(pause)
                os.kill(process.pid, signal.SIGSTOP)
                await asyncio.sleep(1.4)
                os.kill(process.pid, signal.SIGCONT)
            await asyncio.sleep(0.5)
            assert (await client.get(prefix)) is not None
            os.kill(process.pid, signal.SIGSTOP)
            async with asyncio.timeout(8):
                batch = await anext(watch)
            assert batch.events[0].kind == "delete"
        os.kill(process.pid, signal.SIGCONT)
        async with asyncio.timeout(0.5):
            assert await asyncio.to_thread(process.stdout.readline) == b"lost\n"


@contextlib.contextmanager
def holder(server: KVProcess, key: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, server.url, key], stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
