"""The console on a terminal with a real cluster behind it: what it connects to, and what breaks."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from c101.agents.local import cli
from tests.local.conftest import belonging_to
from tests.tui.pty import TerminalProgram
from tests.tui.vt import Screen

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(180)]

PROGRAMS = Path(sys.executable).parent

#: How long a loaded computer may take for what takes a second.
PATIENCE_SECONDS = 60.0

_PEERS = re.compile(r"(\S+)\s+(\S+)\s+users:")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[cli.Document]:
    """A cluster of two machines, called ``here``."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("C101_LIFELINE", raising=False)
    directory = tmp_path / "here"
    yield asyncio.run(cli.up(directory, machines=2))
    asyncio.run(cli.down(directory))
    assert not belonging_to(directory)


def on_terminal(*arguments: str, columns: int = 120, rows: int = 36) -> TerminalProgram:
    return TerminalProgram(
        [str(PROGRAMS / "c101-console"), *arguments],
        columns=columns,
        rows=rows,
        environment={"PATH": f"{PROGRAMS}:/usr/bin:/bin"},
    )


@pytest.fixture
def console(cluster: cli.Document) -> Iterator[TerminalProgram]:
    with on_terminal("--cluster", str(cluster["name"])) as program:
        program.wait_for(_both_are_reached, PATIENCE_SECONDS)
        yield program
        assert program.quit_with("ctrl+q", seconds=PATIENCE_SECONDS) == 0
        assert program.restored


def _both_are_reached(screen: Screen) -> bool:
    return all(_row(screen, name).rstrip().count("ms ") == 1 for name in ("m1", "m2"))


def _row(screen: Screen, machine: str) -> str:
    return next((line for line in screen.lines if f"● {machine} " in line), "")


def _sockets(pid: int) -> tuple[set[str], set[tuple[str, str]], set[str]]:
    """Return what ``ss -xtp`` tells of a process.

    That is the TCP peers; the unix sockets, each with its peer; and every other line.
    """
    out = subprocess.run(["ss", "-Hxtpn"], capture_output=True, text=True, check=True).stdout
    tcp, unix, other = set(), set(), set()
    for line in out.splitlines():
        if f"pid={pid}," not in line:
            continue
        kind, state = line.split()[:2]
        if kind == "tcp" and state == "ESTAB" and (found := _PEERS.search(line)):
            tcp.add(found.group(2))
        elif pair := re.search(r"\* (\d+)\s+\* (\d+)\s+users:", line):
            unix.add((pair.group(1), pair.group(2)))
        else:
            other.add(line)
    return tcp, unix, other


def test_it_is_connected_to_the_gateways_and_to_nothing_else(
    console: TerminalProgram, cluster: cli.Document
) -> None:
    tcp, unix, other = _sockets(console.process.pid)
    gateways = [cluster["kv"]["ssh"]["port"], *(one["ssh_port"] for one in cluster["machines"])]
    assert tcp == {f"127.0.0.1:{port}" for port in gateways}
    # A loop wakes itself up by a pair of sockets without a name, of which it holds both ends.
    assert {peer for _, peer in unix} == {own for own, _ in unix}
    assert not other


def test_what_is_known_is_shown_with_its_age_while_the_kv_is_gone(
    console: TerminalProgram, cluster: cli.Document
) -> None:
    directory = Path(str(cluster["dir"]))
    asyncio.run(cli.kill(directory, "kv"))
    console.wait_for(_nothing_of_the_kv_is_live, PATIENCE_SECONDS)
    console.wait_for(lambda screen: bool(re.search(r"as of [2-9]s ago", screen.text)), 30)
    assert "m1" in console.screen.text
    asyncio.run(cli.start(directory, "kv"))
    console.wait_for(lambda screen: "reconnecting" not in screen.text, PATIENCE_SECONDS)
    _ctl(cluster, "set", "--", "services/after", "the fall")
    console.wait_for("after", PATIENCE_SECONDS)


def _nothing_of_the_kv_is_live(screen: Screen) -> bool:
    return screen.text.count("as of ") >= 3


def _ctl(cluster: cli.Document, *words: str) -> None:
    argv = [str(PROGRAMS / "c101ctl"), "--kv", str(cluster["kv"]["unix"]), *words]
    subprocess.run(argv, check=True, capture_output=True)


def test_a_machine_whose_agent_was_killed_is_shown_so_and_comes_back(
    console: TerminalProgram, cluster: cli.Document
) -> None:
    asyncio.run(cli.kill(Path(str(cluster["dir"])), "m2", agent_only=True))
    console.wait_for(lambda screen: "down" in _row(screen, "m2"), PATIENCE_SECONDS)
    assert "ms " in _row(console.screen, "m1")
    console.wait_for(_both_are_reached, PATIENCE_SECONDS)


def test_a_terminal_of_60_by_20_is_enough_and_one_of_59_by_15_is_told_so(
    cluster: cli.Document,
) -> None:
    name = str(cluster["name"])
    with on_terminal("--cluster", name, columns=60, rows=20) as console:
        console.wait_for("UNITS", PATIENCE_SECONDS)
        console.wait_for("MACHINES 2", PATIENCE_SECONDS)
        assert console.quit_with("ctrl+q", seconds=PATIENCE_SECONDS) == 0
    with on_terminal("--cluster", name, columns=59, rows=15) as console:
        console.wait_for("c101 needs 60 by 16 cells, and has 59 by 15", PATIENCE_SECONDS)
        assert "UNITS" not in console.screen.text
        assert console.quit_with("ctrl+q", seconds=PATIENCE_SECONDS) == 0
        assert console.restored


@pytest.mark.parametrize("how", ["TERM", "HUP", "KILL"])
def test_a_demo_that_is_ended_by_a_signal_leaves_nothing(tmp_path: Path, how: str) -> None:
    environment = {
        "PATH": f"{PROGRAMS}:/usr/bin:/bin",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TMPDIR": str(tmp_path),
    }
    argv = [str(PROGRAMS / "c101-console"), "demo"]
    with TerminalProgram(argv, environment=environment) as demo:
        demo.wait_for("3/3 machines", PATIENCE_SECONDS)
        assert len(belonging_to(tmp_path)) > 4
        subprocess.run(["kill", f"-{how}", str(demo.process.pid)], check=True)
        status = demo.wait(PATIENCE_SECONDS)
        if how == "KILL":
            _wait_until_nothing_is_left(tmp_path)
        else:
            assert status == 0
            assert demo.restored
    assert not belonging_to(tmp_path)
    assert not list(tmp_path.glob("c101-*"))


def _wait_until_nothing_is_left(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while belonging_to(folder) or any(folder.glob("c101-*")):
        assert time.monotonic() < deadline, belonging_to(folder)
        time.sleep(0.1)
