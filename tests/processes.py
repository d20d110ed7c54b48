"""Real KV servers for tests: Debian's etcd and our own, on loopback, ended by their pid.

::

    with running_etcd(tmp_path) as server:
        async with connected(server) as client: ...

The helpers block, and are meant for fixtures; within a running test, where the loop has to go on,
use ``await asyncio.to_thread(server.kill)`` and its kin. Data stays in the directory from one start
to the next.
"""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

START_SECONDS_MAX = 20.0
STOP_SECONDS_MAX = 10.0
#: Free ports are found by binding port 0 and letting go, so another process may take one first.
START_ATTEMPTS = 3


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class KVProcess:
    """One server: ``start``, ``kill`` (-9), ``stop`` (TERM), ``pause`` and ``resume`` (STOP, CONT).

    ``port`` and ``url`` stay the same over restarts. ``unix`` is the path of its admin socket, for
    servers that have one.
    """

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.port = port or free_port()
        self.unix: Path | None = None
        self.log = directory / "server.log"
        #: what it is started with; ``None`` for our own environment
        self.environment: dict[str, str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def health_url(self) -> str:
        """Where it says over plain HTTP that it is up."""
        return self.url

    @property
    def running(self) -> bool:
        """Whether it was started and not ended."""
        return self._process is not None

    @property
    def pid(self) -> int:
        assert self._process is not None, "it is not running"
        return self._process.pid

    def command(self) -> Sequence[str]:
        """Return what to run."""
        raise AssertionError("a subclass says so")

    def start(self) -> None:
        """Start it and return when it answers."""
        self.launch()
        self.wait_until_healthy()

    def launch(self) -> None:
        """Start it, and return at once."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    def wait_until_healthy(self) -> None:
        """Return when it answers; a member of a cluster does when there is a leader."""
        assert self._process is not None, "it is not running"
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._healthy():
            if self._process.poll() is not None:
                self._process = None
                raise RuntimeError(
                    f"it did not start: {self.log.read_text(errors='replace')[-2000:]}"
                )
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"no answer in {START_SECONDS_MAX} s: {self.log}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as its service manager would."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Stall it."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.health_url}/health", timeout=1) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


class EtcdProcess(KVProcess):
    """Debian's etcd."""

    def command(self) -> Sequence[str]:
        peer = f"http://127.0.0.1:{free_port()}"
        return [
            "/usr/bin/etcd",
            "--name=test",
            f"--data-dir={self.data}",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peer}",
            # Only recorded at the first start; a single member never dials it.
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=test={peer}",
            # A single member waits for an election all the same: 1 s by default.
            "--heartbeat-interval=10",
            "--election-timeout=50",
        ]


class OwnKVProcess(KVProcess):
    """c101-core kv; *module* is what is run."""

    module = "c101.core.daemon"

    def __init__(self, directory: Path, *, port: int = 0) -> None:
        super().__init__(directory, port=port)
        self.sockets = directory / "run"
        self.unix = self.sockets / "kv-admin.sock"

    def command(self) -> Sequence[str]:
        self.sockets.mkdir(parents=True, exist_ok=True)
        return [
            sys.executable,
            "-m",
            self.module,
            "kv",
            f"--data-dir={self.data}",
            f"--listen={self.url}",
            f"--socket-dir={self.sockets}",
        ]


@contextmanager
def running_etcd(directory: Path) -> Iterator[KVProcess]:
    """Run etcd with its data in *directory*; it is killed at the end."""
    with running(EtcdProcess, directory) as server:
        yield server


@contextmanager
def running_kv(directory: Path) -> Iterator[KVProcess]:
    """Run our own KV with its data and its socket in *directory*; it is killed at the end."""
    with running(OwnKVProcess, directory) as server:
        yield server


@contextmanager
def running(kind: type[KVProcess], directory: Path) -> Iterator[KVProcess]:
    """Run a server of *kind* with its data in *directory*; it is killed at the end."""
    server = kind(directory)
    for attempt in range(START_ATTEMPTS):
        try:
            server.start()
            break
        except RuntimeError:
            if attempt + 1 == START_ATTEMPTS:
                raise
            server = kind(directory)
    try:
        yield server
    finally:
        server.kill()
