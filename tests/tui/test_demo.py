"""``c101-console demo`` as a user runs it: on a terminal, with everything real behind it."""

import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.tui.pty import TerminalProgram
from tests.tui.vt import Screen

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

#: How long a loaded computer may take for what takes a second.
PATIENCE_SECONDS = 60.0


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[TerminalProgram]:
    programs = str(Path(sys.executable).parent)
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "TMPDIR": str(tmp_path),
    }
    argv = [f"{programs}/c101-console", "demo"]
    with TerminalProgram(argv, environment=environment) as console:
        yield console


def _all_but_cache_are_active(screen: Screen) -> bool:
    return "9/10 units" in screen.text and "1 pending" in screen.text


def _address(screen: Screen) -> str:
    line = next(line for line in screen.lines if "http://" in line)
    return "http://" + line.split("http://", 1)[1].split(" ", 1)[0]


def _who_answers(address: str, wanted: set[str]) -> set[str]:
    """Return which web servers answer, as soon as all that are wanted have."""
    found: set[str] = set()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not wanted <= found and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                body = answer.read().decode()
        except OSError:
            time.sleep(0.1)
            continue
        found |= {name for name in ("web@1", "web@2") if name in body}
    return found


def test_the_demo_runs_loses_a_machine_gets_it_back_and_leaves_nothing(
    demo: TerminalProgram, tmp_path: Path
) -> None:
    demo.wait_for("UNITS", PATIENCE_SECONDS)
    demo.wait_for(_all_but_cache_are_active, PATIENCE_SECONDS)
    demo.wait_for("why: MachineMetadata=memory=big: 0 of 3 machines", PATIENCE_SECONDS)
    demo.wait_for("db-master", PATIENCE_SECONDS)
    demo.wait_for("serves on", PATIENCE_SECONDS)
    address = _address(demo.screen)
    both = {"web@1", "web@2"}
    assert _who_answers(address, both) == both

    # To the KV's host and to each machine: SSH, and nothing else.
    found = json.loads((tmp_path / "state/c101/clusters/demo.json").read_text())
    ports = {one["ssh_port"] for one in found["machines"]} | {found["kv"]["ssh"]["port"]}
    links = psutil.Process(demo.process.pid).net_connections()
    assert {link.raddr.port for link in links if len(link.raddr)} == ports

    demo.press("2", "K")
    demo.wait_for("2/3 machines", PATIENCE_SECONDS)
    demo.wait_for(_all_but_cache_are_active, PATIENCE_SECONDS)
    assert _who_answers(address, both) == both
    demo.press("K")
    demo.wait_for("3/3 machines", PATIENCE_SECONDS)
    demo.wait_for(lambda screen: "down" not in screen.text, PATIENCE_SECONDS)

    demo.press("q")
    demo.wait_for("Quit, and end the cluster?", PATIENCE_SECONDS)
    assert demo.quit_with("y", seconds=PATIENCE_SECONDS) == 0
    assert demo.restored
    time.sleep(0.5)
    marked = str(tmp_path)
    left = [p.pid for p in psutil.process_iter() if marked in " ".join(_command(p))]
    assert left == []
    assert not list(tmp_path.glob("c101-*"))


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
