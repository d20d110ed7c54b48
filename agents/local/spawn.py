"""Starts the supervisor of a cluster, and loads next to nothing: a demo does it before all else."""

import os
import shutil
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from c101.agents.local.layout import Layout
from c101.core.clock import Clock
from c101.core.errors import ConfigError

_LOOK_SECONDS = 0.02


class Supervisor:
    """The process that was started and is let go: it outlives this one.

    Not asyncio's: its transport kills the process when it is collected.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = False

    def has_ended(self) -> bool:
        """Say whether it has."""
        if not self._ended:
            try:
                self._ended = os.waitpid(self._pid, os.WNOHANG)[0] == self._pid
            except ChildProcessError:  # it was our child: its status was taken already
                self._ended = True
        return self._ended

    def terminate(self) -> None:
        """Have it end, unless it has."""
        if not self.has_ended():
            os.kill(self._pid, signal.SIGTERM)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrowAway:
    """A cluster that ends with this process and leaves nothing, on its way up."""

    layout: Layout
    supervisor: Supervisor

    async def end(self, clock: Clock) -> None:
        """Have it end, unless it has, wait until it has, and see that nothing is left of it."""
        self.supervisor.terminate()
        while not self.supervisor.has_ended():
            await clock.sleep(_LOOK_SECONDS)
        for folder in (self.layout.sockets, self.layout.directory.parent):
            shutil.rmtree(folder, ignore_errors=True)


def spawn(layout: Layout, *options: str) -> Supervisor:
    """Start the supervisor, which makes a session of its own, on a directory that is prepared."""
    argv = [sys.executable, "-P", "-m", "c101.agents.local.supervisor"]
    argv += ["--dir", str(layout.directory), *options]
    write = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    log = os.fspath(layout.log("supervisor"))
    streams = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, write, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    return Supervisor(os.posix_spawn(sys.executable, argv, os.environ, file_actions=streams))


def spawn_throw_away(name: str, machines: int) -> ThrowAway:
    """Start a cluster called *name* in a new directory, which goes when it ends.

    Raises ConfigError: there is no room for it.
    """
    try:
        parent = tempfile.mkdtemp(prefix="c101-")
        layout = Layout.of(Path(parent) / name)
        layout.prepare()
    except OSError as error:
        raise ConfigError(
            f"a cluster needs a directory: {error}", hint="TMPDIR says where one can be made"
        ) from error
    end = ("--end-with-pid", str(os.getpid()), "--remove", parent)
    return ThrowAway(layout=layout, supervisor=spawn(layout, "--machines", str(machines), *end))
