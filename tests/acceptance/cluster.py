"""A cluster on this computer as a user has it: the commands, and what they print."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from c101.examples import unit_files

BIN = Path(sys.executable).parent
#: A stranger's unit: fleet's first example, a shell loop that prints.
HELLO = unit_files()["hello.service"]


@dataclass(frozen=True)
class Cluster:
    """A running cluster: its directory, its endpoints, and the environment commands run in."""

    directory: Path
    endpoints: Any
    environment: dict[str, str]

    def ctl(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run ``c101ctl`` against this cluster."""
        return subprocess.run(
            [BIN / "c101ctl", "--kv", self.endpoints["kv"]["unix"], *arguments],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment,
            check=False,
        )

    def ok(self, *arguments: str, timeout: float = 60) -> str:
        """Run ``c101ctl``, which must succeed, and return what it printed."""
        done = self.ctl(*arguments, timeout=timeout)
        assert done.returncode == 0, (arguments, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run ``c101ctl -o json`` and decode its document."""
        return json.loads(self.ok("-o", "json", *arguments))

    def local(self, verb: str, *arguments: str) -> str:
        """Run ``c101ctl local`` on this cluster's directory."""
        done = run_ctl(
            "local", verb, "--dir", str(self.directory), *arguments, env=self.environment
        )
        assert done.returncode == 0, (verb, arguments, done.stdout, done.stderr)
        return done.stdout

    def etcdctl(self, *arguments: str, stdin: str = "") -> str:
        """Run Debian's etcdctl against the printed endpoint."""
        files = ("CACERT", "CERT", "KEY")
        ours = {name: self.environment.get(f"C101_KV_{name}") for name in files}
        shown = {f"ETCDCTL_{name}": file for name, file in ours.items() if file}
        done = subprocess.run(
            ["etcdctl", "--endpoints", self.endpoints["kv"]["http"], *arguments],
            capture_output=True,
            text=True,
            timeout=30,
            input=stdin,
            env={**os.environ, "ETCDCTL_API": "3", **shown},
            check=False,
        )
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done.stdout

    def submit(self, name: str, text: str) -> None:
        """Submit a unit of that text."""
        path = self.directory / "submitted" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        self.ok("submit", str(path))

    def units(self) -> dict[str, Any]:
        """Return list-units by unit name (of a global unit, one of its rows)."""
        return {row["unit"]: row for row in self.json("list-units")}

    def unit(self, name: str) -> Any:
        """Return the row of one unit."""
        return self.units()[name]

    def machine(self, name: str) -> Any:
        """Return the endpoints' entry of the machine called *name*."""
        (found,) = (m for m in self.endpoints["machines"] if m["name"] == name)
        return found

    def status(self) -> Any:
        """Return the endpoints as they are now."""
        return json.loads(self.local("status", "-o", "json"))

    def main_pid(self, unit: str) -> int:
        """Return the main PID that the cluster knows for *unit*."""
        out = self.etcdctl("get", "--prefix", f"/c101/states/{unit}/", "--print-value-only")
        return int(json.loads(out.strip().splitlines()[0])["main_pid"])


def run_ctl(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``c101ctl`` without a cluster."""
    return subprocess.run(
        [BIN / "c101ctl", *arguments],
        capture_output=True,
        text=True,
        timeout=90,
        env=env,
        check=False,
    )


def until(condition: Callable[[], bool], *, seconds: float, what: str) -> float:
    """Wait for *condition*; return how long it took. Fails after *seconds*."""
    begin = time.monotonic()
    while not condition():
        passed = time.monotonic() - begin
        assert passed < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - begin


def is_running(pid: int) -> bool:
    """Say whether *pid* runs; one that ended and that nobody has asked about yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
