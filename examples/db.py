"""A small data service: counts what it is asked for, and says so."""

import argparse
import asyncio

from c101.examples import http


async def _main(name: str, address: str, port: int) -> None:
    rows: dict[str, int] = {}

    async def answer(path: str) -> str:
        rows[path] = rows.get(path, 0) + 1
        print(f"row {rows[path]} of {path}", flush=True)
        return f"{name} has {rows[path]} rows"

    print(f"{name} serves on {address}:{port}", flush=True)
    await http.serve(address, port, answer)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(_main(options.name, options.address, options.port))
