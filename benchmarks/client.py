"""The client beside aetcd (grpc.aio), against one real etcd, in interleaved rounds.

    python -m benchmarks.client [--rounds 7] [--seconds 3] [--loop asyncio|uvloop] [--directory DIR]

One process of each client, with its own event loop, in turn: gets and puts of 256 B among 1,000
keys, one after the other and 100 at once. aetcd comes from PyPI into a virtual environment that is
thrown away; where it cannot be had, a bare ``grpc.aio`` stub takes its place. Both clients run on
the same kind of loop. That the revision rose by the puts counted is checked after every round.

The third in each round is what bounds the other two: the load generator of ``benchmarks/kv``, which
costs next to nothing, on one connection. Where the server shares the machine with its client no
client is faster than that, so the ratio of the two clients has a ceiling, which is printed with it;
and what a request costs the client in CPU time is printed beside its rate, for where the server is
elsewhere.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.kv.servers import Server

HERE = Path(__file__).resolve()
KEYS = 1_000
VALUE = b"v" * 256
TOGETHER = 100
WORK = ("get, one at a time", "get, 100 at once", "put, one at a time", "put, 100 at once")

#: A verb on the key of a number.
Verb = Callable[[int], Awaitable[object]]


def key(number: int) -> bytes:
    return b"/bench/%04d" % (number * 7919 % KEYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Driven:
    """What one client did: requests a second, all it made, and what one cost it."""

    rate: float
    made: int
    cpu_us: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """Both clients in turn, and what the server answers at most."""

    mine: Driven
    theirs: Driven
    ceiling: float

    @property
    def ratio(self) -> float:
        """Ours by the other."""
        return self.mine.rate / self.theirs.rate

    @property
    def ratio_max(self) -> float:
        """What no client beats."""
        return self.ceiling / self.theirs.rate

    @property
    def cost_ratio(self) -> float:
        """The other's CPU by ours, a request."""
        return self.theirs.cpu_us / self.mine.cpu_us


async def measure(get: Verb, put: Verb, work: str, seconds: float) -> Driven:
    """Do *work* for so many seconds."""
    verb = put if work.startswith("put") else get
    tasks = TOGETHER if "100" in work else 1
    warm_up = tasks * 10
    for number in range(warm_up):
        await verb(number)
    loop = asyncio.get_running_loop()
    start = loop.time()
    end = start + seconds
    counted = 0

    async def worker(first: int) -> None:
        nonlocal counted
        number = first
        while loop.time() < end:
            await verb(number)
            number += tasks
            counted += 1

    used = time.process_time()
    await asyncio.gather(*(worker(number) for number in range(tasks)))
    used = time.process_time() - used
    elapsed = loop.time() - start
    return Driven(rate=counted / elapsed, made=warm_up + counted, cpu_us=used / counted * 1e6)


async def drive_ours(port: int, work: str, seconds: float) -> Driven:
    from c101.core.etcd import connect  # noqa: PLC0415

    async with connect(f"http://127.0.0.1:{port}") as client:

        async def get(number: int) -> object:
            return await client.get(key(number))

        async def put(number: int) -> object:
            return await client.put(key(number), VALUE)

        return await measure(get, put, work, seconds)


async def drive_aetcd(port: int, work: str, seconds: float) -> Driven:
    import aetcd  # type: ignore[import-not-found]  # noqa: PLC0415

    async with aetcd.Client(host="127.0.0.1", port=port) as client:

        async def get(number: int) -> object:
            found: object = await client.get(key(number))
            return found

        async def put(number: int) -> object:
            done: object = await client.put(key(number), VALUE)
            return done

        return await measure(get, put, work, seconds)


async def drive_grpc_aio(port: int, work: str, seconds: float) -> Driven:
    import grpc.aio  # noqa: PLC0415

    from c101.core.proto import rpc_pb2  # noqa: PLC0415

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        ranged = channel.unary_unary(
            "/etcdserverpb.KV/Range",
            request_serializer=rpc_pb2.RangeRequest.SerializeToString,
            response_deserializer=rpc_pb2.RangeResponse.FromString,
        )
        putting = channel.unary_unary(
            "/etcdserverpb.KV/Put",
            request_serializer=rpc_pb2.PutRequest.SerializeToString,
            response_deserializer=rpc_pb2.PutResponse.FromString,
        )

        async def get(number: int) -> object:
            found: object = await ranged(rpc_pb2.RangeRequest(key=key(number)), timeout=5)
            return found

        async def put(number: int) -> object:
            done: object = await putting(
                rpc_pb2.PutRequest(key=key(number), value=VALUE), timeout=5
            )
            return done

        return await measure(get, put, work, seconds)


