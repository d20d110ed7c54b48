"""A process that holds a unit runtime, to be killed: ``python agent.py DIRECTORY MACHINE [UNIT]``.

With a unit file on standard input it loads and starts UNIT. It prints one line of JSON when all
units are adopted or started, and then waits to be killed.
"""

import asyncio
import json
import sys
from pathlib import Path

from c101.agents.runtime.process.unit_manager import ProcessUnitManager
from c101.core.clock import SystemClock


async def main(directory: str, machine_id: str, *units: str) -> None:
    clock = SystemClock()
    async with ProcessUnitManager(Path(directory), machine_id=machine_id, clock=clock) as manager:
        for name in units:
            await manager.load(name, sys.stdin.read(), unit_hash="h")
            await manager.start(name)
        held = {unit.name: unit.main_pid for unit in await manager.units()}
        print(json.dumps(held), flush=True)
        await clock.sleep(1000)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
