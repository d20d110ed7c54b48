"""A pipe that is read on the loop, and is gone when nobody reads it any more."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def read_pipe(limit: int) -> AsyncIterator[tuple[asyncio.StreamReader, int]]:
    """Give the reader of a pipe that holds *limit* bytes unread, and the end to write to.

    That end is the caller's to close, once it was handed on. asyncio's own pipe to a process stays
    open, and is complained of, where its reading was paused and nobody went on.
    """
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader(limit=limit)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader),
        os.fdopen(read_end, "rb", buffering=0),
    )
    try:
        yield reader, write_end
    finally:
        transport.close()
