"""The verbs of a cluster on this computer: ``up down status kill start``, for ctl and console."""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from c101.agents.local import control
from c101.agents.local import settings as kept
from c101.agents.local.layout import Layout
from c101.agents.local.registration import forget
from c101.core.clock import Clock, SystemClock
from c101.core.errors import ConfigError, DeadlineExceededError, LinkError

#: How long a whole cluster may take to start, and to end.
UP_SECONDS_MAX = 60.0
DOWN_SECONDS_MAX = 30.0
_LOOK_SECONDS = 0.02
_LOG_BYTES = 2_000

Document = dict[str, Any]


async def up(
    directory: Path,
    *,
    machines: int | None = None,
    metadata: Sequence[str] = (),
    kv_port: int | None = None,
    end_with_pid: int | None = None,
    clock: Clock | None = None,
) -> Document:
    """Start the cluster of *directory* and wait until every machine has joined.

    One that runs already is left as it is. *machines* is as many as there were, or three.
    *metadata* (``K=V,...``, or ``NAME:K=V,...`` for one) is given to machines that are made.
    With *end_with_pid* the cluster ends when that process does.
    Raises ConfigError: the directory or the port cannot be used; DeadlineExceededError.
    """
    layout = Layout.of(directory)
    try:
        return await control.ask(layout.control, "joined")
    except LinkError:
        pass
    clock = clock or SystemClock()
    await asyncio.to_thread(_prepare, layout, machines, kv_port, metadata)
    supervisor = await asyncio.to_thread(_spawn, layout, end_with_pid)
    try:
        async with asyncio.timeout(UP_SECONDS_MAX):
            return await _joined(layout, supervisor, clock)
    except TimeoutError:
        supervisor.terminate()
        raise DeadlineExceededError(
            f"the cluster did not come up within {UP_SECONDS_MAX:g} s",
            hint=f"{layout.log('supervisor').parent} holds what its processes said",
        ) from None


async def _joined(layout: Layout, supervisor: "_Spawned", clock: Clock) -> Document:
    while True:
        try:
            return await control.ask(layout.control, "joined")
        except LinkError:
            if supervisor.has_ended():
                raise ConfigError(
                    f"the cluster did not start: {_last_words(layout)}",
                    hint=f"{layout.log('supervisor')} has the whole of it",
                ) from None
            await clock.sleep(_LOOK_SECONDS)


async def status(directory: Path) -> Document:
    """Return the cluster's document. Raises LinkError: it does not run."""
    return await control.ask(Layout.of(directory).control, "status")


async def kill(directory: Path, what: str, *, agent_only: bool = False) -> Document:
    """Cut a machine's power, or SIGKILL ``kv`` or ``engine``; it stays down until ``start``.

    With *agent_only* a machine's agent alone is killed; it is started again at once.
    Raises LinkError, NotFoundError.
    """
    layout = Layout.of(directory)
    return await control.ask(layout.control, "kill", what=what, agent_only=agent_only)


async def start(directory: Path, what: str) -> Document:
    """Bring back what ``kill`` took down. Raises LinkError, NotFoundError."""
    return await control.ask(Layout.of(directory).control, "start", what=what)


async def down(directory: Path, *, clock: Clock | None = None) -> Document:
    """End the cluster and wait until it has; its data stays. Raises LinkError: it does not run."""
    layout = Layout.of(directory)
    clock = clock or SystemClock()
    try:
        document = await control.ask(layout.control, "down")
    except LinkError:
        forget(layout.directory, environ=os.environ)  # it may have ended without a word
        raise
    pid = int(document["supervisor"]["pid"])
    try:
        async with asyncio.timeout(DOWN_SECONDS_MAX):
            while _is_alive(pid):
                await clock.sleep(_LOOK_SECONDS)
    except TimeoutError:
        raise DeadlineExceededError(
            f"the cluster did not end within {DOWN_SECONDS_MAX:g} s", hint=f"kill -9 {pid} ends it"
        ) from None
    return document


def _is_alive(pid: int) -> bool:
    _reap(pid)
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _prepare(
    layout: Layout, machines: int | None, kv_port: int | None, metadata: Sequence[str]
) -> None:
    try:
        layout.prepare()
        settings = kept.settle(
            kept.load(layout.settings), machines=machines, kv_port=kv_port, metadata=metadata
        )
        kept.store(layout.settings, settings)
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: {error.strerror}", hint="--dir names another directory"
        ) from error


class _Spawned:
    """A process that was started and is let go: it outlives this one.

    Not asyncio's: its transport kills the process when it is collected.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = False

    def has_ended(self) -> bool:
        """Say whether it has."""
        self._ended = self._ended or _reap(self._pid)
        return self._ended

    def terminate(self) -> None:
        """Have it end, unless it has."""
        if not self.has_ended():
            os.kill(self._pid, signal.SIGTERM)


def _reap(pid: int) -> bool:
    """Take the status of a child of ours that ended, lest it stay a zombie."""
    with suppress(ChildProcessError):  # of another process, or taken
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    return False


def _spawn(layout: Layout, end_with_pid: int | None) -> _Spawned:
    """Start the supervisor, which makes a session of its own."""
    argv = [sys.executable, "-P", "-m", "c101.agents.local.supervisor"]
    argv += ["--dir", str(layout.directory)]
    if end_with_pid is not None:
        argv += ["--end-with-pid", str(end_with_pid)]
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    log = os.fspath(layout.log("supervisor"))
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, write, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return _Spawned(os.posix_spawn(sys.executable, argv, os.environ, file_actions=streams))


def _last_words(layout: Layout) -> str:
    try:
        lines = layout.log("supervisor").read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace")
    except OSError:
        return "it left no word"
    last = lines.strip().rpartition("\n")[2]
    return last.rpartition(" reason=")[2] or "it left no word"