DRIVERS = {"ours": drive_ours, "aetcd": drive_aetcd, "grpc.aio": drive_grpc_aio}


def with_aetcd(directory: Path) -> tuple[str, str]:
    """Return the other client's name, and the Python that has it."""
    venv = directory / "venv"
    try:
        subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True)
        python = str(venv / "bin" / "python")
        install = [python, "-m", "pip", "install", "--quiet", "aetcd==1.0.0", "uvloop"]
        subprocess.run(install, check=True, capture_output=True)
        subprocess.run([python, "-c", "import aetcd"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        said = getattr(exc, "stderr", b"") or b""
        print(f"aetcd cannot be had ({exc}): grpc.aio instead\n{said.decode()[-300:]}")
        return "grpc.aio", sys.executable
    return "aetcd", python


def drive(
    name: str, python: str, server: "Server", work: str, options: argparse.Namespace
) -> Driven:
    """Run one client in a process of its own."""
    # By path: another Python does not know this program's packages, and does not need them.
    command = [python, str(HERE), "--drive", name, "--port", str(server.port)]
    command += ["--work", work, "--seconds", str(options.seconds), "--loop", options.loop]
    before = server.revision()
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE.parents[1])
    driven = Driven(**json.loads(done.stdout))
    risen = server.revision() - before
    if risen != (driven.made if work.startswith("put") else 0):
        raise SystemExit(f"{name}: the revision rose by {risen}: {driven}")
    return driven


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--directory", type=Path, default=Path("/var/tmp"))
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--drive", choices=DRIVERS, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        driving = DRIVERS[options.drive](options.port, options.work, options.seconds)
        run: Callable[..., Driven] = asyncio.run
        if options.loop == "uvloop":
            from uvloop import run  # noqa: PLC0415
        print(json.dumps(asdict(run(driving))))
        return
    compare(options)


def compare(options: argparse.Namespace) -> None:
    # What a driver of another Python cannot import.
    from benchmarks.kv.generator import build  # noqa: PLC0415
    from benchmarks.kv.servers import kind_of_disk, running  # noqa: PLC0415

    kind_of_disk(options.directory)
    with tempfile.TemporaryDirectory(prefix="c101-bench-", dir=options.directory) as name:
        directory = Path(name)
        other, python = with_aetcd(directory)
        clients = {"ours": sys.executable, other: python}
        with running(build(directory), directory, keys=KEYS, names=["etcd"]) as [server]:
            for work in WORK:
                print(f"{work}: {options.rounds} rounds of {options.seconds:g} s on {options.loop}")
                print(compare_at(work, clients, server, options), flush=True)


def compare_at(
    work: str, clients: dict[str, str], server: "Server", options: argparse.Namespace
) -> str:
    """Print each round, and return the medians."""
    ours, other = clients
    rounds: list[Round] = []
    for number in range(options.rounds):
        # Who goes first changes from round to round.
        order = list(clients) if number % 2 == 0 else list(clients)[::-1]
        found = {name: drive(name, clients[name], server, work, options) for name in order}
        ceiling = bound(server, work, options.seconds)
        rounds.append(Round(mine=found[ours], theirs=found[other], ceiling=ceiling))
        line = [
            f"{name} {found[name].rate:6.0f}/s ({found[name].cpu_us:4.0f} us)" for name in clients
        ]
        print(
            f"  {'   '.join(line)}   loadgen {ceiling:6.0f}/s   "
            f"ratio {rounds[-1].ratio:.2f} of at most {rounds[-1].ratio_max:.2f}",
            flush=True,
        )
    median = statistics.median
    ratios = [one.ratio for one in rounds]
    return (
        f"  median: ours {median(one.mine.rate for one in rounds):.0f}/s, "
        f"{other} {median(one.theirs.rate for one in rounds):.0f}/s, ratio {median(ratios):.2f} "
        f"(from {min(ratios):.2f} to {max(ratios):.2f}) of at most "
        f"{median(one.ratio_max for one in rounds):.2f}; "
        f"{other} costs {median(one.cost_ratio for one in rounds):.1f} times the CPU"
    )


def bound(server: "Server", work: str, seconds: float) -> float:
    """Return how many a second the server answers a client that costs nothing."""
    together = TOGETHER if "100" in work else 1
    arguments = ["-k", work[:3], "-c", "1", "-m", str(together)]
    arguments += ["-n", str(KEYS), "-v", str(len(VALUE)), "-s", str(seconds)]
    return server.drive(arguments, writes=work.startswith("put")).rate


if __name__ == "__main__":
    main()
