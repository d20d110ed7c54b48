"""Many real machines at once: made members over SSH, reached by a console, their journals followed.

Boots machines (tests/lab), makes them a cluster by ``c101ctl init`` and ``machines add``, and ends
them. Prints Markdown tables. All machines share the processors of this computer with what is
measured. Wants root and systemd-nspawn.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.reach import AT_ONCE, print_reached
from c101.agents.client.agent_client import AgentClient, JournalMatch
from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.endpoints import AGENT_COMMAND
from c101.core.clock import SystemClock
from c101.core.rpc.channel import Channel
from tests.lab.lab import Lab
from tests.lab.machine import Machine
from tests.systemd.cluster import missing, until
from tests.systemd.person import Person

COUNTER = """\
[Unit]
StartLimitIntervalSec=0
[Service]
LogRateLimitIntervalSec=0
ExecStart={python} -c "{program}"
[X-Fleet]
Global=true
"""
#: Prints numbered lines, so many a second, a hundred times a second as many as are due.
PROGRAM = (
    "import sys,time; b=time.monotonic(); n=0\\nwhile True:\\n"
    "  due=int((time.monotonic()-b)*{rate})\\n"
    "  sys.stdout.write(''.join('line %d\\\\n' % i for i in range(n,due))); sys.stdout.flush()\\n"
    "  n=due; time.sleep(0.01)"
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machines", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rates", default="50,200,1000", help="lines a second, of each machine")
    parser.add_argument("--follow-seconds", type=float, default=10.0)
    options = parser.parse_args()
    if reason := missing():
        print(f"Not measured: no machine can be booted here, {reason}.")
        return
    with tempfile.TemporaryDirectory(prefix="c101m") as home, Lab(options.machines) as lab:
        person = Person(Path(home), lab)
        os.environ["HOME"] = home
        _members(person, options.machines)
        print_reached([target(lab, machine) for machine in lab.machines], options.rounds)
        _journals(person, [int(rate) for rate in options.rates.split(",")], options.follow_seconds)


def _members(person: Person, machines: int) -> None:
    print("| made a member, as a whole command | |\n|---|---|")

    def timed(what: str, command: str) -> None:
        began = time.perf_counter()
        person.types(command)
        print(f"| {what} | {time.perf_counter() - began:.1f} s |", flush=True)

    timed("`init` of the first", "c101ctl init --accept-new --cluster prod root@m1")
    timed("`machines add` of one", "c101ctl machines add --accept-new root@m2")
    others = " ".join(f"root@m{number}" for number in range(3, machines + 1))
    if others:
        count = machines - 2
        timed(f"`machines add` of {count} at once", f"c101ctl machines add --accept-new {others}")
    timed("`machines add` of all again", "c101ctl machines add root@m1 root@m2 " + others)


def target(lab: Lab, machine: Machine) -> SshTarget:
    """Return a machine as it is logged in to."""
    return SshTarget(
        host=machine.address,
        user="root",
        identity=lab.key,
        host_keys=((machine.root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().strip(),),
        config=(),
    )


def _journals(person: Person, rates: Sequence[int], seconds: float) -> None:
    """Print what of the lines that all machines print at once arrives, and when."""
    print(
        "\n| lines/s of each machine | printed/s | followed/s | from printed to followed: median "
        "| p99 | lost or twice |\n|---|---|---|---|---|---|"
    )
    for rate in rates:
        program = PROGRAM.format(rate=rate).replace("%", "%%")
        path = person.home / f"count{rate}.service"
        path.write_text(COUNTER.format(python="/usr/bin/python3", program=program))
        person.types(f"c101ctl start {path}")
        until(lambda: all(row["active"] == "active" for row in person.site.json("list-units")))
        found = asyncio.run(_follow(person.lab, path.name, seconds))
        person.types(f"c101ctl destroy {path.name}")
        lines = [line for lines in found for line in lines]
        delays = sorted(delay for _, delay in lines)
        spans = sum(lines[-1][0] - lines[0][0] + 1 for lines in found if lines)
        print(
            f"| {rate:,} | {rate * len(found):,} | {len(lines) / seconds:,.0f} "
            f"| {1_000 * statistics.median(delays):.0f} ms "
            f"| {1_000 * delays[len(delays) * 99 // 100]:.0f} ms | {spans - len(lines):,} |",
            flush=True,
        )


async def _follow(lab: Lab, unit: str, seconds: float) -> list[list[tuple[int, float]]]:
    """Return of each machine the numbers of its lines, and how late they arrived, in seconds."""
    clock = SystemClock()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(machine: Machine) -> list[tuple[int, float]]:
        lines: list[tuple[int, float]] = []
        link = SshLink(target(lab, machine), clock, gate=gate)
        channel = Channel(link.dialer(AGENT_COMMAND))
        match = JournalMatch(units=(unit,))
        try:
            async with AgentClient(channel).journal(match, lines=1, follow=True) as batches:
                following.append(machine.name)
                async for batch in batches:
                    now = clock.time()
                    if len(following) == len(lab.machines):
                        lines += [
                            (int(entry.message[5:]), now - entry.realtime_us / 1e6)
                            for entry in batch.entries
                            if entry.message.startswith(b"line ")
                        ]
        except asyncio.CancelledError:
            return lines
        finally:
            await channel.close()
            await link.close()
        return lines

    following: list[str] = []
    tasks = [asyncio.create_task(one(machine)) for machine in lab.machines]
    while len(following) < len(tasks):
        await asyncio.sleep(0.01)
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    return list(await asyncio.gather(*tasks))


if __name__ == "__main__":
    main()
