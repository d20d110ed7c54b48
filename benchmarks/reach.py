"""How long it takes until many machines have said what they are and what they run."""

import asyncio
import statistics
import time
from collections.abc import Sequence

from c101.agents.client.agent_client import AgentClient
from c101.agents.ssh.dial import SshLink, SshTarget
from c101.agents.ssh.endpoints import AGENT_COMMAND
from c101.core.clock import SystemClock
from c101.core.rpc.channel import Channel

#: Handshakes under way at once, as the console has them.
AT_ONCE = 32
COUNTS = (1, 5, 10, 20, 50)


def print_reached(targets: Sequence[SshTarget], rounds: int) -> None:
    """Print a table: so many of *targets* at once, *rounds* times each."""
    print(
        "\n| machines | connected, and every unit known: median | least | most |\n|---|---|---|---|"
    )
    for count in COUNTS:
        if count > len(targets):
            break
        found = [asyncio.run(_reach(targets[:count])) for _ in range(rounds)]
        print(
            f"| {count} | {statistics.median(found):.2f} s | {min(found):.2f} s "
            f"| {max(found):.2f} s |",
            flush=True,
        )


async def _reach(targets: Sequence[SshTarget]) -> float:
    clock, gate = SystemClock(), asyncio.Semaphore(AT_ONCE)
    began = time.perf_counter()
    links = [SshLink(target, clock, gate=gate) for target in targets]

    async def one(link: SshLink) -> None:
        channel = Channel(link.dialer(AGENT_COMMAND))
        client = AgentClient(channel)
        await client.facts()
        await client.units()
        await channel.close()

    await asyncio.gather(*map(one, links))
    took = time.perf_counter() - began
    await asyncio.gather(*(link.close() for link in links))
    return took
