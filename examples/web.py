"""A page, with something of the data's master in it."""

import argparse
import asyncio

from c101.examples import http
from c101.examples.registered import Registered


async def _main(name: str, address: str, port: int) -> None:
    services = Registered("/services/db")

    async def answer(_path: str) -> str:
        return f"hello from {name}: {await _data(services.found)}\n"

    print(f"{name} serves on {address}:{port}", flush=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(services.follow())
        group.create_task(http.serve(address, port, answer))


async def _data(databases: dict[str, str]) -> str:
    """Ask the master that the KV names; its absence is told, not an error."""
    master = databases.get("-master", "")  # the keys are /services/db1, /services/db-master ...
    address = databases.get(master.removeprefix("db"))
    if not master or address is None:
        return "no database is registered"
    try:
        return await http.get(address, "/page")
    except (OSError, TimeoutError) as error:
        print(f"<4>{master} does not answer: {error}", flush=True)
        return f"{master} does not answer"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(_main(options.name, options.address, options.port))
