"""How long one request holds the KV's loop: the longest turn, and what others notice of it.

    .venv/bin/python -m benchmarks.loop [--keys 100000] [--rounds 3] [--directory DIR]

Each heavy request is made on a connection of its own while another process puts and gets a small
key, one at a time. Two servers are asked. One runs on asyncio's loop with a selector that takes the
time between two waits: that is one turn, given as CPU time of the loop's thread (what else runs on
the machine does not count), with the longest pass of the garbage collector in it. The other is
``c101-core kv`` as it is; of it the 99th percentile and the maximum of what the small requests took
are given. Prints a Markdown table: medians over the rounds, but for maxima.
"""

import argparse
import asyncio
import gc
import json
import os
import selectors
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from c101.core.clock import SystemClock
from c101.core.kvserver.server import KvServer, tune_interpreter
from c101.core.proto import rpc_pb2
from c101.core.rpc.channel import Channel
from c101.core.rpc.dial import TcpDialer
from c101.core.rpc.limits import Limits

VALUE_BYTES = 256
PUTS_IN_FLIGHT = 500
LEASE = 77
LOW, HIGH = b"k", b"l"
_LIMITS = Limits(message_bytes_max=1 << 30, held_bytes_max=1 << 30)


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


# ---- the heavy requests ----


class Heavy:
    """One connection for heavy requests."""

    def __init__(self, port: int, keys: int) -> None:
        self.channel = Channel(TcpDialer("127.0.0.1", port), limits=_LIMITS)
        self.keys = keys
        self.filled_at = 0

    async def call(self, method: str, request: bytes) -> bytes:
        """Make one call."""
        return await self.channel.unary(f"/etcdserverpb.{method}", request)

    async def range(self, **options: object) -> None:
        """Range over all the keys."""
        request = rpc_pb2.RangeRequest(key=LOW, range_end=HIGH, **options)  # type: ignore[arg-type]
        await self.call("KV/Range", request.SerializeToString())

    async def fill(self, lease: int = 0) -> None:
        """Put every key."""
        for first in range(0, self.keys, PUTS_IN_FLIGHT):
            await asyncio.gather(
                *(
                    self.call(
                        "KV/Put",
                        rpc_pb2.PutRequest(
                            key=b"k%07d" % number, value=os.urandom(VALUE_BYTES), lease=lease
                        ).SerializeToString(),
                    )
                    for number in range(first, min(first + PUTS_IN_FLIGHT, self.keys))
                )
            )
        self.filled_at = await self.revision()

    async def revision(self) -> int:
        """Return the store's revision."""
        answer = await self.call("KV/Range", rpc_pb2.RangeRequest(key=b"x").SerializeToString())
        return rpc_pb2.RangeResponse.FromString(answer).header.revision

    async def delete(self, *, prev_kv: bool = False) -> None:
        """Delete every key by one request."""
        request = rpc_pb2.DeleteRangeRequest(key=LOW, range_end=HIGH, prev_kv=prev_kv)
        await self.call("KV/DeleteRange", request.SerializeToString())

    async def delete_watched(self, *, start: int = 0) -> None:
        """Delete, or catch up with a deletion, while a watch of all keys reads the events."""
        create = rpc_pb2.WatchCreateRequest(key=LOW, range_end=HIGH, start_revision=start)
        async with self.channel.stream("/etcdserverpb.Watch/Watch") as stream:
            stream.send(rpc_pb2.WatchRequest(create_request=create).SerializeToString())
            seen = 0
            async for message in stream:
                response = rpc_pb2.WatchResponse.FromString(message)
                seen += len(response.events)
                if response.created and not start:
                    deletion = asyncio.create_task(self.delete())
                if seen >= self.keys:
                    break
            if not start:
                await deletion

    async def txn_delete(self) -> None:
        """Delete every key by a transaction."""
        request = rpc_pb2.TxnRequest()
        operation = request.success.add().request_delete_range
        operation.key, operation.range_end = LOW, HIGH
        await self.call("KV/Txn", request.SerializeToString())

    async def grant(self) -> None:
        """Grant the lease."""
        request = rpc_pb2.LeaseGrantRequest(ID=LEASE, TTL=3600)
        await self.call("Lease/LeaseGrant", request.SerializeToString())

    async def time_to_live(self) -> None:
        """List the lease's keys."""
        request = rpc_pb2.LeaseTimeToLiveRequest(ID=LEASE, keys=True)
        await self.call("Lease/LeaseTimeToLive", request.SerializeToString())

    async def revoke(self) -> None:
        """Revoke the lease."""
        request = rpc_pb2.LeaseRevokeRequest(ID=LEASE)
        await self.call("Lease/LeaseRevoke", request.SerializeToString())

    async def compact(self) -> None:
        """Compact everything."""
        request = rpc_pb2.CompactionRequest(revision=await self.revision(), physical=True)
        await self.call("KV/Compact", request.SerializeToString())

    async def old(self, **options: object) -> None:
        """Range at the revision at which the keys were all there."""
        await self.range(revision=self.filled_at, **options)


Action = Callable[[], Awaitable[None]]


