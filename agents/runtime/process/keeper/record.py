r"""Records of strings on one line: what state files and the keeper's socket carry.

``name=value`` pairs separated by tabs; in values ``%``, tab and line feed are written ``%25``,
``%09`` and ``%0A``::

    state=running<TAB>main_pid=4711<TAB>status_text=50%25 done
"""

from __future__ import annotations


def escape(text: str) -> str:
    """Return *text* without tabs and line feeds."""
    return text.replace("%", "%25").replace("\t", "%09").replace("\n", "%0A")


def unescape(text: str) -> str:
    """Undo :func:`escape`."""
    return text.replace("%0A", "\n").replace("%09", "\t").replace("%25", "%")


def encode(fields: dict[str, str]) -> str:
    """Return *fields* as one line, without the line feed."""
    return "\t".join(f"{name}={escape(value)}" for name, value in fields.items())


def decode(line: str) -> dict[str, str]:
    """Return the fields of a line; what is no pair is left out."""
    pairs = (field.partition("=") for field in line.split("\t"))
    return {name: unescape(value) for name, equals, value in pairs if equals}
