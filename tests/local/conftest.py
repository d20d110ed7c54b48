"""Clusters in directories of their own, ended whatever happens."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from c101.agents.local import cli
from c101.core.errors import C101Error


@pytest.fixture(autouse=True)
def state_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own: no cluster of the person who runs this is touched."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.delenv("C101_LIFELINE", raising=False)
    return tmp_path / "state"


@pytest.fixture
async def directory(tmp_path: Path) -> AsyncIterator[Path]:
    """A directory for a cluster; what runs there at the end is taken down."""
    folder = tmp_path / "cluster"
    yield folder
    with suppress(C101Error):
        await cli.down(folder)
    for process in belonging_to(folder):
        with suppress(psutil.Error):
            process.kill()


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """Fail a test after which something of its cluster still runs."""
    yield
    left = belonging_to(tmp_path)
    _, alive = psutil.wait_procs(left, timeout=5)
    names = [process.cmdline() for process in alive]
    for process in alive:
        os.kill(process.pid, signal.SIGKILL)
    assert not names, names


def belonging_to(directory: Path) -> list[psutil.Process]:
    """Return the processes whose command line or environment names the directory."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            lifeline = process.environ().get("C101_LIFELINE", "")
            if any(str(directory) in word for word in [*process.cmdline(), lifeline]):
                found.append(process)
    return found
