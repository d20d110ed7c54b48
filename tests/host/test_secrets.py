"""Secrets as an agent keeps them: fetched from a real KV, for root alone, as long as need be."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from c101.agents.host.secrets import Secrets
from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.kvserver.server import KvServer
from c101.core.registry.keyspace import Keyspace
from c101.core.rpc.dial import UnixDialer

UNIT = "web@a\\x2db.service"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with KvServer(tmp_path / "data", SystemClock()) as server:
        path = tmp_path / "kv-admin.sock"
        await server.listen_unix(path)
        async with Client([UnixDialer(path)], clock=SystemClock(), fails_fast=True) as one:
            yield one


@pytest.fixture
def secrets(client: Client, tmp_path: Path) -> Secrets:
    return Secrets(client, Keyspace(), SystemClock(), tmp_path / "secrets")


def files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "secrets").rglob("*") if path.is_file()]


async def test_what_a_unit_names_is_there_for_its_owner_alone(
    client: Client, secrets: Secrets, tmp_path: Path
) -> None:
    value = b"\0binary\xff\n"
    await client.put(Keyspace().secret("token"), value)
    assert await secrets.lacking({UNIT: ("token",)}) == {}
    (path,) = files(tmp_path)
    assert path.read_bytes() == value
    for one in (path, path.parent, path.parent.parent):
        assert one.stat().st_mode & 0o077 == 0
    said = secrets.credentials({UNIT: ("token",)})[UNIT]
    assert said == f"[Service]\nLoadCredential=token:{path}\n"


async def test_a_secret_that_is_not_kept_is_waited_for(
    client: Client, secrets: Secrets, tmp_path: Path
) -> None:
    await client.put(Keyspace().secret("one"), "1")
    wanted = {UNIT: ("one", "two"), "b.service": ("one",)}
    lacking = await secrets.lacking(wanted)
    assert list(lacking) == [UNIT]
    assert "it waits for the secret two: c101ctl secret set two" in lacking[UNIT]
    await client.put(Keyspace().secret("two"), "2")
    assert await secrets.lacking(wanted) == {}
    assert sorted(path.read_text() for path in files(tmp_path)) == ["1", "1", "2"]


async def test_a_value_that_changed_is_there_at_the_next_start_and_not_before(
    client: Client, secrets: Secrets, tmp_path: Path
) -> None:
    await client.put(Keyspace().secret("token"), "old")
    await secrets.lacking({UNIT: ("token",)})
    await client.put(Keyspace().secret("token"), "new")
    assert await secrets.lacking({UNIT: ("token",)}) == {}
    assert [path.read_text() for path in files(tmp_path)] == ["old"]
    assert await secrets.fetch(UNIT, ("token",)) == ""
    assert [path.read_text() for path in files(tmp_path)] == ["new"]


async def test_what_no_unit_here_wants_is_gone(
    client: Client, secrets: Secrets, tmp_path: Path
) -> None:
    secrets.forget(())
    await client.put(Keyspace().secret("token"), "1")
    await secrets.lacking({UNIT: ("token",), "b.service": ("token",)})
    secrets.forget({"b.service"})
    assert len(files(tmp_path)) == 1
    assert await secrets.lacking({"b.service": ("token",)}) == {}


async def test_a_place_that_cannot_be_written_to_is_told_of(client: Client, tmp_path: Path) -> None:
    await client.put(Keyspace().secret("token"), "1")
    (tmp_path / "file").write_text("")
    secrets = Secrets(client, Keyspace(), SystemClock(), tmp_path / "file" / "secrets")
    lacking = await secrets.lacking({UNIT: ("token",)})
    assert "cannot be kept" in lacking[UNIT]
