"""The relay as a process, the way sshd runs it."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ssh.conftest import EchoService

pytestmark = pytest.mark.integration


async def start(path: Path) -> asyncio.subprocess.Process:
    script = f"import sys; from c101.agents.ssh.relay import relay; sys.exit(relay({str(path)!r}))"
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        script,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def test_what_goes_in_comes_back_and_the_end_is_passed_on(echo: EchoService) -> None:
    process = await start(echo.path)
    sent = bytes(range(256)) * 40_000
    out, err = await process.communicate(sent)
    assert (process.returncode, err, out == sent) == (0, b"", True)


async def test_it_ends_with_the_service_though_its_input_is_open(tmp_path: Path) -> None:
    async def say_goodbye(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    path = tmp_path / "s.sock"
    async with await asyncio.start_unix_server(say_goodbye, path):
        process = await start(path)
        assert process.stdout
        assert await process.stdout.read() == b"bye"
        assert await process.wait() == 0
        assert process.stdin
        process.stdin.close()


async def test_without_a_service_it_says_so_and_exits_5(tmp_path: Path) -> None:
    process = await start(tmp_path / "nothing.sock")
    _, err = await process.communicate(b"")
    assert process.returncode == 5
    assert b"nobody answers on" in err
    assert b"Traceback" not in err


def test_it_imports_no_event_loop_and_no_ssh() -> None:
    script = (
        "import sys, c101.agents.ssh.relay;"
        "sys.exit(bool({'asyncio', 'asyncssh', 'logging'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
