"""What is known of every key, and what kind of thing a value is."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from c101.core.model.key_value import KeyValue

#: Bytes of a value kept here; what is longer is shown by its beginning.
VALUE_KEPT_BYTES_MAX = 16_384

#: Lines of a value that are shown.
VALUE_LINES_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """A key as last seen. ``path`` may be shown; ``raw`` is the key itself."""

    path: str
    raw: bytes
    value: bytes
    size_bytes: int
    create_revision: int
    mod_revision: int
    version: int
    lease: int = 0


def record(path: str, kv: KeyValue) -> KeyRecord:
    """Return what is kept of *kv*, to be shown as *path*."""
    return KeyRecord(
        path=path,
        raw=kv.key,
        value=kv.value[:VALUE_KEPT_BYTES_MAX],
        size_bytes=len(kv.value),
        create_revision=kv.create_revision,
        mod_revision=kv.mod_revision,
        version=kv.version,
        lease=kv.lease,
    )


@dataclass(frozen=True, slots=True)
class KeysDelta:
    """Keys that were put, and keys that are gone, by path."""

    put: frozenset[str] = frozenset()
    deleted: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Say whether anything changed."""
        return bool(self.put or self.deleted)


@dataclass(slots=True)
class KeysModel:
    """Every key by its path, and the time that leases were granted for."""

    records: dict[str, KeyRecord] = field(default_factory=dict)
    lease_seconds: dict[int, int] = field(default_factory=dict)
    revision: int = 0

    def replace(self, records: Iterable[KeyRecord], revision: int) -> KeysDelta:
        """Take in a whole new picture, as after a history that was compacted away."""
        fresh = {item.path: item for item in records}
        gone = frozenset(self.records.keys() - fresh.keys())
        put = frozenset(path for path, item in fresh.items() if self.records.get(path) != item)
        self.records, self.revision = fresh, revision
        return KeysDelta(put, gone)

    def apply(self, put: Iterable[KeyRecord], deleted: Iterable[str], revision: int) -> KeysDelta:
        """Take in changes."""
        changed: set[str] = set()
        for item in put:
            self.records[item.path] = item
            changed.add(item.path)
        gone = {path for path in deleted if self.records.pop(path, None) is not None}
        self.revision = max(self.revision, revision)
        return KeysDelta(frozenset(changed - gone), frozenset(gone))

    def unknown_leases(self) -> set[int]:
        """Return the leases whose time has not been asked for yet."""
        held = {item.lease for item in self.records.values() if item.lease}
        return held - self.lease_seconds.keys()


def kind_of(value: bytes) -> str:
    """Say what a value is: ``empty``, ``text``, ``json`` or ``binary``."""
    if not value:
        return "empty"
    try:
        text = value.decode()
    except UnicodeDecodeError as exc:
        # The end of a value that was cut may be half a letter.
        cut = len(value) == VALUE_KEPT_BYTES_MAX and exc.start > len(value) - 4
        return "text" if cut else "binary"
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in text):
        return "binary"
    return "json" if _is_json(text) else "text"


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in {"{", "["}:
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def lines_of(value: bytes) -> list[str]:
    """Return a value as lines for reading: text as it is, JSON indented, bytes as a dump.

    The lines hold whatever the value held: whoever shows them sanitises them.
    """
    kind = kind_of(value)
    if kind == "empty":
        return []
    if kind == "json":
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False).split("\n")[
            :VALUE_LINES_MAX
        ]
    if kind == "text":
        return value.decode("utf-8", "replace").splitlines()[:VALUE_LINES_MAX]
    return [_dump(value, at) for at in range(0, min(len(value), VALUE_LINES_MAX * 16), 16)]


def _dump(value: bytes, at: int) -> str:
    row = value[at : at + 16]
    shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
    return f"{at:06x}  {row.hex(' '):<47}  {shown}"
