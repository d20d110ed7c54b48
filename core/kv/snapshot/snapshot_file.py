"""A snapshot on disk: its hash at the end, what it holds in all, and how it comes to be there.

What ``etcdctl snapshot save`` writes, and so do we, is the database and the SHA-256 of it. A
database file that was copied has no hash: databases are whole pages, so a hash is there where the
length is 32 more than a multiple of 512.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from c101.core.kv.revision import SHIFT
from c101.core.kv.snapshot import etcd_buckets as etcd
from c101.core.kv.snapshot.bbolt_reader import BoltFile, open_file
from c101.core.kv.snapshot.crc32c import Crc32c
from c101.core.kv.snapshot.etcd_buckets import SnapshotError
from c101.core.kv.storage import sync_directory

HASH_BYTES = 32
_SECTOR_BYTES = 512
_CHUNK_BYTES = 1 << 20
#: Items looked at before it is told how far it is.
ITEMS_PER_STEP = 10_000
#: What a file that is being written is called, after its name to be.
PARTIAL = ".part"

#: Called with what is done, and how much there is in all, of whatever is counted.
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotStatus:
    """What ``etcdctl snapshot status`` says: ``hash`` is of the contents, not of the file."""

    hash: int
    revision: int
    total_keys: int
    total_bytes: int


def quiet(_done: int, _of: int) -> None:
    """Tell nobody how far it is."""


def has_hash(path: Path) -> bool:
    """Say whether the file ends with a hash. Raises SnapshotError when it cannot be read."""
    with open_file(path) as file:
        return os.fstat(file.fileno()).st_size % _SECTOR_BYTES == HASH_BYTES


def verify_hash(path: Path, progress: Progress = quiet) -> None:
    """Raise SnapshotError unless the file ends with the hash of what is before it."""
    with open_file(path) as file:
        left = length = os.fstat(file.fileno()).st_size - HASH_BYTES
        if not has_hash(path):
            raise SnapshotError(
                f"{path}: it has no hash at its end",
                hint="--skip-hash-check takes a database file that was copied, without being sure",
            )
        found = hashlib.sha256()
        while left:
            data = file.read(min(_CHUNK_BYTES, left))
            if not data:
                raise SnapshotError(f"{path}: it became shorter while it was read")
            found.update(data)
            left -= len(data)
            progress(length - left, length)
        wanted = file.read(HASH_BYTES)
    if found.digest() != wanted:
        raise SnapshotError(
            f"{path}: damaged: its SHA-256 is {found.hexdigest()}, not {wanted.hex()}",
            hint="take another snapshot; --skip-hash-check reads this one as far as it makes sense",
        )


def status(path: Path, progress: Progress = quiet) -> SnapshotStatus:
    """Return the totals of a snapshot, whose every page is looked at; its hash too, if it has one.

    Raises SnapshotError for a file that is none, or damaged.
    """
    trailer = HASH_BYTES if has_hash(path) else 0
    if trailer:
        verify_hash(path)
    checksum = Crc32c()
    revision = count = done = 0
    with BoltFile(path, trailer_bytes=trailer) as file:
        for bucket in file.buckets:
            checksum.update(bucket)
            key = b""
            for key, value in file.items(bucket):
                checksum.update(key)
                checksum.update(value)
                count += 1
                done += len(key) + len(value)
                if not count % ITEMS_PER_STEP:
                    progress(done, file.size)
            if bucket == etcd.KEY and key:
                revision = etcd.change_of(key) >> SHIFT
        total = file.size
    return SnapshotStatus(
        hash=checksum.digest(), revision=revision, total_keys=count, total_bytes=total
    )


def _refuse_existing(path: Path) -> None:
    if path.exists():
        raise SnapshotError(f"{path} exists", hint="name another file, or remove this one")


@contextmanager
def whole_file(
    path: Path, verify: Callable[[Path], None] = lambda _path: None
) -> Iterator[BinaryIO]:
    """Write a file that is there under its name when all of it is on disk, and not before.

    *verify* gets it under the name that it has until then. It is readable by its owner only. Raises
    SnapshotError when it exists, or cannot be written; whatever ends the block early, and what
    *verify* raises, leaves nothing behind.
    """
    partial: Path | None = None
    try:
        _refuse_existing(path)
        descriptor, name = tempfile.mkstemp(prefix=f"{path.name}.", suffix=PARTIAL, dir=path.parent)
        partial = Path(name)
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        verify(partial)
        partial.rename(path)
        partial = None
        sync_directory(path.parent)
    except OSError as exc:
        raise SnapshotError(f"{path}: {exc.strerror or exc}") from exc
    finally:
        if partial is not None:
            with suppress(OSError):
                partial.unlink()
