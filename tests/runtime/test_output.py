"""What units print, whatever it is and however much, becomes journal entries."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from c101.agents.runtime.process.keeper.output import LINE_BYTES_MAX
from c101.agents.runtime.process.unit_manager import ProcessUnitManager
from c101.agents.runtime.unit_manager import JournalQuery
from c101.core.clock import SystemClock
from tests.runtime.machine import Machine


async def messages(machine: Machine, command: str, directives: str = "") -> list[bytes]:
    await machine.run("a.service", f"Type=oneshot\nExecStart={command}\n{directives}")
    await machine.until_rest("a.service")
    return [e.message for e in await machine.entries("a.service") if e.identifier != "c101"]


async def test_levels_at_the_head_of_a_line_are_taken(machine: Machine) -> None:
    command = '/bin/sh -c \'echo "<3>bad"; echo "<31>facility"; echo "<x>no"; echo plain >&2\''
    await messages(machine, command)
    found = [(e.priority, e.message) for e in await machine.entries() if e.identifier == "sh"]
    assert found == [(3, b"bad"), (7, b"facility"), (6, b"<x>no"), (6, b"plain")]


async def test_levels_are_left_alone_where_the_unit_says_so(machine: Machine) -> None:
    directives = "SyslogLevelPrefix=no\nSyslogLevel=debug\nSyslogIdentifier=me"
    await messages(machine, "/bin/echo <3>bad", directives)
    (entry,) = [e for e in await machine.entries() if e.identifier == "me"]
    assert (entry.priority, entry.message) == (7, b"<3>bad")


async def test_any_bytes_come_through_and_a_last_line_needs_no_end(machine: Machine) -> None:
    command = r"/usr/bin/printf 'a\\0b\\n\\377\\376\\n\\n\\033[31mred\\nlast'"
    assert await messages(machine, command) == [b"a\0b", b"\xff\xfe", b"\x1b[31mred", b"last"]


async def test_a_huge_line_comes_in_pieces(machine: Machine) -> None:
    size = 2 * LINE_BYTES_MAX + 100
    found = await messages(
        machine, f"/bin/sh -c 'head -c {size} /dev/zero | tr \"\\\\\\\\000\" x; echo'"
    )
    assert [len(message) for message in found] == [LINE_BYTES_MAX, LINE_BYTES_MAX, 100]


async def test_the_last_words_stand_before_the_exit(machine: Machine) -> None:
    await machine.run("a.service", "ExecStart=/bin/sh -c 'seq 5000; exit 1'")
    await machine.until_state("a.service", "failed", "failed")
    entries = [entry.message for entry in await machine.entries("a.service")]
    assert entries.index(b"5000") < entries.index(
        b"a.service: Main process exited, code=exited, status=1/FAILURE"
    )


async def test_a_line_is_read_by_a_follower_at_once(machine: Machine, tmp_path: Path) -> None:
    """The median of a line's way from the unit to a reader is far below 50 ms."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    await machine.run("a.service", f"ExecStart=/bin/sh -c 'exec 3<>{fifo}; echo up; cat <&3'")
    await machine.until_printed("a.service", "up")
    loop = asyncio.get_running_loop()
    delays = []
    query = JournalQuery(units=("a.service",), follow=True)
    async with machine.units.journal(query) as chunks:
        async for chunk in chunks:
            if chunk.caught_up:
                break
        for number in range(15):
            await asyncio.sleep(0.03)
            sent = loop.time()
            fifo.write_text(f"{number}\n")
            async for chunk in chunks:
                if chunk.entries:
                    delays.append(loop.time() - sent)
                    break
    assert sorted(delays)[7] < 0.05


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Give a directory with room for little."""
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(mount)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield mount
    subprocess.run(["umount", "--lazy", str(mount)], check=True)


async def test_a_full_disk_stops_no_unit_and_is_owned_up_to(
    small_disk: Path, machine_id: str, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    directory = small_disk / "m"
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        manager = ProcessUnitManager(directory, machine_id=machine_id, clock=clock)
        units = await stack.enter_async_context(manager)
        stack.push_async_callback((machine := Machine(units)).close)
        command = f"seq 100000; until [ -e {go} ]; do sleep 0.05; done; echo free; exec sleep 1000"
        await machine.run("a.service", "ExecStart=/bin/sh -c 'exec sleep 1000'")
        await machine.until_state("a.service", "active", "running")
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 700_000)
        await machine.run("b.service", f"ExecStart=/bin/sh -c '{command}'")
        await machine.until_state("b.service", "active", "running")
        await asyncio.sleep(0.5)
        ballast.unlink()
        go.touch()
        await machine.until_printed("b.service", "free")
        numbers = [int(line) for line in await machine.printed("b.service") if line.isdigit()]
        lost = [line for line in await machine.said("b.service") if "messages lost" in line]
        assert "No space left on device" in lost[0]
        assert len(numbers) + sum(int(line.split()[0]) for line in lost) == 100_000
        assert numbers == sorted(set(numbers))
        assert (await machine.now("b.service")).active == "active"
