"""How many calls a second the RPC layer answers, with h2load and a store that is a dictionary.

    .venv/bin/python -m benchmarks.rpc [--rounds 5] [--seconds 3] [--uvloop]

Prints a Markdown table. Key of 8 bytes, value of 256, as ``reference`` figures have it. The server
runs in a process of its own; h2load takes a core beside it, so run it on a quiet machine.
"""

import argparse
import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import uvloop

from c101.core.proto import kv_pb2, rpc_pb2
from c101.core.rpc.messages import prefixed
from c101.core.rpc.server import Server, UnaryCall

KEY, VALUE = b"k" * 8, b"v" * 256
SHAPES = ((1, 1), (10, 10), (100, 10))


async def serve() -> None:
    """Serve puts and gets on a free port, which is printed, until killed."""
    stored: dict[bytes, bytes] = {}

    def put(call: UnaryCall, message: bytes) -> None:
        request = rpc_pb2.PutRequest.FromString(message)
        stored[request.key] = request.value
        header = rpc_pb2.ResponseHeader(revision=len(stored))
        call.reply(rpc_pb2.PutResponse(header=header).SerializeToString())

    def get(call: UnaryCall, message: bytes) -> None:
        key = rpc_pb2.RangeRequest.FromString(message).key
        found = kv_pb2.KeyValue(key=key, value=stored.get(key, b""))
        call.reply(rpc_pb2.RangeResponse(kvs=[found], count=1).SerializeToString())

    server = Server({"/etcdserverpb.KV/Put": put, "/etcdserverpb.KV/Range": get}, {})
    listener = await server.serve_tcp("127.0.0.1", 0)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()


def load(port: int, method: str, body: Path, shape: tuple[int, int], seconds: int) -> float:
    """Return the calls a second of one run of h2load."""
    clients, streams = shape
    command = [
        "h2load",
        f"--duration={seconds}",
        "--warm-up-time=1",
        f"--clients={clients}",
        f"--max-concurrent-streams={streams}",
        f"--data={body}",
        "--header=content-type: application/grpc",
        "--header=te: trailers",
        f"http://127.0.0.1:{port}/etcdserverpb.KV/{method}",
    ]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"finished in [\d.]+s, ([\d.]+) req/s", out)
    assert found is not None, out
    assert re.search(r" 0 failed, 0 errored, 0 timeout", out), out
    return float(found[1])


def measure(rounds: int, seconds: int, arguments: list[str]) -> None:
    """Run the rounds, one shape after the other in each, and print their medians."""
    bodies = {
        "Put": rpc_pb2.PutRequest(key=KEY, value=VALUE).SerializeToString(),
        "Range": rpc_pb2.RangeRequest(key=KEY).SerializeToString(),
    }
    found: dict[tuple[str, tuple[int, int]], list[float]] = {}
    command = [sys.executable, "-m", "benchmarks.rpc", "--serve", *arguments]
    with (
        tempfile.TemporaryDirectory(prefix="c101b") as directory,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        port = int(server.stdout.readline())
        try:
            for _ in range(rounds):
                for method, request in bodies.items():
                    body = Path(directory) / method
                    body.write_bytes(prefixed(request))
                    for shape in SHAPES:
                        rate = load(port, method, body, shape, seconds)
                        found.setdefault((method, shape), []).append(rate)
        finally:
            server.kill()
    print("| call | clients x streams | median calls/s | least | most |\n|---|---|---|---|---|")
    for (method, (clients, streams)), rates in found.items():
        median = statistics.median(rates)
        print(
            f"| {method} | {clients}x{streams} | {median:,.0f} "
            f"| {min(rates):,.0f} | {max(rates):,.0f} |"
        )
    load_average = os.getloadavg()[0]
    print(f"\n{os.cpu_count()} cores, load {load_average:.1f} at the end, {rounds} rounds")


def main() -> None:
    """Measure, or serve what is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--uvloop", action="store_true")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.serve:
        measure(options.rounds, options.seconds, ["--uvloop"] if options.uvloop else [])
    elif options.uvloop:
        uvloop.run(serve())
    else:
        asyncio.run(serve())


if __name__ == "__main__":
    main()
