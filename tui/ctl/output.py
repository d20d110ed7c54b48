"""What ``c101ctl`` prints: columns for people, one JSON document for scripts.

Results go to standard output, all else to standard error. Whatever came from a host or a key is
made harmless first: columns, lines and messages always; a value and a unit file, which a pipe gets
byte for byte, where a terminal would read them.
"""

import sys
from collections.abc import Sequence
from typing import Any, TextIO


def print_json(document: Any, *, to: TextIO | None = None) -> None:
    """Print *document* as one line; bytes in it are given in base64."""
    import msgspec

    stream = to or sys.stdout
    stream.write(_escaped(msgspec.json.encode(document).decode()) + "\n")
    stream.flush()


def _escaped(text: str) -> str:
    r"""Return JSON that means the same and that a terminal does not act upon.

    JSON itself escapes only what is below U+0020; what else has no glyph becomes ``\uXXXX`` too.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escape(one) for one in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    pairs = (units[at : at + 2] for at in range(0, len(units), 2))
    return "".join(f"\\u{pair.hex()}" for pair in pairs)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, legend: bool) -> None:
    """Print aligned columns, two spaces apart; the last one is not padded."""
    from c101.tui.render.sanitise import sanitise
    from c101.tui.render.width import text_width

    shown = [[sanitise(cell) for cell in row] for row in rows]
    if legend:
        shown.insert(0, list(header))
    widths = [max((text_width(row[i]) for row in shown), default=0) for i in range(len(header))]
    for row in shown:
        cells = [
            cell + " " * (width - text_width(cell)) for cell, width in zip(row, widths, strict=True)
        ]
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
    sys.stdout.flush()


def print_lines(lines: Sequence[str]) -> None:
    """Print each of *lines* as one line."""
    _write_lines(lines, sys.stdout)


def print_bytes(data: bytes) -> None:
    """Print *data*: to a pipe byte for byte, to a terminal only what is harmless there."""
    if sys.stdout.isatty():
        text = data.decode("utf-8", "replace")
        end = "\n" if text.endswith("\n") else ""
        _write_lines(text.removesuffix("\n").split("\n"), sys.stdout, end=end)
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def say(text: str) -> None:
    """Tell a person something that is not the result."""
    _write_lines(text.split("\n"), sys.stderr)


def print_error(code: str, message: str, hint: str | None, *, json: bool) -> None:
    """Say what failed and what to do next."""
    if json:
        error = {"code": code, "message": message, "hint": hint}
        print_json({"error": error}, to=sys.stderr)
        return
    say(f"c101ctl: {message}")
    if hint:
        say(f"  {hint}")


def _write_lines(lines: Sequence[str], stream: TextIO, *, end: str = "\n") -> None:
    from c101.tui.render.sanitise import sanitise

    stream.write("\n".join(sanitise(line) for line in lines) + end)
    stream.flush()
