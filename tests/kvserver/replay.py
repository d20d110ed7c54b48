"""Play a script of the differential test on ours and on a real etcd, and say where they differ.

::

    python -m tests.kvserver.replay < script
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.kvserver.operations import Operation, parse_script
from tests.kvserver.pair import Pair
from tests.kvserver.processes import Etcd, Ours


def replay(sequence: list[Operation]) -> str:
    """Return where the servers differ on *sequence*; empty when they do not."""
    with TemporaryDirectory() as directory:
        ours, etcd = Ours(Path(directory, "ours")), Etcd(Path(directory, "etcd"))
        try:
            ours.start()
            etcd.start()
            return asyncio.run(_compare(ours.port, etcd.port, sequence))
        finally:
            ours.stop()
            etcd.stop()


async def _compare(ours: int, etcd: int, sequence: list[Operation]) -> str:
    async with Pair.of(ours, etcd) as pair:
        return await pair.compare(sequence)


if __name__ == "__main__":
    difference = replay(parse_script(sys.stdin.read()))
    print(difference or "no difference")
    sys.exit(bool(difference))
