"""Events of several revisions, encoded once for all watches of one interval."""

from c101.core.kv.record import Change, State
from c101.core.kv.revision import SHIFT
from c101.core.kv.watcher import Watcher, encode_event

#: A committed change, and the state it replaced.
Committed = tuple[Change, State | None]


class SharedEvents:
    """What watches of one interval are sent of *changes*, oldest first, each its revision's only.

    Watches with the same filters get the same bytes: a thousand of them cost one encoding.
    """

    __slots__ = ("_bodies", "_changes", "first_revision", "last_revision")

    def __init__(self, changes: list[Committed]) -> None:
        self._changes = changes
        self._bodies: dict[tuple[bool, bool, bool, int], tuple[list[bytes], bytes]] = {}
        self.first_revision = changes[0][0][2] >> SHIFT
        self.last_revision = changes[-1][0][2] >> SHIFT

    def wanted_by(self, watcher: Watcher) -> tuple[list[bytes], bytes]:
        """Return the events that *watcher* has not seen and wants, and all of them joined."""
        # Nearly all have seen nothing of it.
        start = watcher.next_revision if watcher.next_revision > self.first_revision else 0
        variant = (watcher.no_put, watcher.no_delete, watcher.prev_kv, start)
        found = self._bodies.get(variant)
        if found is None:
            events = [
                encode_event(change, previous if watcher.prev_kv else None)
                for change, previous in self._changes
                if change[2] >> SHIFT >= start
                and not (watcher.no_delete if change[1] is None else watcher.no_put)
            ]
            found = self._bodies[variant] = (events, b"".join(events))
        return found
