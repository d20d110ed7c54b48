"""One line of a unit's journal."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalEntry:
    """What a unit printed, or what was said of it.

    ``message`` is what the unit wrote, byte for byte: whoever shows it sanitises it. ``priority``
    is syslog's, 0 (emergency)
    to 7 (debug). ``cursor`` resumes a read after this entry, on this machine only.
    """

    cursor: str
    realtime_us: int
    machine_id: str
    unit: str
    priority: int
    message: bytes
    pid: int = 0
    identifier: str = ""
