"""The processes of ``benchmarks.loop``: a server that times its turns, and small requests."""

import asyncio
import gc
import json
import os
import selectors
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from c101.core.clock import SystemClock
from c101.core.kvserver.collection import tune_interpreter
from c101.core.kvserver.server import KvServer
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import TcpDialer

# ---- the server that is measured from inside ----


class TurnTimer(selectors.EpollSelector):
    """A selector that notes the CPU time of the loop's thread between two waits."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.thread_time()
        self.longest = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait, and time the turn that ends here."""
        self.longest = max(self.longest, time.thread_time() - self._began)
        ready = super().select(timeout)
        self._began = time.thread_time()
        return ready


class CollectionTimer:
    """The longest pass of the garbage collector."""

    def __init__(self) -> None:
        self._began = 0.0
        self.longest = 0.0
        gc.callbacks.append(self._on)

    def _on(self, phase: str, _info: dict[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._began = now
        else:
            self.longest = max(self.longest, now - self._began)


async def serve(directory: Path, turns: TurnTimer) -> None:
    """Serve until standard input ends; every line there is answered with the longest turn since."""
    collections = CollectionTimer()
    async with KvServer(directory, SystemClock()) as server:
        print(await server.listen_tcp("127.0.0.1", 0), flush=True)
        tune_interpreter()
        ended = asyncio.Event()

        def report() -> None:
            if not os.read(0, 100):
                ended.set()
                return
            print(json.dumps([turns.longest, collections.longest]), flush=True)
            turns.longest = collections.longest = 0.0

        asyncio.get_running_loop().add_reader(0, report)
        await ended.wait()
        asyncio.get_running_loop().remove_reader(0)


# ---- the small requests ----


async def probe(port: int) -> None:
    """Put and get in turn; every line on standard input is answered with what each took."""
    channel = Channel(TcpDialer("127.0.0.1", port))
    took: dict[str, list[float]] = {"put": [], "get": []}
    ended = asyncio.Event()

    def report() -> None:
        if not os.read(0, 100):
            ended.set()
            asyncio.get_running_loop().remove_reader(0)
            return
        print(json.dumps(took), flush=True)
        for found in took.values():
            found.clear()

    asyncio.get_running_loop().add_reader(0, report)
    put = rpc_pb2.PutRequest(key=b"probe", value=b"v").SerializeToString()
    get = rpc_pb2.RangeRequest(key=b"probe").SerializeToString()
    while not ended.is_set():
        for name, path, body in (("put", "Put", put), ("get", "Range", get)):
            began = time.perf_counter()
            await channel.unary(f"/etcdserverpb.KV/{path}", body)
            took[name].append(time.perf_counter() - began)
    await channel.close()


# ---- processes ----


@dataclass
class Child:
    """A process that answers lines."""

    process: subprocess.Popen[str]

    @classmethod
    def start(cls, *arguments: str) -> "Child":
        """Start this script with *arguments*."""
        command = [sys.executable, "-m", "benchmarks.loop", *arguments]
        pipe = subprocess.PIPE
        return cls(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))

    def ask(self) -> str:
        """Return the answer to one line."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.line()

    def line(self) -> str:
        """Return the next line it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self) -> None:
        """Close its standard input, which ends it."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(30)
