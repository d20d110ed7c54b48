"""A host's own words, made harmless."""

#: Shown of them.
CHARACTERS_MAX = 300


def printable(text: str) -> str:
    """Return *text*, a host's own words, as one line that cannot drive a terminal."""
    line = " ".join(text.split())
    shown = "".join(character if character.isprintable() else "\ufffd" for character in line)
    return shown[:CHARACTERS_MAX]