def schedule(heavy: Heavy) -> list[tuple[str, Action]]:
    """Return what is done one after the other; what has no name is preparation."""

    async def fill() -> None:
        await heavy.fill()

    async def fill_leased() -> None:
        await heavy.grant()
        await heavy.fill(LEASE)

    async def idle() -> None:
        await asyncio.sleep(1)

    return [
        ("", fill),
        ("nothing", idle),
        ("range", heavy.range),
        ("range, keys only", lambda: heavy.range(keys_only=True)),
        ("range, sorted by value", lambda: heavy.range(sort_target=4, sort_order=1)),
        ("range, a filter and a limit", lambda: heavy.range(min_mod_revision=3, limit=10)),
        ("count", lambda: heavy.range(count_only=True)),
        ("delete, watched", heavy.delete_watched),
        ("range at an old revision", heavy.old),
        ("count at an old revision", lambda: heavy.old(count_only=True)),
        ("watch from an old revision", lambda: heavy.delete_watched(start=heavy.filled_at + 1)),
        ("put all again, 500 in flight", fill),
        ("delete, previous values returned", lambda: heavy.delete(prev_kv=True)),
        ("", fill),
        ("delete by a transaction", heavy.txn_delete),
        ("", fill_leased),
        ("keys of a lease", heavy.time_to_live),
        ("revoke a lease", heavy.revoke),
        ("compact all of it", heavy.compact),
    ]


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


#: row: what was measured in each round
Rows = dict[str, list[dict[str, float]]]


async def measure_turns(directory: Path, keys: int, rows: Rows) -> None:
    """Measure the longest turn of every request."""
    server = Child.start("--serve", str(directory))
    port = int(server.line().rsplit(":", 1)[1])
    prober = Child.start("--probe", str(port))
    heavy = Heavy(port, keys)
    for name, action in schedule(heavy):
        server.ask()
        await action()
        turn, collection = json.loads(server.ask())
        if name:
            rows.setdefault(name, []).append({"turn": turn, "collection": collection})
    await heavy.channel.close()
    prober.end()
    server.end()


async def measure_latency(directory: Path, keys: int, rows: Rows) -> None:
    """Measure what the small requests take meanwhile, with the product as it is."""
    with tempfile.TemporaryFile() as log:
        command = [sys.executable, "-m", "c101.core.daemon", "kv", "--data-dir", str(directory)]
        socket_directory = directory.parent / "s"
        server = subprocess.Popen(
            [*command, "--listen", "http://127.0.0.1:0", "--socket-dir", str(socket_directory)],
            stderr=subprocess.PIPE,
            stdout=log,
            text=True,
        )
        assert server.stderr is not None
        port = 0
        while not port:
            line = server.stderr.readline()
            if "http://127.0.0.1:" in line:
                digits = line.split("http://127.0.0.1:")[1]
                port = int("".join(digit for digit in digits[:6] if digit.isdigit()))
        prober = Child.start("--probe", str(port))
        heavy = Heavy(port, keys)
        for name, action in schedule(heavy):
            prober.ask()
            began = time.perf_counter()
            await action()
            seconds = time.perf_counter() - began
            took = json.loads(prober.ask())
            if name:
                row = {"seconds": seconds}
                for kind, found in took.items():
                    row[f"{kind} p99"] = percentile(found)
                    row[f"{kind} max"] = max(found, default=0.0)
                rows.setdefault(name, []).append(row)
        await heavy.channel.close()
        prober.end()
        server.terminate()
        server.communicate(timeout=30)


def percentile(found: list[float]) -> float:
    """Return the 99th percentile."""
    return sorted(found)[int(len(found) * 0.99)] if found else 0.0


def show(turns: Rows, latencies: Rows) -> None:
    """Print the table; milliseconds but for the first column of figures."""
    print(
        "| request | s | longest turn, CPU ms | collector ms "
        "| get p99 ms | get max ms | put p99 ms | put max ms |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|"
    )
    for name, found in turns.items():
        taken = latencies[name]

        def median(key: str, taken: list[dict[str, float]] = taken) -> str:
            return f"{1000 * statistics.median(row[key] for row in taken):.1f}"

        def most(key: str, rows: list[dict[str, float]]) -> str:
            return f"{1000 * max(row[key] for row in rows):.1f}"

        seconds = statistics.median(row["seconds"] for row in taken)
        print(
            f"| {name} | {seconds:.2f} | {most('turn', found)} | {most('collection', found)} "
            f"| {median('get p99')} | {most('get max', taken)} "
            f"| {median('put p99')} | {most('put max', taken)} |"
        )
    print(f"\n{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end")


def main() -> None:
    """Measure, or be one of the processes that takes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        turns = TurnTimer()
        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
            runner.run(serve(options.serve, turns))
        return
    if options.probe is not None:
        uvloop.run(probe(options.probe))
        return
    turns_rows: Rows = {}
    latency_rows: Rows = {}
    for number in range(options.rounds):
        directory = Path(tempfile.mkdtemp(prefix="c101-loop-", dir=options.directory))
        try:
            uvloop.run(measure_turns(directory / "turns", options.keys, turns_rows))
            uvloop.run(measure_latency(directory / "latency", options.keys, latency_rows))
        finally:
            shutil.rmtree(directory)
        print(f"round {number + 1} of {options.rounds} done", file=sys.stderr)
    show(turns_rows, latency_rows)


if __name__ == "__main__":
    main()
