"""What every way to run a one-off command does; a test file gives the ``launcher``."""

import asyncio
import re
from collections.abc import Callable

import psutil
import pytest

from c101.agents.runtime.commands.command import Command, Launcher
from c101.agents.runtime.commands.running import Running, running
from c101.core.errors import C101Error

PATIENCE_SECONDS = 15.0


async def outcome(one: Running) -> tuple[int, bytes, bytes]:
    """Return status, output and error of a command that gets no more input."""
    one.end_input()
    return await rest(one)


async def rest(one: Running) -> tuple[int, bytes, bytes]:
    written = {1: b"", 2: b""}
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for number, chunk in one.output():
            written[number] += chunk
        return await one.status(), written[1], written[2]


def shell(text: str, *, terminal: bool = False) -> Command:
    return Command(argv=("/bin/sh", "-c", text), terminal=terminal, rows=33, columns=111, term="x1")


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not what():
            await asyncio.sleep(0.02)


class CommandsContract:
    """The contract of ``Launcher``."""

    async def test_status_output_and_error_are_the_commands(self, launcher: Launcher) -> None:
        async with running(shell("echo out; echo err >&2; exit 7"), launcher) as one:
            assert await outcome(one) == (7, b"out\n", b"err\n")

    async def test_words_reach_it_as_they_are(self, launcher: Launcher) -> None:
        words = ("a b", "$HOME", "${PATH}", "%n", "'\"", "\\", "ä", "-x", "")
        command = Command(argv=("/usr/bin/printf", "%s\\n", *words))
        async with running(command, launcher) as one:
            status, out, _ = await outcome(one)
        assert (status, out.decode().split("\n")[:-1]) == (0, list(words))

    async def test_it_reads_what_it_is_given_to_the_end(self, launcher: Launcher) -> None:
        data = bytes(range(256)) * 4_000
        async with running(Command(argv=("/usr/bin/cat",)), launcher) as one:

            async def feed() -> None:
                await one.write(data)
                one.end_input()

            feeding = asyncio.create_task(feed())
            status, out, _ = await rest(one)
            await feeding
        assert (status, out == data) == (0, True)

    async def test_input_for_one_that_has_ended_is_dropped(self, launcher: Launcher) -> None:
        async with running(Command(argv=("/bin/true",)), launcher) as one:
            assert (await rest(one))[0] == 0
            for _ in range(100):
                await one.write(b"x" * 65_536)
            one.end_input()

    async def test_a_terminal_is_one(self, launcher: Launcher) -> None:
        text = 'stty size; echo "$TERM"; tty; ps -o pgid=,tpgid= -p $$; exit 3'
        async with running(shell(text, terminal=True), launcher) as one:
            status, out, _ = await rest(one)
        size, term, name, groups = out.decode().split("\r\n")[:4]
        assert (status, size, term) == (3, "33 111", "x1")
        assert re.fullmatch("/dev/pts/[0-9]+", name)
        assert len(set(groups.split())) == 1, "it is not in the foreground of its terminal"

    async def test_a_terminal_changes_its_size_and_interrupts(self, launcher: Launcher) -> None:
        # A key is an interrupt only once there is somebody to be interrupted.
        traps = "trap 'stty size' WINCH; trap 'echo bye; exit 5' INT"
        text = f"{traps}; echo up; while :; do sleep 0.05; done"
        async with running(shell(text, terminal=True), launcher) as one:
            seen = bytearray()

            async def read() -> None:
                async for _, chunk in one.output():
                    seen.extend(chunk)

            reading = asyncio.create_task(read())
            await until(lambda: b"up" in seen)
            one.resize(44, 55)
            await until(lambda: b"44 55" in seen)
            await one.write(b"\x03")
            async with asyncio.timeout(PATIENCE_SECONDS):
                await reading
            assert await one.status() == 5
            assert b"bye" in seen

    @pytest.mark.parametrize("terminal", [False, True])
    async def test_it_ends_with_who_asked(self, launcher: Launcher, terminal: bool) -> None:
        text = "trap '' HUP TERM; sleep 9876 & echo $! $$; wait; wait; wait"
        async with running(shell(text, terminal=terminal), launcher) as one:
            said = b""
            async for _, chunk in one.output():
                said += chunk
                if b"\n" in said:
                    break
            pids = [int(word) for word in said.split()]
            assert all(map(psutil.pid_exists, pids))
        await until(lambda: not any(map(_runs, pids)))

    async def test_what_is_not_read_waits(self, launcher: Launcher) -> None:
        async with running(Command(argv=("/usr/bin/yes",)), launcher) as one:
            output = one.output()
            assert (await anext(output))[1].startswith(b"y\ny\n")
            await asyncio.sleep(0.3)
            before = psutil.Process().memory_info().rss
            await asyncio.sleep(0.5)
            assert psutil.Process().memory_info().rss - before < 8 << 20
            await output.aclose()  # type: ignore[attr-defined]

    async def test_what_cannot_be_run_says_so(self, launcher: Launcher) -> None:
        said = ""
        try:
            async with running(Command(argv=("/no/such/program",)), launcher) as one:
                status, _, err = await outcome(one)
                said = err.decode()
                assert status != 0
        except C101Error as error:
            said = str(error)
        assert "/no/such/program" in said
        assert "No such file" in said


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
