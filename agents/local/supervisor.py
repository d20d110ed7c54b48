"""The process that holds a cluster on this computer: started by ``up``, ended by ``down``.

It ends with its cluster, and its cluster ends with it, however that comes: everything it started
holds a connection to its lifeline.
"""

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from c101.agents.local import control
from c101.agents.local import settings as kept
from c101.agents.local.cluster import LocalCluster
from c101.agents.local.layout import Layout
from c101.agents.local.registration import forget, register
from c101.agents.local.settings import ClusterSettings
from c101.agents.local.stages import Stages
from c101.core import log
from c101.core.clock import SystemClock
from c101.core.errors import C101Error, ConfigError

logger = logging.getLogger(__name__)


class Supervisor:
    """Answers on the control socket until told to end."""

    def __init__(self, cluster: LocalCluster, began: float) -> None:
        self._cluster = cluster
        self._stages = Stages()
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._began = began

    def stop(self) -> None:
        """End the cluster."""
        self._stop.set()

    async def run(self) -> None:
        """Run the cluster until ``stop``, a signal, or ``down``."""
        layout = self._cluster.layout
        lifeline = await _hold_lifeline(layout.lifeline)
        self._running = asyncio.create_task(self._cluster.run(self._stages), name="cluster")
        server = await control.serve(layout.control, self._answer)
        try:
            stopping = asyncio.create_task(self._stop.wait(), name="stop")
            await asyncio.wait({self._running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
        finally:
            server.close()
            forget(layout.directory, environ=os.environ)
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
            lifeline.close()
            layout.control.unlink(missing_ok=True)

    async def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        match question.get("verb"):
            case "answering":
                await self._stages.answering.wait()
            case "joined":
                await self._stages.joined.wait()
                register(self._cluster.document(), environ=os.environ, now=self._began)
            case "kill":
                what, agent_only = str(question["what"]), bool(question.get("agent_only"))
                await self._cluster.kill(what, agent_only=agent_only)
            case "start":
                self._cluster.start(str(question["what"]))
            case "down":
                document = self._cluster.document()
                self._stop.set()
                return document
            case "status":
                pass
            case other:
                raise ConfigError(f"not a question: {other!r}")
        return self._cluster.document()


async def _hold_lifeline(path: Path) -> asyncio.Server:
    """Listen on the lifeline; what connects is held, and let go when this process ends."""
    connections = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        try:
            await reader.read()
        finally:
            connections.remove(writer)
            writer.close()

    return await control.listen(path, connected)


@contextlib.contextmanager
def _sole_owner(layout: Layout) -> Iterator[None]:
    """Hold the directory's lock: two supervisors would start everything twice.

    The sockets go before the lock does; they may lie elsewhere, where nobody else cleans up.
    """
    descriptor = os.open(layout.directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(f"{layout.directory}: a cluster runs here already") from None
        try:
            layout.prepare()  # again: an owner that was just ending may have removed the sockets'
            yield
        finally:
            shutil.rmtree(layout.sockets, ignore_errors=True)
    finally:
        os.close(descriptor)


async def _run(layout: Layout, settings: ClusterSettings, end_with_pid: int | None) -> None:
    clock = SystemClock()
    supervisor = Supervisor(LocalCluster(layout, settings, clock), clock.time())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, supervisor.stop)
    with contextlib.ExitStack() as stack:
        if end_with_pid is not None:
            _end_with(end_with_pid, supervisor, stack)
        await supervisor.run()


def _settings(layout: Layout, machines: int | None) -> ClusterSettings:
    """Return what was chosen for the cluster; with *machines* it is chosen now."""
    if machines is not None:
        chosen = kept.settle(kept.load(layout.settings), machines=machines, kv_port=None)
        kept.store(layout.settings, chosen)
        return chosen
    settings = kept.load(layout.settings)
    if settings is None:
        raise ConfigError(f"{layout.settings} is missing")
    return settings


def _end_with(pid: int, supervisor: Supervisor, stack: contextlib.ExitStack) -> None:
    """Have the cluster end when process *pid* does."""
    loop = asyncio.get_running_loop()
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        supervisor.stop()
        return
    stack.callback(os.close, descriptor)
    loop.add_reader(descriptor, supervisor.stop)
    stack.callback(loop.remove_reader, descriptor)


def main() -> None:
    """Run the supervisor of ``--dir``; ends the process with its exit status."""
    parser = argparse.ArgumentParser(prog="c101 local supervisor")
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--end-with-pid", type=int)
    parser.add_argument("--machines", type=int, help="make it now, of so many")
    parser.add_argument("--remove", type=Path, metavar="DIR", help="at the end, with all in it")
    options = parser.parse_args()
    with contextlib.suppress(PermissionError):
        os.setsid()  # outlives the terminal; refused where it leads a session already
    log.configure()
    layout = Layout(options.dir)
    try:
        with _sole_owner(layout):
            settings = _settings(layout, options.machines)
            asyncio.run(_run(layout, settings, options.end_with_pid))
    except* C101Error as errors:
        for error in errors.exceptions:
            logger.error("the cluster cannot run", extra={"reason": str(error)})  # noqa: TRY400
        sys.exit(1)  # and what it said remains, for whoever started it
    if options.remove is not None:
        shutil.rmtree(options.remove, ignore_errors=True)


if __name__ == "__main__":
    main()
