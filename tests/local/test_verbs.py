"""``up``, ``status``, ``down``, ``kill`` and ``start``, against real processes."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from c101.agents.local import cli
from c101.agents.local.layout import Layout
from c101.agents.local.settings import settle
from c101.core.config import resolve
from c101.core.errors import C101Error, ConfigError, LinkError, NotFoundError
from tests.local.conftest import belonging_to

pytestmark = pytest.mark.integration


async def test_up_returns_the_document_once_all_have_joined_and_down_ends_everything(
    directory: Path, state_home: Path
) -> None:
    document = await cli.up(directory, machines=2)
    assert document["lease_ttl_s"] == 3
    assert [one["name"] for one in document["machines"]] == ["m1", "m2"]
    for pid in (
        document["kv"]["pid"],
        document["engine"]["pid"],
        *(one["agent_pid"] for one in document["machines"]),
    ):
        os.kill(pid, 0)
    for one in document["machines"]:
        assert Path(one["socket_dir"], "agent-admin.sock").is_socket()
    assert await cli.status(directory) == document
    # a second up finds it running
    assert await cli.up(directory, machines=2) == document
    written = json.loads((state_home / "c101" / "clusters" / "cluster.json").read_text())
    assert written["dir"] == str(directory)
    address = resolve(kv=None, cluster="cluster", environ=os.environ)
    assert address.kv == document["kv"]["unix"]

    await cli.down(directory)
    assert belonging_to(directory) == []
    assert not (state_home / "c101" / "clusters" / "cluster.json").exists()
    with pytest.raises(LinkError):
        await cli.status(directory)
    with pytest.raises(LinkError):
        await cli.down(directory)


async def test_a_cluster_that_comes_up_again_is_the_same_one(directory: Path) -> None:
    first = await cli.up(directory, machines=1, metadata=["disk=nvme,zone=a", "m2:disk=tape"])
    await cli.down(directory)
    again = await cli.up(directory)
    assert [one["id"] for one in again["machines"]] == [one["id"] for one in first["machines"]]
    assert again["kv"]["http"] == first["kv"]["http"]
    assert again["machines"][0]["ssh_port"] == first["machines"][0]["ssh_port"]
    await cli.down(directory)
    more = await cli.up(directory, machines=2, metadata=["m2:disk=tape"])
    assert more["machines"][0]["id"] == first["machines"][0]["id"]
    settings = json.loads((directory / "settings.json").read_text())
    assert [one["metadata"] for one in settings["machines"]] == [
        {"disk": "nvme", "zone": "a"},
        {"disk": "tape"},
    ]


async def test_two_clusters_run_beside_each_other_though_called_alike(
    tmp_path: Path, state_home: Path
) -> None:
    folders = [tmp_path / "a" / "demo", tmp_path / "b" / "demo"]
    try:
        one, other = await asyncio.gather(*(cli.up(folder, machines=1) for folder in folders))
        assert one["kv"]["http"] != other["kv"]["http"]
        written = list((state_home / "c101" / "clusters").glob("*.json"))
        assert {json.loads(path.read_text())["dir"] for path in written} == set(map(str, folders))
    finally:
        for folder in folders:
            await cli.down(folder)
    assert list((state_home / "c101" / "clusters").glob("*.json")) == []


async def test_what_kill_takes_down_stays_down_until_start(directory: Path) -> None:
    await cli.up(directory, machines=1)
    for what in ("m1", "kv", "engine"):
        await cli.kill(directory, what)
    await asyncio.sleep(0.5)
    document = await cli.status(directory)
    assert (document["kv"]["pid"], document["engine"]["pid"]) == (None, None)
    assert document["machines"][0]["agent_pid"] is None
    assert document["machines"][0]["power"] == "off"
    for what in ("kv", "engine", "m1"):
        await cli.start(directory, what)
    async with asyncio.timeout(10):
        while True:
            document = await cli.status(directory)
            if document["kv"]["pid"] and document["machines"][0]["agent_pid"]:
                break
            await asyncio.sleep(0.05)


async def test_what_dies_by_itself_is_started_again(directory: Path) -> None:
    before = await cli.up(directory, machines=1)
    os.kill(before["engine"]["pid"], 9)
    await cli.kill(directory, "m1", agent_only=True)
    async with asyncio.timeout(10):
        while True:
            now = await cli.status(directory)
            pids = now["engine"]["pid"], now["machines"][0]["agent_pid"]
            if all(pids) and not {*pids} & {
                before["engine"]["pid"],
                before["machines"][0]["agent_pid"],
            }:
                break
            await asyncio.sleep(0.05)


async def test_orders_for_what_is_not_there_change_nothing(directory: Path) -> None:
    with pytest.raises(LinkError):
        await cli.kill(directory, "m1")
    before = await cli.up(directory, machines=1)
    with pytest.raises(NotFoundError, match="m9") as caught:
        await cli.kill(directory, "m9")
    assert caught.value.hint == "kv, engine, m1"
    with pytest.raises(NotFoundError):
        await cli.start(directory, "../etc")
    with pytest.raises(C101Error, match="no agent"):
        await cli.kill(directory, "kv", agent_only=True)
    assert await cli.status(directory) == before


@pytest.mark.parametrize("machines", [0, -1, 65])
async def test_a_number_of_machines_out_of_bounds_is_refused(
    machines: int, directory: Path
) -> None:
    with pytest.raises(ConfigError, match="1 to 64 machines"):
        await cli.up(directory, machines=machines)
    assert belonging_to(directory) == []


@pytest.mark.parametrize("metadata", ["disk", "=x", "disk=", "m1:disk", "a=b c", "a=b,,c=d"])
async def test_malformed_metadata_is_refused(metadata: str, directory: Path) -> None:
    with pytest.raises(ConfigError, match="metadata is"):
        await cli.up(directory, machines=1, metadata=[metadata])


async def test_a_directory_that_cannot_be_made_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"Not a directory|exists"):
        await cli.up(tmp_path / "file" / "cluster")
    with pytest.raises(ConfigError):
        await cli.up(tmp_path / "file")


async def test_settings_that_are_damaged_are_said_so(directory: Path) -> None:
    directory.mkdir()
    (directory / "settings.json").write_text('{"kv_port": "many"}')
    with pytest.raises(ConfigError, match=r"settings\.json.*kv_port"):
        await cli.up(directory)


async def test_a_port_of_the_kv_that_is_taken_is_said_so(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port} of 127.0.0.1 is taken"):
            await cli.up(directory, machines=1, kv_port=port)


async def test_a_process_that_does_not_start_fails_up_in_its_own_words(directory: Path) -> None:
    (directory / "kv").mkdir(parents=True)
    (directory / "kv" / "kv.sqlite").write_bytes(b"not a database" * 100)
    for name in ("c101.db", "kv.db", "db"):
        (directory / "kv" / name).mkdir()
    with pytest.raises(ConfigError, match=r"kv does not start: ."):
        await cli.up(directory, machines=1)
    assert belonging_to(directory) == []


async def test_a_directory_with_a_long_name_has_its_sockets_elsewhere(tmp_path: Path) -> None:
    long = tmp_path / ("d" * 60) / ("e" * 60)
    document = await cli.up(long, machines=1)
    try:
        sockets = Path(document["machines"][0]["socket_dir"]).parent
        assert not sockets.is_relative_to(long)
        assert sockets.stat().st_mode & 0o777 == 0o700
        assert (await cli.status(long))["dir"] == str(long)
    finally:
        await cli.down(long)
    assert not sockets.exists()


async def test_what_is_refused_leaves_no_directory(directory: Path) -> None:
    with pytest.raises(ConfigError):
        await cli.up(directory, machines=0)
    assert not directory.exists()
    assert not Layout.of(directory).sockets.exists()


async def test_up_again_takes_as_many_machines_as_there_are(directory: Path) -> None:
    await cli.up(directory, machines=2)
    await cli.down(directory)
    argv = [sys.executable, "-m", "c101.tui.ctl.main", "local", "up", "--dir", str(directory)]
    done = await asyncio.to_thread(
        subprocess.run, argv, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len((await cli.status(directory))["machines"]) == 2


def test_ports_are_kept_and_none_is_given_twice() -> None:
    fresh = settle(None, machines=60, kv_port=None)
    ports = [fresh.kv_port, fresh.kv_ssh_port, *(one.ssh_port for one in fresh.machines)]
    assert len(set(ports)) == 62
    assert settle(fresh, machines=None, kv_port=None) == fresh
    twice = replace(fresh, kv_ssh_port=fresh.kv_port)
    assert settle(twice, machines=None, kv_port=None).kv_ssh_port != fresh.kv_port
    with socket.create_server(("127.0.0.1", fresh.machines[0].ssh_port)):
        moved = settle(fresh, machines=None, kv_port=None)
    assert moved.machines[0].ssh_port != fresh.machines[0].ssh_port
    assert moved.machines[1:] == fresh.machines[1:]
    with pytest.raises(ConfigError, match="has 60 machines, not 59"):
        settle(fresh, machines=59, kv_port=None)
