"""The durable records of machines, as the engine keeps them: who came, who left, and when. Pure.

Agents do not write their own records: host keys and addresses in them are what the console trusts.
The engine makes a record for a machine that has none, and notes when it was last seen and with
what metadata; names, addresses and keys of a record that stands are the admins'.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from c101.core.model.machine import Machine, MachineRecord


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A record to be written, over exactly *before* (``None``: where there is none)."""

    before: MachineRecord | None
    after: MachineRecord


def changes(
    before: Mapping[str, Machine] | None, now: Mapping[str, Machine], at: float
) -> list[RecordChange]:
    """Return the records to write at *at* (seconds since 1970), by machine id.

    *before* is what was seen last; ``None`` at the first look, which only makes missing records.
    """
    found = []
    for _, machine in sorted(now.items()):
        change = _change(before, machine, at)
        if change is not None:
            found.append(change)
    return found


def _change(
    before: Mapping[str, Machine] | None, machine: Machine, at: float
) -> RecordChange | None:
    presence, record = machine.presence, machine.record
    if record is None:
        if presence is None:
            return None
        made = MachineRecord(
            id=machine.id,
            name=presence.name,
            addresses=presence.addresses,
            metadata=presence.metadata,
            added=at,
            last_seen=at,
        )
        return RecordChange(None, made)
    if before is None:
        return None
    earlier = before.get(machine.id)
    was_present = earlier is not None and earlier.presence is not None
    if was_present == (presence is not None):
        return None
    metadata = presence.metadata if presence is not None else record.metadata
    return RecordChange(record, replace(record, metadata=metadata, last_seen=at))
