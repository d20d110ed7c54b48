"""A cluster on machines of the lab: KV and engine here, the agent a service on each of them."""

import json
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from c101.agents.host.service_unit import NAME, agent_unit
from tests.ctl.site import Site
from tests.lab import image
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.processes import KVProcess, running_kv

T = TypeVar("T")

REPOSITORY = Path(__file__).parents[2]
TTL_SECONDS = 6
PATIENCE_SECONDS = 30.0
SLEEPER = "[Service]\nExecStart=/bin/sleep 100000\n"


def missing() -> str:
    """Return why there can be no such cluster here, or an empty string."""
    if sys.version_info[:2] != (3, 11):
        return "the machines have Python 3.11, this is another"
    return image.missing()


def binds() -> dict[str, Path]:
    """Return what a machine sees of this computer to run what is in this repository."""
    return {"/c101": REPOSITORY, "/packages": Path(sysconfig.get_paths()["purelib"])}


class Cluster:
    """A KV and an engine here, agents on machines of their own."""

    def __init__(self, lab: Lab, kv: KVProcess, site: Site) -> None:
        self.lab = lab
        self.kv = kv
        self.site = site

    def machine(self, name: str) -> Machine:
        return next(machine for machine in self.lab.machines if machine.name == name)

    def machines(self) -> dict[str, str]:
        return {row["name"]: row["state"] for row in self.site.json("list-machines")}

    def start(self, name: str, text: str = SLEEPER) -> Machine:
        """Start a unit; return where it runs."""
        self.site.ok("start", self.site.write(name, text))
        return self.machine(self.site.unit(name)["machine"])

    def agent_since(self, machine: Machine) -> float | None:
        """Return when the agent that is heard of began; ``None`` while there is none."""
        rows = {row["name"]: row["id"] for row in self.site.json("list-machines")}
        key = f"/c101/machines/{rows[machine.name]}/presence"
        done = self.site.ctl("get", "--raw", key)
        return float(json.loads(done.stdout)["since"]) if done.returncode == 0 else None

    def show(self, machine: Machine, unit: str, name: str) -> str:
        return machine.run(
            "systemctl", "show", "--value", f"--property={name}", unit
        ).stdout.strip()


def until(what: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """Return the first true value of *what*."""
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)
    return found


@contextmanager
def running_cluster(directory: Path, machines: int) -> Iterator[Cluster]:
    """Run a cluster of so many machines, all of them ready; it is ended afterwards."""
    places = {name: directory / name for name in ("kv", "home", "work")}
    for place in places.values():
        place.mkdir()
    with running_kv(places["kv"]) as kv:
        assert kv.unix is not None
        environment = {"HOME": str(places["home"]), "PATH": "/usr/bin:/bin"}
        site = Site(f"unix://{kv.unix}", environment, places["work"])
        engine = [sys.executable, "-m", "c101.core.daemon", "engine", "--kv", site.kv]
        with (
            subprocess.Popen(engine, stderr=subprocess.DEVNULL) as process,
            Lab(machines, binds={**binds(), "/kv": kv.unix.parent}) as lab,
        ):
            try:
                for machine in lab.machines:
                    install(machine, f"unix:///kv/{kv.unix.name}")
                cluster = Cluster(lab, kv, site)
                until(lambda: list(cluster.machines().values()) == ["ready"] * machines)
                yield cluster
            finally:
                process.terminate()


def install(machine: Machine, kv: str) -> None:
    """Install the agent as a service that starts with the machine."""
    argv = ["/usr/bin/python3", "-P", "-m", "c101.agents.host.main", "--kv", kv]
    argv += ["--lease-ttl", str(TTL_SECONDS), "--metadata", f"name={machine.name}"]
    argv += ["--address", machine.address]
    environment = [("PYTHONPATH", "/c101:/packages"), ("PYTHONDONTWRITEBYTECODE", "1")]
    units = machine.root / "etc" / "systemd" / "system"
    (units / NAME).write_text(agent_unit(argv, environment))
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", NAME)
