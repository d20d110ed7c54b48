"""Work on a store in a process of its own, so that it can run on a simulated disk.

::

    python -m tests.disk.driver DIRECTORY DUMPS [--without-sync]

The store is worked on in DIRECTORY (see work.py), DUMPS gets what a reader saw.
"""

import asyncio
import pickle
import sys
from pathlib import Path

from c101.core.kv import storage
from tests.disk.unsynced import without_sync
from tests.disk.work import SMALL_LOG, work


def main() -> None:
    directory, dumps, *options = sys.argv[1:]
    if options == ["--without-sync"]:
        without_sync()
    for name, value in SMALL_LOG.items():
        setattr(storage, name, value)
    Path(dumps).write_bytes(pickle.dumps(asyncio.run(work(Path(directory)))))


if __name__ == "__main__":
    main()
