"""A KV that a supervisor started ends with it, however the supervisor ends."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration


def start(tmp_path: Path, lifeline: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "c101.core.daemon", "kv", "--data-dir", str(tmp_path / "kv")]
    return subprocess.Popen(
        [*command, "--socket-dir", str(tmp_path / "s")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "C101_LIFELINE": str(lifeline)},
    )


def test_the_kv_ends_at_once_when_its_lifeline_does(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "line"))
        listener.listen()
        process = start(tmp_path, tmp_path / "line")
        assert process.stderr is not None
        assert "kv-admin.sock" in process.stderr.readline()
        held, _ = listener.accept()
        assert process.poll() is None
        held.close()
        assert process.wait(5) == 1
        process.stderr.close()


def test_a_lifeline_that_is_not_there_is_said_and_ends_the_kv(tmp_path: Path) -> None:
    process = start(tmp_path, tmp_path / "nobody")
    _, said = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "C101_LIFELINE" in said
