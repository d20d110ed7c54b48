"""The secrets that units of this machine name, where the service manager finds them.

Each is a file that only root reads, in memory (below ``/run``), and a credential of the unit::

    /run/c101/secrets/<unit, hashed>/<name>       LoadCredential=<name>:<that file>

A file is there as long as the unit is wanted or held here, since the service manager reads it at
each start, also at those that it decides on by itself. Its value is fetched anew for each start
that the agent orders. The KV gives it to this machine because it knows where units are placed.
"""

import hashlib
import logging
import os
import shutil
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.etcd.client import Client
from c101.core.etcd.errors import PermissionDeniedError
from c101.core.registry.keyspace import Keyspace

logger = logging.getLogger(__name__)

#: The KV hears of a placement about when this machine does: it may be a moment behind.
ATTEMPTS_MAX: Final = 10
RETRY_SECONDS: Final = 0.05
_LETTERS: Final = 16


class Secrets:
    """Those below *directory*, which only root may enter."""

    def __init__(self, client: Client, keyspace: Keyspace, clock: Clock, directory: Path) -> None:
        self._client = client
        self._keyspace = keyspace
        self._clock = clock
        self._directory = directory

    async def lacking(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Have all that units want be there; return why it is not, of those where it is not."""
        lacking = {}
        for unit, names in wanted.items():
            missing = [name for name in names if not self._path(unit, name).exists()]
            if missing and (reason := await self.fetch(unit, missing)):
                lacking[unit] = reason
        return lacking

    async def fetch(self, unit: str, names: Iterable[str]) -> str:
        """Have the files of a unit hold what the KV has; return why one does not, or ""."""
        for name in names:
            try:
                value = await self._value(name)
            except C101Error as error:
                return f"it waits for the secret {name}: {error}"
            if value is None:
                return f"it waits for the secret {name}: c101ctl secret set {name}"
            try:
                self._write(self._path(unit, name), value)
            except OSError as error:
                return f"the secret {name} cannot be kept: {error.strerror}"
        return ""

    def credentials(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, str]:
        """Return, of each unit, what says to the service manager where its secrets are."""
        return {
            unit: "[Service]\n"
            + "".join(f"LoadCredential={name}:{self._path(unit, name)}\n" for name in names)
            for unit, names in wanted.items()
        }

    def forget(self, all_but: Collection[str]) -> None:
        """Remove the secrets of all other units."""
        if not self._directory.is_dir():
            return
        kept = {self._folder(unit) for unit in all_but}
        for folder in self._directory.iterdir():
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    async def _value(self, name: str) -> bytes | None:
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                found = await self._client.get(self._keyspace.secret(name))
            except PermissionDeniedError:
                if attempt == ATTEMPTS_MAX:
                    raise
                await self._clock.sleep(RETRY_SECONDS)
            else:
                return found.value if found is not None else None
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _write(self, path: Path, value: bytes) -> None:
        for folder in (self._directory, path.parent):
            folder.mkdir(mode=0o700, exist_ok=True)
        fresh = path.with_name(f".{path.name}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(value)
        fresh.replace(path)

    def _path(self, unit: str, name: str) -> Path:
        return self._folder(unit) / name

    def _folder(self, unit: str) -> Path:
        # A unit's name may have letters that mean something in a unit file.
        return self._directory / hashlib.sha256(unit.encode()).hexdigest()[:_LETTERS]
