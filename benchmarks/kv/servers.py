"""Ours and etcd: two servers on loopback with their data below one directory of one disk."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.kv.generator import Generator, Load, LoadError

NAMES = ("ours", "etcd")
START_SECONDS_MAX = 120.0
STOP_SECONDS_MAX = 60.0
#: Above all that is written here: both would refuse writes at their 2 GiB.
QUOTA_BYTES = 8 << 30


class ServerError(Exception):
    """A server that did not start, or did not do what it answered."""


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """One server, running after ``start`` and until ``stop``; it keeps its port and its data."""

    name: str
    directory: Path
    generator: Generator
    port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    def command(self) -> list[str]:
        """Return what starts it."""
        url = f"http://127.0.0.1:{self.port}"
        data = str(self.directory / self.name)
        if self.name == "ours":
            core = [sys.executable, "-m", "c101.core.daemon", "kv"]
            quota = ("--quota-backend-bytes", str(QUOTA_BYTES))
            return [*core, "--data-dir", data, "--listen", url, *quota]
        peer = f"http://127.0.0.1:{free_port()}"
        return [
            "etcd", "--name", "one", "--data-dir", data, "--log-level", "error",
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", f"one={peer}", "--quota-backend-bytes", str(QUOTA_BYTES),
        ]  # fmt: skip

    def start(self) -> float:
        """Start it; return the seconds until it answered its first request."""
        command = self.command()
        waiting = self.generator.command(self.port, ["-k", "wait"])
        with (self.directory / f"{self.name}.log").open("ab") as log:
            began = time.monotonic()
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
            try:
                subprocess.run(waiting, check=True, timeout=START_SECONDS_MAX, stderr=log)
            except subprocess.SubprocessError as exc:
                raise ServerError(f"{self.name} did not start: {self._last_words()}") from exc
        return time.monotonic() - began

    def _last_words(self) -> str:
        return (self.directory / f"{self.name}.log").read_text(errors="replace")[-500:]

    def stop(self) -> None:
        """Stop it in good order; nothing happens if it does not run."""
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(STOP_SECONDS_MAX)
            self.process = None

    def revision(self) -> int:
        """Return the revision of its store, as ``etcdctl`` sees it."""
        command = ["etcdctl", f"--endpoints=127.0.0.1:{self.port}", "get", "none", "-w", "json"]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        shown = subprocess.run(command, env=environment, check=True, capture_output=True)
        return int(json.loads(shown.stdout)["header"]["revision"])

    def drive(self, arguments: list[str], *, writes: bool) -> Load:
        """Run one load; raise ServerError unless the revision rose by the writes it counted."""
        before = self.revision()
        try:
            load = self.generator.run(self.port, arguments)
        except LoadError as exc:
            raise LoadError(f"{self.name}: {exc}") from exc
        risen = self.revision() - before
        expected = load.all_requests if writes else 0
        if risen != expected:
            raise ServerError(f"{self.name}: the revision rose by {risen}, not by {expected}")
        return load

    def fill(self, keys: int) -> None:
        """Put *keys* keys, each once."""
        self.drive(["-k", "fill", "-n", str(keys)], writes=True)

    def resident_mib(self) -> float:
        """Return the resident memory of its process, in MiB."""
        return self._memory("VmRSS")

    def anonymous_mib(self) -> float:
        """Return how much of that is its own, not pages of files."""
        return self._memory("RssAnon")

    def _memory(self, name: str) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split(f"{name}:")[1].split()[0]) / 1024


@contextmanager
def running(
    generator: Generator, parent: Path, *, keys: int, names: Sequence[str] = NAMES
) -> Iterator[list[Server]]:
    """Run the servers, each with *keys* keys, in a directory below *parent* that goes with them."""
    directory = Path(tempfile.mkdtemp(prefix="data-", dir=parent))
    servers = [Server(name, directory, generator) for name in names]
    try:
        for server in servers:
            server.start()
            server.fill(keys)
        yield servers
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(directory)


def kind_of_disk(directory: Path) -> str:
    """Return the file system of *directory*; raise ServerError where a sync costs nothing."""
    shown = subprocess.run(
        ["stat", "-f", "-c", "%T", directory], check=True, capture_output=True, text=True
    )
    kind = shown.stdout.strip()
    if kind in {"tmpfs", "ramfs"}:
        raise ServerError(f"{directory} is a {kind}: give --directory on a disk")
    return kind
