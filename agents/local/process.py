"""One process of the cluster, kept running: restarted when it dies, unless it is held down."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from c101.core.clock import Clock

logger = logging.getLogger(__name__)

#: Between the end of a process and its next start, doubled up to the maximum.
RESTART_SECONDS = 0.1
RESTART_SECONDS_MAX = 5.0
#: A process that ran as long as this is started again without delay.
SETTLED_SECONDS = 10.0
#: A log larger than this is moved aside, once, when its process starts.
LOG_BYTES_MAX = 8 * 1024 * 1024
LAST_WORDS_BYTES = 2_000
#: What SIGTERM is given before SIGKILL.
STOP_SECONDS = 5.0


class Process:
    """Keeps ``argv`` running from ``run`` until that is cancelled."""

    def __init__(
        self, name: str, argv: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self._argv = argv
        self._environment = environment
        self._log = log
        self._child: asyncio.subprocess.Process | None = None
        self._wanted = asyncio.Event()
        #: How often in a row it ended before it had settled.
        self.failures = 0
        self._wanted.set()

    @property
    def pid(self) -> int | None:
        """Its process id, ``None`` while it does not run."""
        return self._child.pid if self._child is not None else None

    @property
    def held(self) -> bool:
        """Whether it was told to stay down."""
        return not self._wanted.is_set()

    async def run(self, clock: Clock) -> None:
        """Start, wait, start again; on cancellation the process is ended."""
        delay = RESTART_SECONDS
        while True:
            await self._wanted.wait()
            begin = clock.monotonic()
            self._child = await self._spawn()
            try:
                status = await self._child.wait()
            finally:
                await self._end()
            if self.held:
                continue
            logger.warning("process ended", extra={"child": self.name, "status": status})
            self.failures += 1
            if clock.monotonic() - begin > SETTLED_SECONDS:
                delay, self.failures = RESTART_SECONDS, 0
            await clock.sleep(delay)
            delay = min(delay * 2, RESTART_SECONDS_MAX)

    async def kill(self) -> None:
        """SIGKILL it, and wait until it is gone."""
        child = self._child
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def hold(self) -> None:
        """SIGKILL it and keep it down until ``release``."""
        self._wanted.clear()
        await self.kill()

    def release(self) -> None:
        """Let it run again."""
        self._wanted.set()

    async def _spawn(self) -> asyncio.subprocess.Process:
        log = await asyncio.to_thread(self._open_log)
        try:
            # A session of its own: a terminal's Ctrl-C is for the console alone.
            return await asyncio.create_subprocess_exec(
                *self._argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )
        finally:
            os.close(log)

    def last_words(self) -> str:
        """Return the last line it printed."""
        try:
            text = self._log.read_bytes()[-LAST_WORDS_BYTES:].decode("utf-8", "replace")
        except OSError:
            return ""
        return text.strip().rpartition("\n")[2]

    def _open_log(self) -> int:
        with contextlib.suppress(OSError):
            if self._log.stat().st_size > LOG_BYTES_MAX:
                self._log.replace(self._log.with_name(self._log.name + ".1"))
        return os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def _end(self) -> None:
        """End the process if it runs: on the way out of ``run``, however that is left."""
        child, self._child = self._child, None
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await child.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
