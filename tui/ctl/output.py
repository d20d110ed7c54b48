"""What ``c101ctl`` prints: columns for people, one JSON document for scripts."""

import sys
from collections.abc import Sequence
from typing import Any

import msgspec

from c101.tui.render.sanitise import sanitise


def print_json(document: Any) -> None:
    """Print *document* as one line."""
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, legend: bool) -> None:
    """Print aligned columns, two spaces apart; the last one is not padded."""
    shown = [[sanitise(cell) for cell in row] for row in rows]
    if legend:
        shown.insert(0, list(header))
    widths = [max((len(row[i]) for row in shown), default=0) for i in range(len(header))]
    for row in shown:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")


def say(text: str) -> None:
    """Tell a person something that is not the result."""
    sys.stderr.write(sanitise(text) + "\n")
    sys.stderr.flush()


def print_error(code: str, message: str, hint: str | None, *, json: bool) -> None:
    """Say what failed and what to do next."""
    if json:
        print_json({"error": {"code": code, "message": message, "hint": hint}})
        return
    say(f"c101ctl: {message}")
    if hint:
        say(f"  {hint}")
