"""What is registered in the cluster's KV, followed live."""

import os

from c101.core.clock import SystemClock
from c101.core.etcd.client import Client
from c101.core.rpc.dial import dialer_for


class Registered:
    """The keys under one prefix, as a mapping of what follows the prefix to its value."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self.found: dict[str, str] = {}

    async def follow(self) -> None:
        """Keep ``found`` current until cancelled, saying on standard output what changed."""
        url = os.environ["C101_KV"]
        async with Client([dialer_for(url)], clock=SystemClock()) as client:
            now = await client.get_prefix(self._prefix)
            for kv in now.kvs:
                self._put(kv.key, kv.value)
            async with client.watch_prefix(self._prefix, start_revision=now.revision + 1) as watch:
                async for batch in watch:
                    for event in batch.events:
                        if event.kind == "put":
                            self._put(event.kv.key, event.kv.value)
                        else:
                            self._gone(event.kv.key)

    def _put(self, key: bytes, value: bytes) -> None:
        name, text = self._name(key), value.decode("utf-8", "replace")
        if self.found.get(name) != text:
            self.found[name] = text
            print(f"{self._prefix}{name} is {text}", flush=True)

    def _gone(self, key: bytes) -> None:
        name = self._name(key)
        if self.found.pop(name, None) is not None:
            print(f"{self._prefix}{name} is gone", flush=True)

    def _name(self, key: bytes) -> str:
        return key.decode("utf-8", "replace").removeprefix(self._prefix)
