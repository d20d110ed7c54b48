"""Just enough HTTP/1.1 for the example: GET, one request a connection."""

import asyncio
from collections.abc import Awaitable, Callable

HEAD_BYTES_MAX = 16_384
IDLE_SECONDS_MAX = 10.0

Handler = Callable[[str], Awaitable[str]]


async def serve(address: str, port: int, handler: Handler) -> None:
    """Answer GET requests: *handler* gets the path and returns the page's text."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(IDLE_SECONDS_MAX):
                head = await reader.readuntil(b"\r\n\r\n")
                method, path, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
                text = await handler(path) if method == "GET" else "only GET is served here\n"
                writer.write(page(text))
                await writer.drain()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError):
            pass  # a client that does not speak HTTP, or went away
        finally:
            writer.close()

    # A copy of this unit that is being replaced elsewhere on this computer may hold the port still.
    server = await asyncio.start_server(
        connected, address, port, limit=HEAD_BYTES_MAX, reuse_port=True
    )
    async with server:
        await server.serve_forever()


def page(text: str, status: str = "200 OK") -> bytes:
    """Return *text* as a whole response."""
    body = text.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


async def get(address: str, path: str) -> str:
    """Fetch *path* from *address* (``host:port``). Raises OSError or TimeoutError."""
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(IDLE_SECONDS_MAX):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
            await writer.drain()
            answer = await reader.read()
        finally:
            writer.close()
    return answer.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
