"""A command on a machine, with our own terminal or pipes at this end of it."""

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from c101.agents.client.agent_client import AgentClient
from c101.agents.client.remote_command import RemoteCommand
from c101.core.errors import C101Error
from c101.tui.ctl.output import print_lines, say

CHUNK_BYTES = 16 << 10
#: Of what a command prints on many machines, kept where it is given as JSON.
KEPT_BYTES_MAX = 16 << 20

#: Shows what came on standard output (1) or error (2); b"" at the end.
Show = Callable[[int, bytes], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended, and what it printed if that was kept."""

    status: int
    output: bytes
    error: bytes


async def converse(
    agent: AgentClient, argv: Sequence[str], container_id: str, *, terminal: bool
) -> int:
    """Run a command as if it ran here; return its exit status.

    With *terminal*, and where we are on one, it has a terminal of that size.
    """
    on_terminal = terminal and sys.stdin.isatty() and sys.stdout.isatty()
    window = _window() if on_terminal else None
    term = os.environ.get("TERM", "dumb")
    async with agent.command(argv, container_id=container_id, terminal=window, term=term) as remote:
        feeding = asyncio.create_task(_feed(remote), name="input")
        try:
            # Whatever it prints is for the terminal to act upon: that is what a shell is.
            if on_terminal:
                with _raw(), _resizing(remote):
                    await _copy(remote, _as_it_is)
            else:
                await _copy(remote, lines_of("") if sys.stdout.isatty() else _as_it_is)
        finally:
            feeding.cancel()
            with suppress(asyncio.CancelledError):
                await feeding
    assert remote.status is not None
    return remote.status


async def gather_output(agent: AgentClient, argv: Sequence[str], show: Show | None) -> Outcome:
    """Run a command without input, and *show* what it prints, or keep it."""
    kept = {1: bytearray(), 2: bytearray()}
    async with agent.command(argv) as remote:
        remote.end_input()

        def keep(number: int, chunk: bytes) -> None:
            kept[number] += chunk
            if len(kept[number]) > KEPT_BYTES_MAX:
                raise C101Error(f"it prints more than {KEPT_BYTES_MAX >> 20} MiB")

        await _copy(remote, show or keep)
    assert remote.status is not None
    return Outcome(remote.status, bytes(kept[1]), bytes(kept[2]))


def lines_of(prefix: str) -> Show:
    """Return what shows whole lines, made harmless, behind *prefix*."""
    rest = {1: b"", 2: b""}

    def show(number: int, chunk: bytes) -> None:
        *whole, rest[number] = (rest[number] + chunk).split(b"\n")
        if not chunk and rest[number]:
            whole, rest[number] = [rest[number]], b""
        lines = [f"{prefix}{line.decode('utf-8', 'replace')}" for line in whole]
        if lines and number == 1:
            print_lines(lines)
        elif lines:
            say("\n".join(lines))

    return show


async def _copy(remote: RemoteCommand, show: Show) -> None:
    async for number, chunk in remote.output():
        show(number, chunk)
    show(1, b"")
    show(2, b"")


def _as_it_is(number: int, chunk: bytes) -> None:
    stream = sys.stdout if number == 1 else sys.stderr
    stream.buffer.write(chunk)
    stream.buffer.flush()


async def _feed(remote: RemoteCommand) -> None:
    async for chunk in _input():
        await remote.write(chunk)
    remote.end_input()


async def _input() -> AsyncIterator[bytes]:
    """Yield what comes on standard input. A file is always ready, and is read at once."""
    waits = True
    while True:
        if waits:
            try:
                await _readable(0)
            except OSError:
                waits = False
        chunk = os.read(0, CHUNK_BYTES)
        if not chunk:
            return
        yield chunk


async def _readable(descriptor: int) -> None:
    """Wait until there is something to read. Raises OSError: it is none to wait for."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        # Told again, one would read what was read already, and wait with all the loop.
        loop.remove_reader(descriptor)


def _window() -> tuple[int, int]:
    size = os.get_terminal_size(0)
    return size.lines, size.columns


@contextmanager
def _raw() -> Iterator[None]:
    """Hand every key on as it is pressed; our terminal is as it was afterwards."""
    before = termios.tcgetattr(0)
    # What was typed before counts.
    tty.setraw(0, termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)


@contextmanager
def _resizing(remote: RemoteCommand) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def resized() -> None:
        remote.resize(*_window())

    loop.add_signal_handler(signal.SIGWINCH, resized)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGWINCH)
