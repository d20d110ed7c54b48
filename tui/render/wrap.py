"""Break a text into lines that fit, without losing a word."""

from c101.tui.render.width import head, text_width


def wrap(text: str, width: int, lines_max: int) -> list[str]:
    """Return *text* in at most *lines_max* lines of at most *width* cells.

    Lines break at spaces, and inside a word only where it alone is too long. What does not fit
    in *lines_max* ends in ``…``. At least one line is returned, for an empty text too.
    """
    width = max(1, width)
    lines: list[str] = []
    rest = text
    while text_width(rest) > width:
        if len(lines) == lines_max - 1:
            return [*lines, head(rest, width - 1) + "…"]
        line = head(rest, width) or rest[:1]
        line, rest = _break(line, rest)
        lines.append(line)
    return [*lines, rest]


def _break(line: str, rest: str) -> tuple[str, str]:
    """Move the end of *line*, a head of *rest*, back to a space if there is one to go back to."""
    following = rest[len(line) :]
    if line.endswith(" ") or following.startswith(" "):
        return line.rstrip(" ") or line, following.lstrip(" ")
    space = line.rfind(" ")
    if not line[: max(0, space)].strip(" "):
        return line, following
    return line[:space].rstrip(" "), rest[space + 1 :]
