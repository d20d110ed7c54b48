"""One line of a unit's journal."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What a unit printed, or what was said of it.

    ``message`` is what the unit wrote, byte for byte: whoever shows it sanitises it. ``priority``
    is syslog's, 0 (emergency)
    to 7 (debug). ``cursor`` resumes a read after this entry, on this machine only. ``fields`` are
    all that the journal has of it, where they were asked for.
    """

    cursor: str
    realtime_us: int
    machine_id: str
    unit: str
    priority: int
    message: bytes
    pid: int = 0
    identifier: str = ""
    fields: Mapping[str, bytes] = field(default_factory=dict)
