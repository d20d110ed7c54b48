"""Unit files as systemd reads them, kept to the letter.

The text itself is what is stored and printed; ``options`` is what it means. Where systemd logs a
warning and ignores a line, this refuses the file: a line that is dropped in silence is a fault that
shows itself at night.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from c101.core.errors import C101Error

#: More than this is no unit file (systemd's own limit for a line is the same).
TEXT_BYTES_MAX = 1_048_576

_BOM = "\ufeff"
_WHITESPACE = " \t"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SECTION = re.compile(r"[^\[\]]+")
_OPTION_NAME = re.compile(r"[A-Za-z0-9_.-]+")


class UnitFileError(C101Error):
    """A unit file cannot be used as it is.

    ``file`` is the unit's name or the path ("" when unknown), ``line`` counts from 1 (0: the file
    as a whole).
    """

    code = "unit_file"

    def __init__(self, file: str, line: int, reason: str, *, hint: str | None = None) -> None:
        place = f"{file or 'unit file'}:{line}" if line else file or "unit file"
        super().__init__(f"{place}: {reason}", hint=hint)
        self.file = file
        self.line = line
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Option:
    """One assignment. ``line`` is the one it begins on, counting from 1."""

    section: str
    name: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class UnitFile:
    r"""A unit file: its text, and the assignments in it in order.

    Comments (``#``, ``;``) and blank lines are skipped, also inside a continuation. A line that
    ends in an odd number of backslashes goes on in the next one; backslash and newline count as
    one space. White space around name and value is dropped::

        [Service]                     Option("Service", "ExecStart", "/bin/sh -c   'exit 0'", 2)
        ExecStart=/bin/sh -c \
          # why not
          'exit 0'
        Environment=                  Option("Service", "Environment", "", 5)
    """

    text: str
    name: str = ""
    options: tuple[Option, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, text: str, name: str = "") -> Self:
        """Read *text*; *name* is only for messages.

        Raises UnitFileError: with the line and the reason. Nothing is dropped or guessed.
        """
        _check_characters(text, name)
        return cls(text, name, tuple(_options(text.removeprefix(_BOM), name)))

    @classmethod
    def decode(cls, raw: bytes, name: str = "") -> Self:
        """Read the bytes of a file. Raises UnitFileError."""
        if len(raw) > TEXT_BYTES_MAX:
            raise UnitFileError(name, 0, f"longer than {TEXT_BYTES_MAX} bytes")
        try:
            text = raw.decode()
        except UnicodeDecodeError as exc:
            line = raw.count(b"\n", 0, exc.start) + 1
            raise UnitFileError(name, line, "not UTF-8 text") from exc
        return cls.parse(text, name)

    def get(self, section: str, name: str) -> list[str]:
        """Return the values given to *name*, in order; an empty assignment resets the list."""
        return [option.value for option in self.assigned(section, name)]

    def assigned(self, section: str, name: str) -> list[Option]:
        """Return what :meth:`get` does, with the lines."""
        found: list[Option] = []
        for option in self.options:
            if option.section == section and option.name == name:
                if option.value:
                    found.append(option)
                else:
                    found.clear()
        return found

    def last(self, section: str, name: str) -> str | None:
        """Return the last value, for options that can have only one; ``None`` without any."""
        values = self.get(section, name)
        return values[-1] if values else None

    def sections(self) -> list[str]:
        """Return the sections that hold an assignment, in order of first appearance."""
        return list(dict.fromkeys(option.section for option in self.options))

    def serialise(self) -> str:
        """Print what the file means: one assignment a line, no comments (fleet: unit.Serialize).

        Sections come in order of first appearance. Parsing it again gives the same options but
        for their lines.
        """
        return "\n".join(
            f"[{section}]\n"
            + "".join(f"{o.name}={o.value}\n" for o in self.options if o.section == section)
            for section in self.sections()
        )

    def hash(self) -> str:
        """Return the SHA-1 (hex) of :meth:`serialise`: equal for files that mean the same."""
        return hashlib.sha1(self.serialise().encode(), usedforsecurity=False).hexdigest()

    def __str__(self) -> str:
        return self.text


def _check_characters(text: str, name: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as exc:
        raise UnitFileError(name, text.count("\n", 0, exc.start) + 1, "not UTF-8 text") from exc
    if size > TEXT_BYTES_MAX:
        raise UnitFileError(name, 0, f"longer than {TEXT_BYTES_MAX} bytes")
    control = _CONTROL.search(text)
    if control is not None:
        raise _control(name, text.count("\n", 0, control.start()) + 1, control[0])


def _control(name: str, line: int, character: str) -> UnitFileError:
    if character == "\r":
        hint = "convert it to unix line ends: sed -i 's/\\r$//' FILE"
        return UnitFileError(name, line, "has a carriage return", hint=hint)
    return UnitFileError(name, line, f"has the control character U+{ord(character):04X}")


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield (number of the first line, line with its continuations joined)."""
    start, pending, continued = 0, "", False
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip(_WHITESPACE).startswith(("#", ";")):
            continue
        if not continued:
            start = number
        pending += line
        backslashes = len(line) - len(line.rstrip("\\"))
        continued = backslashes % 2 == 1
        if continued:
            pending = pending[:-1] + " "
            continue
        yield start, pending
        pending = ""
    if continued:
        yield start, pending


def _options(text: str, name: str) -> Iterator[Option]:
    section = None
    for number, logical in _logical_lines(text):
        line = logical.strip(_WHITESPACE)
        if not line:
            continue
        if line.startswith("["):
            section = _section(line, name, number)
        elif section is None:
            raise UnitFileError(name, number, "assignment outside of a section")
        else:
            yield _assignment(section, line, name, number)


def _section(line: str, name: str, number: int) -> str:
    title = line[1:-1]
    if not line.endswith("]") or not _SECTION.fullmatch(title):
        raise UnitFileError(name, number, f"not a section header: {line[:80]!r}")
    return title


def _assignment(section: str, line: str, name: str, number: int) -> Option:
    key, equals, value = line.partition("=")
    key = key.rstrip(_WHITESPACE)
    if not equals:
        raise UnitFileError(name, number, f"no '=' in {line[:80]!r}")
    if not _OPTION_NAME.fullmatch(key):
        raise UnitFileError(name, number, f"not the name of an option: {key[:80]!r}")
    return Option(section, key, value.lstrip(_WHITESPACE), number)
