"""Every key into the tree of keys."""

import asyncio
from collections.abc import Callable, Iterable

from c101.core.clock import Clock
from c101.core.errors import C101Error
from c101.core.model.key_value import KeyValue
from c101.core.registry.keyspace import SECRETS_PREFIX
from c101.tui.feeds.access import ClusterAccess, KeysUpdate
from c101.tui.feeds.coalesce import Coalescer
from c101.tui.render.sanitise import sanitise
from c101.tui.store.console_store import ConsoleStore
from c101.tui.store.keys import KeyRecord, KeysDelta, record
from c101.tui.store.pane_status import Freshness, PaneStatus

#: Leases asked for at once; there may be thousands after a reconnect.
LEASES_ASKED_MAX = 64

#: Cells of a path; a key may be a mebibyte.
PATH_CELLS_MAX = 512


def shown_path(key: bytes) -> str:
    """Return a key as it may be shown."""
    return sanitise(key, width_max=PATH_CELLS_MAX)


def is_secret(key: bytes) -> bool:
    """Say whether a key's value is not to be shown."""
    return key.startswith(SECRETS_PREFIX.encode())


class KeysFeed:
    """Takes puts and deletes; learns for how long leases were granted, once each."""

    def __init__(
        self, store: ConsoleStore, panes: Coalescer, access: ClusterAccess, clock: Clock
    ) -> None:
        self._store = store
        self._panes = panes
        self._access = access
        self._clock = clock
        self._building: dict[str, KeyRecord] | None = None
        self._leases_wanted = asyncio.Event()
        self.changed: Callable[[KeysDelta], None] = _ignore

    def take(self, update: KeysUpdate) -> None:
        """Take in one update, or a part of a snapshot."""
        if update.snapshot:
            self._building = {}
        # Nobody is to read a secret over somebody's shoulder.
        put = [record(shown_path(kv.key), kv) for kv in update.put if not is_secret(kv.key)]
        keys = self._store.keys
        if self._building is not None:
            self._building.update((item.path, item) for item in put)
            # The first picture is shown as it comes; a later one replaces the old when whole.
            delta = keys.apply(put, (), update.revision)
            if update.complete:
                gone = keys.replace(self._building.values(), update.revision)
                delta = KeysDelta(delta.put | gone.put, gone.deleted)
                self._building = None
        else:
            deleted = (shown_path(key) for key in update.deleted)
            delta = keys.apply(put, deleted, update.revision)
        if delta:
            self.changed(delta)
            self._panes.mark("keys", delta.put | delta.deleted)
            self._panes.mark("header")
        if _leased(update.put):
            self._leases_wanted.set()

    def report(self, status: PaneStatus) -> None:
        """Say how fresh the keys are."""
        self._store.statuses["keys"] = status
        self._panes.mark("keys")

    def report_link(self, status: PaneStatus) -> None:
        """Say how the link to the KV is: the watch waits for it, and goes on by itself."""
        if self._store.status("keys").freshness in {Freshness.LIVE, Freshness.RECONNECTING}:
            self.report(status)

    async def learn_leases(self) -> None:
        """Ask for the time of each lease when it is first seen, for ever."""
        while True:
            await self._leases_wanted.wait()
            self._leases_wanted.clear()
            for lease in sorted(self._store.keys.unknown_leases())[:LEASES_ASKED_MAX]:
                try:
                    seconds = await self._access.verbs.lease_seconds(lease)
                except C101Error:
                    # The link is down; the snapshot after it comes back asks again.
                    break
                self._store.keys.lease_seconds[lease] = seconds
            self._panes.mark("keys")


def _leased(kvs: Iterable[KeyValue]) -> bool:
    return any(kv.lease for kv in kvs)


def _ignore(delta: KeysDelta) -> None:
    """Nobody draws a tree yet."""
