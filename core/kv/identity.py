"""What a data directory says of itself: whose it is, and whether a log belongs to it.

SQLite makes an empty database where it finds none, takes a log that is not there for one that has
nothing, and copies the log of another database into this one, all without a word. So the lock file
of the directory says which cluster it is of, and while it is in use that there is a log, and which:
a log's header carries a number that is random at first and one higher every time the log begins
anew (salt-1, in SQLite's file format). A crash leaves that note, an orderly end says that there is
no log to be missed.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from c101.core.kv.damage import DamageError, log_salts

#: A log that began anew more often since its start, after 16 MiB each time, is not recognised.
RESTARTS_MAX = 1 << 20

_SALT_MODULUS = 1 << 32
_HEADER_BYTES = 32
_NOTE = re.compile(rb"cluster ([0-9a-f]{16}) log ([0-9a-f]{8}|none    )\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What the lock file says. ``log_salt`` is ``None`` when the directory was left in order."""

    cluster_id: int
    log_salt: int | None

    @classmethod
    def read(cls, descriptor: int) -> Self | None:
        """Return what is noted; ``None`` where nothing is, or nothing that can be read."""
        found = _NOTE.match(os.pread(descriptor, 64, 0))
        if found is None:
            return None
        cluster, salt = found.groups()
        return cls(cluster_id=int(cluster, 16), log_salt=None if b"none" in salt else int(salt, 16))

    def write(self, descriptor: int) -> None:
        """Note it, in one sector, and sync it."""
        salt = b"none    " if self.log_salt is None else b"%08x" % self.log_salt
        os.pwrite(descriptor, b"cluster %016x log %b\n" % (self.cluster_id, salt), 0)
        os.fsync(descriptor)

    def check(self, database: Path, log: Path) -> None:
        """Raise DamageError if the files cannot be what was left here."""
        if not database.exists() or not database.stat().st_size:
            raise DamageError("it is gone or empty")
        if self.log_salt is None:
            return
        if not log.exists():
            raise DamageError("its log is gone, and with it what was written last")
        salt = log_salt(log)
        if salt is not None and (salt - self.log_salt) % _SALT_MODULUS > RESTARTS_MAX:
            raise DamageError("its log is that of another database")


def log_salt(log: Path) -> int | None:
    """Return salt-1 of *log*; ``None`` of one that is empty. Raises DamageError if it is no log."""
    with log.open("rb") as file:
        salts = log_salts(file.read(_HEADER_BYTES))
    return None if salts is None else salts[0]
