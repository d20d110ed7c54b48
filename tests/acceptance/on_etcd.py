"""A cluster whose KV is three real etcd members: engines and agents, started as a person would."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from c101.agents.runtime.process import power
from tests.acceptance.cluster import Cluster, until

LEASE_SECONDS = 4
STOP_SECONDS_MAX = 15.0


@dataclass
class Program:
    """One of our programs as a process of its own, its output in a file."""

    arguments: Sequence[str]
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", *self.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.environment,
            )

    def send(self, number: signal.Signals) -> None:
        """Send a signal; SIGTERM and SIGKILL end it, and its end is waited for."""
        assert self.process is not None, "it is not running"
        self.process.send_signal(number)
        if number in {signal.SIGTERM, signal.SIGKILL}:
            self.process.wait(STOP_SECONDS_MAX)
            self.process = None

    def end(self) -> None:
        """Kill it, whatever state it is in."""
        if self.process is not None:
            self.send(signal.SIGKILL)


@dataclass
class Fleet:
    """Engines and agents on one KV, and the commands of a person who has its endpoints."""

    directory: Path
    cluster: Cluster
    #: what engine and agents are told besides
    flags: Sequence[str] = ()
    engines: dict[str, Program] = field(default_factory=dict)
    agents: dict[str, Program] = field(default_factory=dict)

    @property
    def urls(self) -> str:
        """The KV's endpoints, comma-separated."""
        return str(self.cluster.endpoints["kv"]["unix"])

    def start_engine(self, name: str) -> Program:
        """Start an engine called *name*."""
        arguments = ("c101.core.daemon", "engine", "--kv", self.urls, "--name", name)
        self.engines[name] = self._start(name, (*arguments, *self.flags))
        return self.engines[name]

    def start_agent(self, name: str) -> Program:
        """Start the agent of the machine called *name*."""
        place = self.directory / name
        options = {
            "--kv": self.urls,
            "--name": name,
            "--machine-id": machine_id(name),
            "--socket-dir": str(place / "run"),
            "--data-dir": str(place / "data"),
            "--lease-ttl": str(LEASE_SECONDS),
        }
        words = [word for pair in options.items() for word in pair]
        self.agents[name] = self._start(name, ("c101.agents.host.main", *words, *self.flags))
        return self.agents[name]

    def leader(self) -> str:
        """Return the name under the leader's key; "" when no engine leads."""
        key = "/c101/lease/engine-leader"
        return self.cluster.etcdctl("get", key, "--print-value-only").strip()

    def states(self) -> dict[str, str]:
        """Return the machines' states by name."""
        return {row["name"]: row["state"] for row in self.cluster.json("list-machines")}

    def run(self, *units: str) -> dict[str, int]:
        """Submit and start units that sleep; return their main PIDs."""
        for unit in units:
            self.cluster.submit(unit, "[Service]\nExecStart=/bin/sleep infinity\n")
        self.cluster.ok("start", *units, timeout=90)
        return {unit: self.cluster.main_pid(unit) for unit in units}

    def pids(self, units: Sequence[str]) -> dict[str, int]:
        """Return the main PIDs that the cluster knows of active *units*, once all are active."""

        def all_active() -> bool:
            rows = self.cluster.units()
            return all(rows[unit]["active"] == "active" for unit in units)

        until(all_active, seconds=60, what=f"{units} are reported active")
        return {unit: self.cluster.main_pid(unit) for unit in units}

    def end(self) -> None:
        """End engines and agents, then what runs on the machines."""
        for program in (*self.engines.values(), *self.agents.values()):
            program.end()
        for name in self.agents:
            power.kill_machine(machine_id(name))

    def _start(self, name: str, arguments: Sequence[str]) -> Program:
        program = Program(arguments, self.directory / f"{name}.log", self.cluster.environment)
        program.start()
        return program


def machine_id(name: str) -> str:
    """Return an id for the machine called *name*, another one in every test process."""
    return f"{os.getpid():08x}{name.encode().hex():0>24}"


@contextlib.contextmanager
def running_fleet(
    directory: Path,
    urls: str,
    environment: dict[str, str],
    *,
    machines: Sequence[str],
    flags: Sequence[str] = (),
) -> Iterator[Fleet]:
    """Run an engine called ``first`` and the agents of *machines* on the KV at *urls*."""
    directory.mkdir()
    # etcdctl takes no blanks.
    endpoints = {"kv": {"unix": urls, "http": urls.replace(" ", "")}}
    fleet = Fleet(directory, Cluster(directory, endpoints, environment), flags)
    try:
        fleet.start_engine("first")
        for name in machines:
            fleet.start_agent(name)
        ready = dict.fromkeys(machines, "ready")
        until(lambda: fleet.states() == ready, seconds=60, what="every machine has joined")
        yield fleet
    finally:
        fleet.end()
