"""What a watch yields."""

from dataclasses import dataclass
from typing import Literal

from c101.core.model.key_value import KeyValue


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvent:
    """One change of one key.

    Of a deleted key, ``kv`` holds only the key and, as ``mod_revision``, when that was. ``prev_kv``
    is what was there before, where it was asked for and has not been compacted.
    """

    kind: Literal["put", "delete"]
    kv: KeyValue
    prev_kv: KeyValue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchBatch:
    """Changes in the order they were made, whole revisions only.

    Every change up to ``revision`` has been given with this batch or before it. ``progress``: there
    are no events, only the word that ``revision`` was reached.
    """

    revision: int
    events: tuple[WatchEvent, ...]
    progress: bool = False
