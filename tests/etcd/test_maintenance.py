"""Looking after members: alarms, hashes, space, snapshots."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from c101.core.errors import ConfigError, LinkError
from c101.core.etcd.client import Client
from c101.core.etcd.errors import CompactedError, FutureRevisionError, KVError, NoSpaceError
from c101.core.etcd.maintenance import Alarm, AlarmKind
from c101.core.etcd.snapshot import SnapshotError, save
from c101.core.rpc.status import Code
from tests.etcd.conftest import client_of
from tests.etcd.relay import relay_to
from tests.processes import EtcdProcess, KVProcess, running

pytestmark = pytest.mark.integration

#: etcd's own, whichever server is under test: it is asked what a snapshot holds.
ETCDCTL = {"ETCDCTL_API": "3", "PATH": "/usr/bin:/bin"}


async def test_status_says_who_leads_and_how_much_is_on_disk(
    client: Client, server: KVProcess
) -> None:
    status = await client.maintenance.status(endpoint=server.url)
    assert status.leader == status.member_id != 0
    assert status.db_size >= status.db_size_in_use > 0
    assert status.raft_term > 0
    assert status.errors == ()
    with pytest.raises(ConfigError, match="no endpoint of this client"):
        await client.maintenance.status(endpoint="http://127.0.0.1:1")


async def test_hashes_of_one_revision_are_equal_whatever_came_after(client: Client) -> None:
    written = await client.put("/hash", "1")
    first = await client.maintenance.hash_kv(written.revision)
    await client.put("/hash", "2")
    assert await client.maintenance.hash_kv(written.revision) == first
    latest = await client.maintenance.hash_kv()
    assert latest.hash != first.hash
    assert latest.revision == written.revision + 1
    with pytest.raises(FutureRevisionError):
        await client.maintenance.hash_kv(written.revision + 100)
    await client.compact(written.revision + 1)
    with pytest.raises(CompactedError) as refused:
        await client.maintenance.hash_kv(written.revision)
    assert refused.value.revision == written.revision


async def test_a_member_is_defragmented_and_its_file_hashed(client: Client) -> None:
    await client.put("/defragment", "1")
    await client.within(30).maintenance.defragment()
    assert await client.maintenance.hash() >= 0
    assert await client.get("/defragment") is not None


async def test_an_alarm_stops_writes_until_it_is_disarmed(own_server: KVProcess) -> None:
    async with client_of(own_server) as client:
        member = (await client.status()).member_id
        raised = await client.maintenance.create_alarm(AlarmKind.NOSPACE, member)
        assert raised == [Alarm(member_id=member, kind=AlarmKind.NOSPACE)]
        with pytest.raises(NoSpaceError):
            await client.put("/k", "x")
        assert await client.get("/k") is None
        (health,) = await client.cluster.health()
        assert not health.healthy
        assert "NOSPACE" in (health.problem or "")
        assert await client.maintenance.disarm_alarm() == raised
        assert await client.maintenance.disarm_alarm() == []
        await client.put("/k", "x")


async def test_a_saved_snapshot_is_one_that_etcd_restores(
    own_server: KVProcess, tmp_path: Path
) -> None:
    path = tmp_path / "backup.db"
    async with client_of(own_server) as client:
        for number in range(300):
            await client.put(f"/s/{number}", "v" * 1000)
        size = await client.maintenance.save_snapshot(path)
        await client.put("/s/0", "later")
    assert path.stat().st_size == size
    assert path.stat().st_mode & 0o777 == 0o600
    assert not path.with_name("backup.db.part").exists()
    restored = tmp_path / "restored"
    done = await asyncio.to_thread(
        subprocess.run,
        ["etcdctl", "snapshot", "restore", str(path), f"--data-dir={restored / 'data'}"],
        env=ETCDCTL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with running(EtcdProcess, restored) as server:
        async with client_of(server) as client:
            found = await client.get_prefix("/s/")
    assert found.count == 300
    assert {kv.value for kv in found.kvs} == {b"v" * 1000}


async def test_a_snapshot_that_breaks_off_leaves_no_file(
    own_server: KVProcess, tmp_path: Path
) -> None:
    path = tmp_path / "backup.db"
    path.write_text("the one before")
    async with client_of(own_server) as near:
        # Random, lest it fit into what is on the way.
        for number in range(30):
            await near.put(f"/s/{number}", os.urandom(1 << 20))
    async with relay_to(own_server.port) as relay, client_of(relay) as client:
        pieces = client.maintenance.snapshot()
        await anext(pieces)
        relay.cut()
        with pytest.raises(LinkError):
            await drain(pieces)
        relay.mend()

        async def cut_short() -> AsyncIterator[bytes]:
            async for piece in client.maintenance.snapshot():
                yield piece
                relay.cut()

        with pytest.raises(LinkError):
            await save(cut_short(), path)
    assert path.read_text() == "the one before"
    assert [file.name for file in tmp_path.glob("backup*")] == ["backup.db"]


async def drain(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass


async def test_a_snapshot_that_came_damaged_is_not_kept(tmp_path: Path) -> None:
    async def damaged() -> AsyncIterator[bytes]:
        yield b"x" * 4096
        yield bytes(32)

    path = tmp_path / "backup.db"
    with pytest.raises(SnapshotError, match="damaged"):
        await save(damaged(), path)
    with pytest.raises(SnapshotError, match="cannot write"):
        await save(damaged(), tmp_path / "nowhere" / "backup.db")
    assert list(tmp_path.glob("backup*")) == []


async def test_members_cannot_be_changed_where_there_is_only_one(client: Client) -> None:
    with pytest.raises(KVError) as caught:
        await client.cluster.remove_member(4711)
    assert caught.value.status in (Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.UNIMPLEMENTED)
