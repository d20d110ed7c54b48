"""What this machine reports, kept in the KV under its lease.

Keys are written only when their value changed, many in one transaction; a new lease writes them
all anew, since the old one takes its keys with it.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice

from c101.core.etcd.client import Client
from c101.core.etcd.txn import Delete, Put

#: Operations in one transaction; etcd's limit is 128.
OPERATIONS_MAX = 100


class Publisher:
    """Holds what should be in the KV, and what is there."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._wanted: dict[str, bytes] = {}
        self._written: dict[str, bytes] = {}
        self._dirty: dict[str, None] = {}
        self._wake = asyncio.Event()

    def put(self, key: str, value: bytes) -> None:
        """Have *key* hold *value* as long as the machine is here."""
        self._wanted[key] = value
        self._mark(key)

    def remove(self, key: str) -> None:
        """Have *key* gone."""
        self._wanted.pop(key, None)
        self._mark(key)

    def _mark(self, key: str) -> None:
        if self._written.get(key) != self._wanted.get(key):
            self._dirty[key] = None
            self._wake.set()

    async def run(self, lease_id: int) -> None:
        """Write everything under *lease_id*, then whatever changes, until cancelled.

        Raises KVError and LinkError: what was not written stays due, for the next lease or the next
        call.
        """
        self._written.clear()
        self._dirty.update(dict.fromkeys(self._wanted))
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while batch := list(islice(self._due(), OPERATIONS_MAX)):
                await self._write(batch, lease_id)

    def _due(self) -> Iterator[str]:
        return iter(self._dirty)

    async def _write(self, keys: list[str], lease_id: int) -> None:
        wanted = {key: self._wanted.get(key) for key in keys}
        operations = [
            Delete(key) if value is None else Put(key, value, lease=lease_id)
            for key, value in wanted.items()
        ]
        await self._client.transaction(compare=(), success=operations)
        for key, value in wanted.items():
            if value is None:
                self._written.pop(key, None)
            else:
                self._written[key] = value
            if self._wanted.get(key) == value:
                self._dirty.pop(key, None)
