"""A small cluster of real processes, and ``c101ctl`` run on it as a process."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from c101.agents.runtime.process.power import kill_machine
from tests.processes import KVProcess

SLEEP = "[Service]\nExecStart=/bin/sleep infinity\n"
MACHINES = {"m1": "ctltestmachine0001", "m2": "ctltestmachine0002"}
METADATA = {"m1": "disk=ssd", "m2": "disk=hdd"}


@dataclass(frozen=True)
class Site:
    """Where commands run: endpoint ("" names none), environment, and a directory for unit files."""

    kv: str
    environment: dict[str, str]
    directory: Path

    def command(self, *arguments: str, kv: str | None = None) -> list[str]:
        endpoint = self.kv if kv is None else kv
        named = ["--kv", endpoint] if endpoint else []
        return [sys.executable, "-m", "c101.tui.ctl.main", *named, *arguments]

    def ctl(
        self, *arguments: str, kv: str | None = None, stdin: str = "", **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run ``c101ctl`` and return what came of it."""
        given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.run(
            self.command(*arguments, kv=kv),
            encoding="utf-8",
            errors="surrogateescape",
            input=stdin,
            timeout=30,
            env=self.environment,
            cwd=self.directory,
            check=False,
            **given,
        )

    def ok(self, *arguments: str, stdin: str = "") -> str:
        """Run it; it must succeed. Returns what it printed."""
        done = self.ctl(*arguments, stdin=stdin)
        assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run it with ``-o json``; it must succeed and print one document."""
        out = self.ok("-o", "json", *arguments)
        assert out.count("\n") == 1
        return json.loads(out)

    def fails(self, status: int, *arguments: str, kv: str | None = None) -> str:
        """Run it; it must fail with that status, print no result and no traceback."""
        done = self.ctl(*arguments, kv=kv)
        assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        return done.stderr

    def each(self, *commands: Sequence[str]) -> list[tuple[int, str, str]]:
        """Run several in one process, one after the other: (status, output, errors) of each."""
        named = ["--kv", self.kv] if self.kv else []
        done = subprocess.run(
            [sys.executable, "-c", _EACH, json.dumps([[*named, *one] for one in commands])],
            capture_output=True,
            text=True,
            timeout=30,
            env=self.environment,
            cwd=self.directory,
            check=True,
        )
        return [(one[0], one[1], one[2]) for one in json.loads(done.stdout)]

    def steps(self, *commands: str) -> list[str]:
        """Run several in one process; all must succeed. Returns what each printed.

        Arguments are split at blanks. Starting a process for each would be most of the time that
        these tests take.
        """
        done = self.each(*(command.split() for command in commands))
        failed = [one for one in zip(commands, done, strict=True) if one[1][0] != 0]
        assert not failed, failed
        return [out for _, out, _ in done]

    def unit(self, name: str) -> Any:
        """Return the row that ``list-units`` has of a unit, ``None`` without one."""
        rows = [row for row in self.json("list-units") if row["unit"] == name]
        return rows[0] if rows else None

    def write(self, name: str, text: str = SLEEP) -> str:
        """Write a unit file; return its path as a person would type it."""
        (self.directory / name).write_text(text)
        return f"./{name}"

    @contextmanager
    def running(self, *arguments: str, kv: str | None = None) -> Iterator["Running"]:
        """Run it beside the test; it is killed at the end."""
        process = subprocess.Popen(
            self.command(*arguments, kv=kv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            cwd=self.directory,
        )
        with process:
            try:
                yield Running(process)
            finally:
                process.kill()


_EACH = """
import contextlib, io, json, sys
from c101.tui.ctl.main import main
results = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["c101ctl", *arguments]
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            texts = [stream.buffer.getvalue().decode() for stream in (out, err)]
            results.append((end.code, *texts))
print(json.dumps(results))
"""


class Running:
    """A ``c101ctl`` that goes on."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process

    def line(self, *, error: bool = False, seconds: float = 15) -> str:
        """Return the next line of its output, or of its standard error."""
        stream = self.process.stderr if error else self.process.stdout
        assert stream is not None
        line = b""
        deadline = time.monotonic() + seconds
        # Byte by byte, so that nothing is left in a buffer that select does not see.
        while not line.endswith(b"\n"):
            ready, _, _ = select.select([stream], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no line within {seconds} s, only {line!r}"
            byte = os.read(stream.fileno(), 1)
            assert byte, f"it ended: {line!r}"
            line += byte
        return line.decode().rstrip("\n")

    def end(self, number: int) -> tuple[int, str]:
        """Send a signal; return its exit status and what is left of its standard error."""
        self.process.send_signal(number)
        _, error = self.process.communicate(timeout=15)
        return self.process.returncode, error.decode()


def environment(home: Path, pycache: Path) -> dict[str, str]:
    """Return an environment that names no cluster of whoever runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("C101_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        # Compiled once a run, not once a command.
        "PYTHONPYCACHEPREFIX": str(pycache),
    }


@contextmanager
def cluster(server: KVProcess, directory: Path, variables: dict[str, str]) -> Iterator[Site]:
    """Run an engine and two agents on *server*; ctl knows them as a cluster on this computer."""
    kv = f"unix://{server.unix}"
    processes = [
        _start([sys.executable, "-m", "c101.core.daemon", "engine", "--kv", kv], variables)
    ]
    try:
        processes += [_start(_agent(name, kv, directory), variables) for name in MACHINES]
        _register(kv, server, directory, Path(variables["XDG_STATE_HOME"]))
        units = directory / "units"
        units.mkdir()
        site = Site(kv, variables, units)
        until(lambda: _ready(site) == set(MACHINES), what="both machines have joined")
        yield site
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for machine in MACHINES.values():
            kill_machine(machine)


def _ready(site: Site) -> set[str]:
    return {row["name"] for row in site.json("list-machines") if row["state"] == "ready"}


def _start(command: Sequence[str], variables: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, env=variables, stderr=subprocess.DEVNULL)


def _agent(name: str, kv: str, directory: Path) -> list[str]:
    options = {
        "--kv": kv,
        "--name": name,
        "--machine-id": MACHINES[name],
        "--metadata": METADATA[name],
        "--socket-dir": str(directory / name / "s"),
        "--data-dir": str(directory / name / "d"),
    }
    flat = [word for pair in options.items() for word in pair]
    return [sys.executable, "-m", "c101.agents.host.main", *flat]


def _register(kv: str, server: KVProcess, directory: Path, state: Path) -> None:
    """Write down what ``local up`` writes down, so that agents are reached by their sockets."""
    machines = [
        {
            "id": MACHINES[name],
            "name": name,
            "ssh_host": "127.0.0.1",
            "ssh_port": 1,
            "socket_dir": str(directory / name / "s"),
        }
        for name in MACHINES
    ]
    document = {"kv": {"unix": kv, "http": server.url}, "ssh": {}, "machines": machines}
    folder = state / "c101" / "clusters"
    folder.mkdir(parents=True)
    (folder / "here.json").write_text(json.dumps(document))


def until(condition: Callable[[], bool], *, what: str, seconds: float = 20) -> None:
    """Wait for *condition*."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)
