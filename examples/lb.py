"""One port in front of whatever is registered under /services/web/, in turn."""

import argparse
import asyncio
from itertools import count

from c101.examples import http
from c101.examples.registered import Registered

CONNECT_SECONDS_MAX = 0.5


class Balancer:
    """Passes each connection to the next upstream that accepts it."""

    def __init__(self, upstreams: dict[str, str]) -> None:
        self._upstreams = upstreams
        self._turn = count()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client."""
        try:
            upstream = await self._connect()
            if upstream is None:
                writer.write(http.page("no web unit answers\n", "503 Service Unavailable"))
                await writer.drain()
                return
            back, forth = upstream
            try:
                await asyncio.gather(_copy(reader, forth), _copy(back, writer))
            finally:
                forth.close()
        except OSError:
            pass  # one of the two went away
        finally:
            writer.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        names = sorted(self._upstreams)
        first = next(self._turn)
        for turn in range(len(names)):
            name = names[(first + turn) % len(names)]
            host, _, port = self._upstreams[name].rpartition(":")
            try:
                async with asyncio.timeout(CONNECT_SECONDS_MAX):
                    connection = await asyncio.open_connection(host, int(port))
            except (OSError, ValueError, TimeoutError):
                print(f"<4>upstream web@{name} does not answer, trying the next", flush=True)
                continue
            print(f"passed to web@{name}", flush=True)
            return connection
        return None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _main(address: str, port: int) -> None:
    services = Registered("/services/web/")
    balancer = Balancer(services.found)
    server = await asyncio.start_server(balancer.connected, address, port, reuse_port=True)
    print(f"lb serves on http://{address}:{port}", flush=True)
    async with server, asyncio.TaskGroup() as group:
        group.create_task(services.follow())


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(_main(options.address, options.port))
