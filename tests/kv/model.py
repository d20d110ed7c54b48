"""A store as simple as can be, to compare with: every revision is a whole copy."""

from dataclasses import dataclass, field, replace

from c101.core.proto import kv_pb2


@dataclass(frozen=True)
class Kv:
    value: bytes
    create: int
    mod: int
    version: int
    lease: int = 0

    def message(self, key: bytes) -> kv_pb2.KeyValue:
        return kv_pb2.KeyValue(
            key=key,
            value=self.value,
            create_revision=self.create,
            mod_revision=self.mod,
            version=self.version,
            lease=self.lease,
        )


Event = tuple[int, bytes, Kv | None, Kv | None]
"""Revision, key, what it became (None: deleted), what it was."""


@dataclass
class Model:
    """Every revision since the first: ``states[r]`` is what a read at r sees."""

    states: dict[int, dict[bytes, Kv]] = field(default_factory=lambda: {1: {}})
    revision: int = 1
    compacted: int = -1
    events: list[Event] = field(default_factory=list)

    @property
    def now(self) -> dict[bytes, Kv]:
        return self.states[self.revision]

    def apply(self, puts: dict[bytes, tuple[bytes, int]], deletes: list[bytes]) -> None:
        """Make one revision of *puts* (value, lease) and *deletes*; none if nothing changes."""
        before, after = self.now, dict(self.now)
        revision = self.revision + 1
        for key in deletes:
            if key in after:
                self.events.append((revision, key, None, after.pop(key)))
        for key, (value, lease) in puts.items():
            old = after.get(key)
            if old is None:
                after[key] = Kv(value, revision, revision, 1, lease)
            else:
                changed = replace(old, value=value, mod=revision, lease=lease)
                after[key] = replace(changed, version=old.version + 1)
            self.events.append((revision, key, after[key], old))
        if after != before:
            self.revision = revision
            self.states[revision] = after

    def within(self, low: bytes, high: bytes | None, revision: int) -> list[bytes]:
        return sorted(
            key for key in self.states[revision] if key >= low and (high is None or key < high)
        )
