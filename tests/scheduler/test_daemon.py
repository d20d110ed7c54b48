"""``c101-core engine`` as a process."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import KVProcess, running_kv
from tests.scheduler.world import World

pytestmark = pytest.mark.integration


def engine(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "c101.core.daemon", "engine", *arguments],
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_until(process: "subprocess.Popen[str]", text: str) -> str:
    """Return what *process* says up to the line with *text*, or to its end."""
    assert process.stderr is not None
    said = ""
    while text not in said and (line := process.stderr.readline()):
        said += line
    return said


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KVProcess]:
    with running_kv(tmp_path) as server:
        yield server


async def test_it_schedules_over_a_unix_socket_and_stops_in_good_order(server: KVProcess) -> None:
    process = engine("--kv", f"unix://{server.unix}", "--name", "e1")
    async with World(server.url) as world:
        await world.join("m1")
        await world.start("a.service")
        state = await world.placed("a.service", "m1")
        assert state.leader == "e1"
        # Whoever watches may hear of a placement before the engine that wrote it does.
        before = await asyncio.to_thread(lines_until, process, "unit scheduled")
        process.send_signal(signal.SIGTERM)
        _, after = await asyncio.to_thread(process.communicate)
        said = before + after
        assert process.returncode == 0
        assert "engine leads" in said
        assert "unit scheduled unit=a.service machine_id=m1 reason=the only feasible" in said
        assert "Traceback" not in said
        # It was given up at once.
        await world.until(lambda state: not state.leader)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--kv", "ssh://host/kv-admin"], "ssh://host/kv-admin"),
        (["--kv", "nonsense"], "nonsense"),
        (["--kv", "http://127.0.0.1:1", "--prefix", "x"], "--prefix: a prefix begins"),
        ([], "--kv"),
    ],
)
def test_what_is_wrong_with_its_options_is_one_clear_line(
    arguments: list[str], reason: str
) -> None:
    process = engine(*arguments)
    _, said = process.communicate()
    assert process.returncode == 2
    assert reason in said
    assert "Traceback" not in said
