"""Words as systemd reads them in a unit file."""


def quoted(word: str) -> str:
    """Return *word* in quotes: no blank splits it, no specifier in it is expanded."""
    assert word.isprintable(), "one line of text"
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def quoted_argument(word: str) -> str:
    """Return *word* for a command line, where a variable would be expanded too."""
    return quoted(word).replace("$", "$$")
