"""docs/etcd.md: the commands that move a KV to an etcd cluster and back, as they stand there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest

from tests.kvserver.histories import differences, fill
from tests.kvserver.processes import Client, free_port
from tests.processes import OwnKVProcess

pytestmark = [pytest.mark.integration, pytest.mark.slow]

PAGE = Path(__file__).parents[2] / "docs" / "etcd.md"
HEADING = "## Moving to another etcd cluster, and back"
MEMBERS = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}
WAIT_SECONDS = 40.0


def blocks() -> list[list[str]]:
    """Return the commands of each block of the section, as one line each."""
    section = PAGE.read_text().partition(HEADING)[2].partition("\n## ")[0]
    found = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    return [block.replace("\\\n", " ").strip().split("\n") for block in found]


class Here:
    """The page's machines, paths and programs, on this computer."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        addresses = [f"{host}:{port}" for host in MEMBERS.values() for port in (2379, 2380)]
        self.ports = {address: free_port() for address in addresses}

    def arguments(self, command: str, member: str = "a") -> list[str]:
        """Return *command* as *member* types it: with its own name, addresses and disk."""
        return [self._word(word, member) for word in shlex.split(command)]

    def _word(self, word: str, member: str) -> str:
        if word == "a":
            return member
        here = word
        if "," not in word:
            here = word.replace(MEMBERS["a"], MEMBERS[member])
        for address, port in self.ports.items():
            here = here.replace(address, f"127.0.0.1:{port}")
        here = here.replace("/var/lib/etcd", f"{self.directory}/{member}")
        for path in ("/root/", "/var/lib/c101/", "/run/c101"):
            here = here.replace(path, f"{self.directory}{path}")
        return here

    @property
    def environment(self) -> dict[str, str]:
        programs = str(Path(sys.executable).parent)
        return {**os.environ, "ETCDCTL_API": "3", "PATH": f"{programs}:{os.environ['PATH']}"}

    def run(self, command: str, member: str = "a") -> str:
        done = subprocess.run(
            self.arguments(command, member),
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WAIT_SECONDS,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    @contextmanager
    def running(self, command: str, member: str = "a") -> Iterator[None]:
        with (self.directory / "log").open("ab") as log:
            process = subprocess.Popen(
                self.arguments(command, member), env=self.environment, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def client(self, member: str) -> Client:
        return Client(self.ports[f"{MEMBERS[member]}:2379"])


@pytest.fixture
def here() -> Iterator[Here]:
    # A socket's path has to be short.
    directory = Path(tempfile.mkdtemp(prefix="c101-move-"))
    for path in ("root", "var/lib/c101", "run"):
        (directory / path).mkdir(parents=True)
    yield Here(directory)
    shutil.rmtree(directory)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            if condition():
                return
        except (grpc.RpcError, AssertionError):
            # It does not answer yet.
            pass
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.1)


@pytest.mark.timeout(240)
def test_the_pages_commands_move_a_kv_to_three_members_and_back(here: Here) -> None:
    (save,), (restore, serve), (list_all, engine), (save_back, restore_back, serve_back) = blocks()
    origin = OwnKVProcess(here.directory / "origin")
    origin.sockets = here.directory / "run" / "c101"
    origin.start()
    with ExitStack() as stack:
        stack.callback(origin.kill)
        before = Client(origin.port)
        stack.callback(before.close)
        fill(before)
        here.run(save)
        names = here.run(f"c101ctl --kv {origin.url} ls -r /")

        for member in MEMBERS:
            here.run(restore, member)
            stack.enter_context(here.running(serve, member))
        cluster = here.client("b")
        stack.callback(cluster.close)
        until(lambda: cluster.revision > 0, "the cluster has a leader")
        assert list(differences(before, cluster)) == []
        until(lambda: here.run(list_all) == names, "all three answer")
        with here.running(engine):
            until(lambda: "/c101/" in here.run(list_all), "the engine leads")

        here.run(save_back)
        here.run(restore_back)
        origin.stop()
        stack.enter_context(here.running(serve_back))
        there = "c101ctl --kv unix:///run/c101/kv-admin.sock ls -r /"
        # The engine was leading under a lease, which may have ended meanwhile.
        until(lambda: names_of_ours(here.run(there)) == names, "it is back")


def names_of_ours(listed: str) -> str:
    return "".join(name for name in listed.splitlines(True) if not name.startswith("/c101/"))
