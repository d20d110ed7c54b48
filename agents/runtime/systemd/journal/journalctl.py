"""``journalctl`` as a process of ours: what it prints, no faster than it is asked for."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

from c101.agents.runtime.read_pipe import read_pipe
from c101.agents.runtime.systemd.journal.export import ExportError, ExportReader, Fields
from c101.core.errors import C101Error

#: Bytes taken of the pipe at once; what they hold is one batch.
_CHUNK_BYTES = 64 << 10
_LAST_WORDS_BYTES = 500

_FIELDS = (
    "MESSAGE",
    "PRIORITY",
    "SYSLOG_IDENTIFIER",
    "UNIT",
    "USER_UNIT",
    "_COMM",
    "_PID",
    "_SYSTEMD_UNIT",
    "_SYSTEMD_USER_UNIT",
)
_ARGV = ("journalctl", "--output=export", "--quiet", "--all", "--no-pager")
#: What an entry of ours is made of: the rest is read only where somebody asks for it.
USUAL_FIELDS = f"--output-fields={','.join(_FIELDS)}"


class Output:
    """What one ``journalctl`` prints."""

    def __init__(
        self, process: asyncio.subprocess.Process, pipe: asyncio.StreamReader, after: str
    ) -> None:
        self._process = process
        self._pipe = pipe
        self._after = after.encode()
        self._export = ExportReader()
        #: What it said, when it has ended well, of files that it did not read; "" if it read all.
        self.left_out = ""

    async def more(self) -> list[Fields]:
        """Return the next entries; none when it has ended. Raises C101Error: it failed."""
        try:
            while chunk := await self._pipe.read(_CHUNK_BYTES):
                if fields := self._beyond(list(self._export.feed(chunk))):
                    return fields
        except ExportError as exc:
            raise C101Error(f"journalctl: {exc}") from exc
        status = await self._process.wait()
        assert self._process.stderr is not None
        raw = await self._process.stderr.read(_LAST_WORDS_BYTES)
        said = raw.decode("utf-8", "replace").strip()
        if status:
            raise C101Error(f"journalctl: {said or f'status {status}'}")
        # A file that is damaged, or was renamed as it was opened, is passed over with status 0.
        self.left_out = said
        return []

    def _beyond(self, fields: list[Fields]) -> list[Fields]:
        """Return *fields* without the entry that was to be gone on from, which may come first."""
        if not fields:
            return []
        is_it = fields[0].get("__CURSOR") == self._after
        self._after = b""
        return fields[1:] if is_it else fields


@asynccontextmanager
async def journalctl(arguments: Sequence[str], *, after: str = "") -> AsyncIterator[Output]:
    """Run it with *arguments*, for what comes after the entry whose cursor is *after*.

    Its own ``--after-cursor`` takes one entry too few where that entry is none that is asked for
    (systemd 252): it counts it with them. Asked for from there on, it gives that entry or does not.

    Leaving the block ends it. Raises C101Error: it cannot be run.
    """
    if after:
        arguments = [*arguments, f"--cursor={after}"]
    async with read_pipe(_CHUNK_BYTES) as (pipe, write_end):
        process = await _start(arguments, write_end)
        try:
            yield Output(process, pipe, after)

        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _start(arguments: Sequence[str], write_end: int) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            *_ARGV,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=write_end,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as exc:
        raise C101Error(f"journalctl cannot be run: {exc.strerror}") from exc
    finally:
        os.close(write_end)
