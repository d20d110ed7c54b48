"""How a key looks: as a row of the tree, and as the value beneath it."""

from c101.tui.render.cells import BLANK, Cell
from c101.tui.render.humanise import age, count, size
from c101.tui.render.sanitise import sanitise
from c101.tui.store.keys import KeyRecord, kind_of, lines_of

#: Cells of a value shown in its row.
PREVIEW_CELLS = 60

#: A lease shorter than this, in seconds, is near its end.
LEASE_SHORT_SECONDS = 10


def preview(value: bytes) -> str:
    """Return the first line of a value."""
    if kind_of(value) == "binary":
        return f"{value[:12].hex(' ')} …"
    first = value[: PREVIEW_CELLS * 4].split(b"\n", 1)[0]
    more = " …" if b"\n" in value.rstrip(b"\n") else ""
    return sanitise(first, width_max=PREVIEW_CELLS) + more


def cells(record: KeyRecord | None, lease_seconds: int | None) -> tuple[Cell, ...]:
    """Return value, revision and lease of a row; blanks for a directory."""
    if record is None:
        return (BLANK, BLANK, BLANK)
    lease = BLANK
    if record.lease:
        lease = Cell(f"ttl {age(lease_seconds)}" if lease_seconds else "leased", "muted")
    return (Cell(preview(record.value)), Cell(f"r{record.mod_revision}", "muted"), lease)


def facts(record: KeyRecord, lease_seconds: int | None) -> str:
    """Return what there is to know of a value: ``3B · text · rev 31 · v2 · lease 30s``."""
    parts = [
        size(record.size_bytes),
        kind_of(record.value),
        f"rev {count(record.mod_revision)}",
        f"v{record.version}",
    ]
    if record.lease:
        granted = f" {age(lease_seconds)}" if lease_seconds else f" {record.lease:x}"
        parts.append(f"lease{granted}")
    return " · ".join(parts)


def value_lines(record: KeyRecord) -> list[str]:
    """Return the value as lines that may be shown."""
    lines = [sanitise(line) for line in lines_of(record.value)]
    if record.size_bytes > len(record.value):
        lines.append(f"… {size(record.size_bytes - len(record.value))} more")
    return lines
