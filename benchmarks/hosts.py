"""The agent on real machines: a unit's start through KV, engine and systemd, and what it costs.

Boots three machines (tests/lab) with the agent as a service, and ends them. Prints a Markdown
table. Wants root and systemd-nspawn.
"""

import argparse
import asyncio
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from c101.agents.host.service_unit import NAME
from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.model.unit import TargetState
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.mirror import Mirror
from c101.core.registry.registry import Registry
from c101.core.rpc.dial import dialer_for
from tests.lab.machine import Machine
from tests.systemd.cluster import Cluster, missing, running_cluster

UNITS = 50
#: Started again and again, which systemd's own limit (five in ten seconds) would end.
TEXT = "[Unit]\nStartLimitIntervalSec=0\n[Service]\nType=exec\nExecStart=/bin/sleep infinity\n"
GLOBAL = "[Service]\nExecStart=/bin/sleep infinity\n[X-Fleet]\nGlobal=true\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--idle-seconds", type=float, default=30.0)
    options = parser.parse_args()
    if reason := missing():
        print(f"Not measured: no machine can be booted here, {reason}.")
        return
    with (
        tempfile.TemporaryDirectory(prefix="c101h") as name,
        running_cluster(Path(name), 3) as cluster,
    ):
        found = asyncio.run(_starts(cluster.site.kv, options.rounds))
        print(
            "| a unit, from the request | median | least | most | rounds |\n|---|---|---|---|---|"
        )
        for what, seconds in found.items():
            shown = [1000 * one for one in seconds]
            print(
                f"| {what} | {statistics.median(shown):.0f} ms | {min(shown):.0f} ms "
                f"| {max(shown):.0f} ms | {len(shown)} |"
            )
        asyncio.run(_hold(cluster.site.kv, UNITS))
        machine = cluster.lab.machines[0]
        share, resident = _idle(cluster, machine, options.idle_seconds)
        print(f"\n| the agent, {UNITS} units, idle for {options.idle_seconds:g} s | |\n|---|---|")
        print(f"| of a processor | {share:.2f}% |\n| resident | {resident:.0f} MiB |")
        told = machine.run("systemd-analyze", "security", NAME, check=False).stdout
        level = re.search(r"exposure level for \S+: ([\d.]+ \w+)", told)
        print(f"| exposure (`systemd-analyze security`) | {level[1] if level else 'unknown'} |")


@asynccontextmanager
async def _registry(kv: str) -> AsyncIterator[tuple[Registry, Mirror]]:
    clock = SystemClock()
    async with Client([dialer_for(kv)], clock=clock) as client:
        mirror = Mirror(client, Keyspace(), clock)
        running = asyncio.create_task(mirror.run())
        try:
            yield Registry(client, Keyspace(), clock), mirror
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def _starts(kv: str, rounds: int) -> dict[str, list[float]]:
    """Start and stop one unit; return what each took until its state was in the KV."""
    found: dict[str, list[float]] = {"started: until `active`": [], "stopped: until `inactive`": []}
    async with _registry(kv) as (registry, mirror):
        await registry.submit("timed.service", TEXT)
        for _ in range(rounds):
            for target, active, seconds in zip(
                (TargetState.LAUNCHED, TargetState.LOADED),
                ("active", "inactive"),
                found.values(),
                strict=True,
            ):
                began = time.perf_counter()
                await registry.set_target("timed.service", target)
                await _until(mirror, "timed.service", active)
                seconds.append(time.perf_counter() - began)
                await asyncio.sleep(0.2)
        await registry.destroy("timed.service")
    return found


async def _until(mirror: Mirror, unit: str, active: str) -> None:
    changed = asyncio.Event()
    mirror.subscribe(changed.set)
    while not any(
        state.active == active for (name, _), state in mirror.state.states.items() if name == unit
    ):
        changed.clear()
        await changed.wait()


async def _hold(kv: str, units: int) -> None:
    """Have every machine run so many units."""
    async with _registry(kv) as (registry, mirror):
        for number in range(units):
            await registry.submit(f"held{number}.service", GLOBAL)
            await registry.set_target(f"held{number}.service", TargetState.LAUNCHED)
        while sum(state.active == "active" for state in mirror.state.states.values()) < 3 * units:
            await asyncio.sleep(0.1)


def _idle(cluster: Cluster, machine: Machine, seconds: float) -> tuple[float, float]:
    """Return the share of a processor, in percent, and the MiB that an idle agent takes."""
    time.sleep(10)
    before = int(cluster.show(machine, NAME, "CPUUsageNSec"))
    time.sleep(seconds)
    used = int(cluster.show(machine, NAME, "CPUUsageNSec")) - before
    pid = cluster.show(machine, NAME, "MainPID")
    status = machine.run("cat", f"/proc/{pid}/status").stdout
    resident = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert resident is not None
    return used / seconds / 1e7, int(resident[1]) / 1024


if __name__ == "__main__":
    main()
