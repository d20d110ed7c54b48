"""Many machines on this computer, each reached by the gateway of its agent.

Starts them as ``c101ctl local up`` does, and ends them. Prints a Markdown table. All of them share
the processors of this computer with what is measured.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.reach import print_reached
from c101.agents.ssh.dial import SshTarget
from c101.agents.ssh.endpoints import machine_target
from c101.core.clock import SystemClock
from c101.core.config import resolve
from c101.core.etcd.client import Client
from c101.core.registry.keyspace import Keyspace
from c101.core.registry.registry import Registry
from c101.core.rpc.dial import dialer_for

CTL = str(Path(sys.executable).with_name("c101ctl"))
#: Fifty agents start on two processors.
SECONDS_MAX = 300.0


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="c101b") as name:
        os.environ["XDG_STATE_HOME"] = f"{name}/state"
        where = ("--dir", f"{name}/cluster")
        began = time.perf_counter()
        up = _run("local", "up", "--machines", str(options.machines), *where, "-o", "json")
        took = time.perf_counter() - began
        print(f"| `local up` of {options.machines} machines, until all have joined | |\n|---|---|")
        print(f"| as a whole command | {took:.1f} s |")
        try:
            kv = json.loads(up)["kv"]["unix"]
            print_reached(asyncio.run(_targets(kv)), options.rounds)
        finally:
            _run("local", "down", *where)


def _run(*arguments: str) -> str:
    done = subprocess.run(
        (CTL, *arguments), check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS_MAX
    )
    return done.stdout


async def _targets(kv: str) -> list[SshTarget]:
    address = resolve(kv=kv, cluster=None, environ=os.environ)
    clock = SystemClock()
    async with Client([dialer_for(kv)], clock=clock) as client:
        machines = await Registry(client, Keyspace(), clock).machines()
    return [machine_target(machine, address.ssh) for machine in machines]


if __name__ == "__main__":
    main()
