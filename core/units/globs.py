r"""Globs over unit names, as Go's ``path.Match`` reads them (fleet: Conflicts, Replaces).

``*`` is any run of characters but ``/``, ``?`` one of them, ``[a-z]`` and ``[^a-z]`` a class,
``\c`` the character itself. The whole name must match.
"""

import re
from functools import lru_cache

from c101.core.errors import C101Error


class GlobError(C101Error):
    """A glob is malformed. Who knows the file and line says them."""

    code = "unit_file"


def matches(glob: str, name: str) -> bool:
    """Say whether *name* matches *glob*. Raises GlobError."""
    return compile_glob(glob).fullmatch(name) is not None


def is_exact(glob: str) -> bool:
    """Say whether *glob* has no special character: it matches the name that it is."""
    return not any(character in glob for character in "*?[\\")


@lru_cache(maxsize=65_536)
def compile_glob(glob: str) -> re.Pattern[str]:
    """Return the regular expression that *glob* stands for. Raises GlobError.

    What stands between two stars is taken where it first fits and never looked for again, as Go
    does: no glob takes longer than its length times the name's.
    """
    chunks, position = [""], 0
    while position < len(glob):
        character = glob[position]
        position += 1
        if character == "*":
            chunks.append("")
        elif character == "?":
            chunks[-1] += "[^/]"
        elif character == "[":
            part, position = _class(glob, position)
            chunks[-1] += part
        else:
            character, position = _character(glob, position - 1)
            chunks[-1] += re.escape(character)
    first, *rest = chunks
    middle = "".join(f"(?>[^/]*?{chunk})" for chunk in rest[:-1] if chunk)
    return re.compile(first + middle + (f"[^/]*{rest[-1]}" if rest else ""), re.DOTALL)


def _character(glob: str, position: int) -> tuple[str, int]:
    """Read one character, escaped or not; return it and where it ends."""
    if position < len(glob) and glob[position] == "\\":
        position += 1
    if position == len(glob):
        raise GlobError(f"the glob {glob!r} ends too early")
    return glob[position], position + 1


def _class(glob: str, position: int) -> tuple[str, int]:
    """Read what follows ``[`` up to its ``]``; return the pattern and where it ends."""
    negated = glob.startswith("^", position)
    position += negated
    ranges = ""
    while not (ranges and glob.startswith("]", position)):
        if glob[position : position + 1] in {"]", "-"}:
            raise GlobError(f"the glob {glob!r} has an empty class or range")
        low, position = _character(glob, position)
        high = low
        if glob.startswith("-", position):
            high, position = _character(glob, position + 1)
        if low > high:
            raise GlobError(f"the glob {glob!r} has a range that runs backwards: {low}-{high}")
        ranges += f"{re.escape(low)}-{re.escape(high)}"
    return f"[{'^' if negated else ''}{ranges}]", position + 1
