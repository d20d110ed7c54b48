"""A command that runs: what goes in, what comes out, and its end.

Nothing is read of it that nobody takes: its pipe, or its terminal, fills, and it waits.
"""

import asyncio
import errno
import fcntl
import logging
import os
import signal
import struct
import termios
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from c101.agents.runtime.commands.command import END_SECONDS, Command, Launch, Launcher
from c101.agents.runtime.read_pipe import read_pipe
from c101.core.errors import C101Error

logger = logging.getLogger(__name__)

#: Bytes taken of an output at once.
CHUNK_BYTES = 32 << 10
#: Of a terminal whose other side is closed.
_HUNG_UP = errno.EIO


class Running:
    """One command. ``output`` gives what it writes, standard output as 1 and error as 2."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        terminal: "_Terminal | None",
        pipes: Sequence[asyncio.StreamReader],
    ) -> None:
        self._process = process
        self._terminal = terminal
        self._pipes = pipes

    async def write(self, data: bytes) -> None:
        """Give it *data*; what has ended reads nothing."""
        if self._terminal is not None:
            await self._terminal.write(data)
            return
        writer = self._process.stdin
        if writer is not None and not writer.is_closing():
            with suppress(ConnectionError):
                writer.write(data)
                await writer.drain()

    def end_input(self) -> None:
        """Let it read the end of its input; a terminal has none, but the end-of-file character."""
        if self._terminal is None and self._process.stdin is not None:
            self._process.stdin.close()

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal how large it is."""
        if self._terminal is not None:
            self._terminal.resize(rows, columns)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Yield what it writes, until it has ended and all is read."""
        if self._terminal is not None:
            ended = asyncio.create_task(self._process.wait(), name="command ends")
            ended.add_done_callback(self._terminal.let_go)
            try:
                async for chunk in self._terminal.read():
                    yield 1, chunk
            finally:
                ended.cancel()
            return
        queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(1)
        readers = [
            asyncio.create_task(_forward(number, reader, queue), name=f"command's output {number}")
            for number, reader in enumerate(self._pipes, 1)
        ]
        try:
            open_ones = len(readers)
            while open_ones:
                number, chunk = await queue.get()
                if chunk:
                    yield number, chunk
                else:
                    open_ones -= 1
        finally:
            for reader_task in readers:
                reader_task.cancel()

    async def status(self) -> int:
        """Wait for its end; return its exit status, 128 and a signal's number if that ended it."""
        status = await self._process.wait()
        return status if status >= 0 else 128 - status


async def _forward(
    number: int, reader: asyncio.StreamReader, queue: asyncio.Queue[tuple[int, bytes]]
) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        await queue.put((number, chunk))
    await queue.put((number, b""))


@asynccontextmanager
async def running(command: Command, launcher: Launcher) -> AsyncIterator[Running]:
    """Run *command*; leaving the block ends it. Raises C101Error: it cannot be run."""
    async with AsyncExitStack() as stack:
        terminal = None
        pipes: list[tuple[asyncio.StreamReader, int]] = []
        if command.terminal:
            terminal = _Terminal(command)
            stack.callback(terminal.close)
        else:
            pipes = [await stack.enter_async_context(read_pipe(CHUNK_BYTES)) for _ in range(2)]
        launch = launcher(command, terminal.path if terminal is not None else "")
        process = await _start(launch, terminal, [write_end for _, write_end in pipes])
        try:
            yield Running(process, terminal, [reader for reader, _ in pipes])
        finally:
            await _end(process, launch)


async def _start(
    launch: Launch, terminal: "_Terminal | None", pipes: Sequence[int]
) -> asyncio.subprocess.Process:
    takes = terminal is not None and launch.takes_terminal
    output, error = pipes if terminal is None else (terminal.theirs, terminal.theirs)
    given = asyncio.subprocess.PIPE if terminal is None else asyncio.subprocess.DEVNULL
    try:
        return await asyncio.create_subprocess_exec(
            *launch.argv,
            # One that only waits for the command says on its terminal what went wrong.
            stdin=output if takes else given,
            stdout=output,
            stderr=error,
            env={**os.environ, **dict(launch.environment)},
            cwd="/",
            start_new_session=True,
            preexec_fn=_take_terminal if takes else None,
        )
    except (OSError, ValueError) as failure:
        why = getattr(failure, "strerror", None) or str(failure)
        raise C101Error(f"{launch.argv[0]} cannot be run: {why}") from failure
    finally:
        for write_end in pipes:
            os.close(write_end)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


async def _end(process: asyncio.subprocess.Process, launch: Launch) -> None:
    """End it if it still runs: a hang-up first, as where a terminal is closed."""
    if process.returncode is not None:
        return
    if launch.end:
        with suppress(OSError):
            ending = await asyncio.create_subprocess_exec(
                *launch.end,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            await ending.wait()
    for number in (signal.SIGHUP, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), END_SECONDS)
            return


class _Terminal:
    """A pseudo-terminal: ``theirs`` is the command's side, at ``path``."""

    def __init__(self, command: Command) -> None:
        self._ours, self.theirs = os.openpty()
        os.set_blocking(self._ours, False)
        self.path = os.ttyname(self.theirs)
        self._loop = asyncio.get_running_loop()
        self._held = True
        self.resize(command.rows, command.columns)

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", *(max(1, min(one, 65_535)) for one in (rows, columns)), 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def let_go(self, _ended: object = None) -> None:
        """Close the command's side: once nobody else has it, reading comes to its end."""
        if self._held:
            self._held = False
            os.close(self.theirs)

    async def read(self) -> AsyncIterator[bytes]:
        while True:
            try:
                chunk = os.read(self._ours, CHUNK_BYTES)
            except BlockingIOError:
                await self._ready(self._loop.add_reader, self._loop.remove_reader)
                continue
            except OSError as error:
                if error.errno != _HUNG_UP:
                    raise
                chunk = b""
            if not chunk:
                return
            yield chunk

    async def write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._ours, data) :]
            except BlockingIOError:
                await self._ready(self._loop.add_writer, self._loop.remove_writer)
            except OSError:
                return  # hung up

    async def _ready(self, add: Callable[..., None], remove: Callable[[int], bool]) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        add(self._ours, _wake, ready)
        try:
            await ready
        finally:
            remove(self._ours)

    def close(self) -> None:
        self.let_go()
        os.close(self._ours)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
