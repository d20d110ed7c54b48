"""A client of a real cluster: members come and go, and what was acknowledged stays."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from c101.core.clock import SystemClock
from c101.core.errors import ConfigError, DeadlineExceededError, LinkError
from c101.core.etcd import connect
from c101.core.etcd.client import Client
from c101.core.etcd.errors import KVError, UnavailableError
from c101.core.etcd.events import WatchEvent
from c101.core.etcd.txn import Put, create_revision
from c101.core.etcd.watch import Watch
from c101.core.rpc.channel import dialer_for
from tests.etcd.etcd_cluster import EtcdCluster, running_cluster
from tests.etcd.relay import relay_to

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

#: How long a cluster that has its quorum may take to serve again, on a busy machine.
RECOVERY_SECONDS_MAX = 60.0


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[EtcdCluster]:
    with running_cluster(tmp_path) as cluster:
        yield cluster


@pytest.fixture
async def client(cluster: EtcdCluster) -> AsyncIterator[Client]:
    async with cluster.client() as client:
        yield client


class Load:
    """Writers and readers that go on whatever happens, and remember what they were told."""

    def __init__(self, client: Client, prefix: str) -> None:
        self.acknowledged: dict[str, int] = {}
        self.unknown: Counter[str] = Counter()
        self.reads = 0
        self._client = client
        self._prefix = prefix
        self._number = 0
        self._ended = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Load"]:
        """Run until the block ends; a read that fails fails the test."""
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(self._write())
            for _ in range(2):
                group.create_task(self._read())
            try:
                yield self
            finally:
                self._ended = True

    async def more(self, count: int) -> None:
        """Return when *count* more writes were acknowledged, and as many reads answered."""
        writes, reads = len(self.acknowledged) + count, self.reads + count
        await until(lambda: len(self.acknowledged) >= writes and self.reads >= reads)

    async def _write(self) -> None:
        while not self._ended:
            self._number += 1
            key = f"{self._prefix}{self._number:06}"
            try:
                written = await self._client.put(key, "x")
            except (LinkError, DeadlineExceededError) as exc:
                # It may have been carried out, and is not asked again.
                self.unknown[type(exc).__name__] += 1
            else:
                self.acknowledged[key] = written.revision

    async def _read(self) -> None:
        while not self._ended:
            await self._client.get_prefix(self._prefix, count_only=True)
            self.reads += 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(RECOVERY_SECONDS_MAX):
        while not condition():
            await asyncio.sleep(0.01)


async def collected(watch: Watch, last_key: str) -> list[WatchEvent]:
    """Return every event up to the one on *last_key*."""
    events: list[WatchEvent] = []
    async for batch in watch:
        events += batch.events
        if events[-1].kv.key == last_key.encode():
            break
    return events


async def check(client: Client, load: Load, prefix: str, events: list[WatchEvent]) -> None:
    """Hold what was acknowledged and seen against what the cluster has."""
    kept = {kv.key.decode(): kv.mod_revision async for kv in client.scan_prefix(prefix)}
    lost = {key for key, revision in load.acknowledged.items() if kept.get(key) != revision}
    assert lost == set(), "no acknowledged write is lost"
    seen = [(event.kv.key.decode(), event.kv.mod_revision) for event in events]
    assert seen == sorted(kept.items(), key=lambda item: item[1]), "no gap, no repeat, in order"


async def test_the_leader_is_killed_under_load(client: Client, cluster: EtcdCluster) -> None:
    load = Load(client, "/load/")
    async with (
        client.held_lease(5) as lease,
        client.watch_prefix("/load/", start_revision=1) as watch,
    ):
        collecting = asyncio.create_task(collected(watch, "/load/~"))
        await client.put("/leased", "x", lease=lease.id)
        async with load.running():
            await load.more(100)
            for _ in range(2):
                leader = await cluster.leader(client)
                await asyncio.to_thread(leader.kill)
                await load.more(100)
                await asyncio.to_thread(cluster.start)
            await load.more(100)
        await written(client, "/load/~")
        async with asyncio.timeout(RECOVERY_SECONDS_MAX):
            events = await collecting
        load.acknowledged["/load/~"] = events[-1].kv.mod_revision
        await check(client, load, "/load/", events)
        assert not lease.lost.is_set(), "the lease lives on"
        assert await client.get("/leased") is not None


async def test_the_member_in_use_stalls_under_load(client: Client, cluster: EtcdCluster) -> None:
    load = Load(client.within(4), "/load/")
    async with client.watch_prefix("/load/", start_revision=1) as watch:
        collecting = asyncio.create_task(collected(watch, "/load/~"))
        async with load.running():
            await load.more(50)
            used = next(m for m in cluster.members if m.url == client.cluster.endpoints[0])
            used.pause()
            await load.more(100)
            used.resume()
            await load.more(50)
        await written(client, "/load/~")
        async with asyncio.timeout(RECOVERY_SECONDS_MAX):
            events = await collecting
        load.acknowledged["/load/~"] = events[-1].kv.mod_revision
        await check(client, load, "/load/", events)


async def test_without_a_quorum_everything_says_so_in_time_and_resumes_with_it(
    client: Client, cluster: EtcdCluster
) -> None:
    quick = client.within(3)
    async with client.held_lease(60) as lease, client.watch_prefix("/q/") as watch:
        await client.put("/q/1", "x")
        assert (await anext(watch)).events[0].kv.key == b"/q/1"
        for member in cluster.members[:2]:
            await asyncio.to_thread(member.kill)
        await until_no_leader(quick)
        for verb in (quick.put("/q/2", "x"), quick.get("/q/1"), quick.lease(10)):
            before = time.monotonic()
            with pytest.raises(LinkError, match=r"no leader|request timed out") as caught:
                await verb
            assert time.monotonic() - before < 3 + 3
            assert "more than half of the members" in (caught.value.hint or "")
        stale = await quick.get("/q/1", serializable=True)
        assert stale is not None, "what a member has by itself it still says"
        health = await quick.cluster.health()
        assert sorted(found.problem is None for found in health) == [False] * 3
        assert "it has no leader" in {found.problem for found in health}
        await asyncio.to_thread(cluster.start)
        await written(client, "/q/3")
        async with asyncio.timeout(RECOVERY_SECONDS_MAX):
            seen = [event.kv.key async for batch in watch_until(watch, b"/q/3") for event in batch]
        kept = await client.get_prefix("/q/")
        assert seen == [kv.key for kv in kept.kvs if kv.key != b"/q/1"]
        assert not lease.lost.is_set()
        assert all(found.healthy for found in await client.cluster.health())


async def until_no_leader(client: Client) -> None:
    """Return when the member that is left has noticed; whatever is asked before ends in time."""
    async with asyncio.timeout(RECOVERY_SECONDS_MAX):
        while True:
            before = time.monotonic()
            try:
                await client.put("/q/0", "x")
            except UnavailableError as exc:
                if "no leader" in str(exc):
                    return
            except (LinkError, DeadlineExceededError):
                assert time.monotonic() - before < 3 + 3


async def written(client: Client, key: str) -> None:
    """Write *key*, as often as it takes."""
    async with asyncio.timeout(RECOVERY_SECONDS_MAX):
        while True:
            try:
                await client.transaction(
                    compare=[create_revision(key).equals(0)],
                    success=[Put(key, "x")],
                    repeatable=True,
                )
            except (LinkError, DeadlineExceededError):
                continue
            return


async def watch_until(watch: Watch, last: bytes) -> AsyncIterator[tuple[WatchEvent, ...]]:
    async for batch in watch:
        yield batch.events
        if batch.events[-1].kv.key == last:
            return


async def test_a_slow_network_delays_each_request_and_not_their_number(
    cluster: EtcdCluster,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        relays = [await stack.enter_async_context(relay_to(m.port)) for m in cluster.members]
        for relay in relays:
            relay.delay_seconds = 0.1
        client = await stack.enter_async_context(connect([relay.url for relay in relays]))
        before = time.monotonic()
        await client.put("/slow", "x")
        assert time.monotonic() - before > 0.2
        async with client.held_lease(2) as lease, client.watch_prefix("/slow/") as watch:
            before = time.monotonic()
            await asyncio.gather(*(client.put(f"/slow/{number}", "x") for number in range(100)))
            # One after the other would take 20 s.
            assert time.monotonic() - before < 10
            seen = 0
            async with asyncio.timeout(30):
                while seen < 100:
                    seen += len((await anext(watch)).events)
            assert seen == 100
            assert not lease.lost.is_set()


async def test_endpoints_follow_the_members(cluster: EtcdCluster) -> None:
    first = cluster.members[0]
    async with connect(first.url) as client:
        assert client.cluster.endpoints == (first.url,)
        assert sorted(await client.cluster.sync()) == sorted(cluster.urls)
        async with client.watch("/k") as watch:
            await asyncio.to_thread(first.kill)
            await written(client, "/k")
            async with asyncio.timeout(RECOVERY_SECONDS_MAX):
                assert (await anext(watch)).events[0].kv.value == b"x"
        gone = next(m for m in await client.cluster.members() if first.url in m.client_urls)
        await client.within(RECOVERY_SECONDS_MAX).cluster.remove_member(gone.id)
        assert sorted(await client.cluster.sync()) == sorted(cluster.urls[1:])
        assert await client.get("/k") is not None


async def test_a_client_that_is_used_follows_the_members_by_itself(cluster: EtcdCluster) -> None:
    async with connect(cluster.urls[0], sync_seconds=0.05) as client:

        async def all_known() -> bool:
            await client.get("/k")
            return len(client.cluster.endpoints) == len(cluster.members)

        async with asyncio.timeout(20):
            while not await all_known():
                await asyncio.sleep(0.02)


async def test_who_was_given_dialers_says_how_members_are_dialled(client: Client) -> None:
    url = client.cluster.endpoints[0]
    async with Client([dialer_for(url)], clock=SystemClock()) as given:
        with pytest.raises(ConfigError, match="how to dial"):
            await given.cluster.sync()
        given.cluster.follow_members(dialer_for)
        assert len(await given.cluster.sync()) == 3


async def test_health_names_the_member_that_is_down(client: Client, cluster: EtcdCluster) -> None:
    assert [health.healthy for health in await client.cluster.health()] == [True] * 3
    down = cluster.members[1]
    await asyncio.to_thread(down.kill)
    ill = [health for health in await client.within(2).cluster.health() if not health.healthy]
    assert [health.endpoint for health in ill] == [down.url]
    assert "cannot reach" in (ill[0].problem or "")


async def test_leadership_is_moved_and_hashes_agree_everywhere(
    client: Client, cluster: EtcdCluster
) -> None:
    written = await client.put("/k", "x")
    leader = await cluster.leader(client)
    statuses = [health.status for health in await client.cluster.health()]
    other = next(s for s in statuses if s is not None and s.member_id != s.leader)
    await client.maintenance.move_leader(other.member_id)
    async with asyncio.timeout(RECOVERY_SECONDS_MAX):
        while await cluster.leader(client) is leader:
            await asyncio.sleep(0.05)
    # By a read of the latest each member has come at least so far.
    hashes = set()
    for url in cluster.urls:
        async with connect(url) as alone:
            await alone.get("/k")
            hashes.add((await alone.maintenance.hash_kv(written.revision)).hash)
    assert len(hashes) == 1


async def test_members_are_added_changed_and_removed(cluster: EtcdCluster) -> None:
    # A cluster takes no such change before all its members were connected for 5 s.
    async with cluster.client(timeout_seconds=RECOVERY_SECONDS_MAX) as client:
        await change_members(client)


async def change_members(client: Client) -> None:
    added = await client.cluster.add_member(["http://127.0.0.1:1"], is_learner=True)
    assert added.is_learner
    assert added.name == ""
    await client.cluster.update_member(added.id, ["http://127.0.0.1:2"])
    found = next(m for m in await client.cluster.members() if m.id == added.id)
    assert found.peer_urls == ("http://127.0.0.1:2",)
    with pytest.raises(KVError, match="in sync with leader"):
        await client.cluster.promote_member(added.id)
    assert len(await client.cluster.sync()) == 3, "a learner serves nobody"
    await client.cluster.remove_member(added.id)
    with pytest.raises(KVError, match="member not found"):
        await client.cluster.remove_member(added.id)
    assert len(await client.cluster.members()) == 3
