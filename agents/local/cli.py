"""The verbs of a cluster on this computer: ``up down status kill start``, for ctl and console."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from c101.agents.local import control
from c101.agents.local import settings as kept
from c101.agents.local.layout import Layout
from c101.agents.local.registration import forget
from c101.agents.local.spawn import Supervisor, spawn
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
    end = () if end_with_pid is None else ("--end-with-pid", str(end_with_pid))
    supervisor = await asyncio.to_thread(spawn, layout, *end)
    return await reach(layout, supervisor, "joined", clock)


async def reach(layout: Layout, supervisor: Supervisor, stage: str, clock: Clock) -> Document:
    """Wait until a cluster that was just started has come as far as *stage*.

    That is ``answering``: its KV does; ``joined``: every machine has, too. Raises ConfigError: it
    does not start; DeadlineExceededError: not in time, and it has been told to end.
    """
    try:
        async with asyncio.timeout(UP_SECONDS_MAX):
            return await _reach(layout, supervisor, stage, clock)
    except TimeoutError:
        supervisor.terminate()
        raise DeadlineExceededError(
            f"the cluster did not come up within {UP_SECONDS_MAX:g} s",
            hint=f"{layout.log('supervisor').parent} holds what its processes said",
        ) from None


async def _reach(layout: Layout, supervisor: Supervisor, stage: str, clock: Clock) -> Document:
    while True:
        try:
            return await control.ask(layout.control, stage)
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
    with suppress(ChildProcessError):  # not of this process, or taken already
        os.waitpid(pid, os.WNOHANG)  # it would stay a zombie
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _prepare(
    layout: Layout, machines: int | None, kv_port: int | None, metadata: Sequence[str]
) -> None:
    try:
        settings = kept.settle(
            kept.load(layout.settings), machines=machines, kv_port=kv_port, metadata=metadata
        )
        layout.prepare()
        kept.store(layout.settings, settings)
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: {error.strerror}", hint="--dir names another directory"
        ) from error


def _last_words(layout: Layout) -> str:
    try:
        lines = layout.log("supervisor").read_bytes()[-_LOG_BYTES:].decode("utf-8", "replace")
    except OSError:
        return "it left no word"
    last = lines.strip().rpartition("\n")[2]
    return last.rpartition(" reason=")[2] or "it left no word"
