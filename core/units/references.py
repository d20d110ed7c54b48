"""``${c101:UNIT.address}`` and ``${c101:UNIT.port}`` in a unit's text: where another unit is.

UNIT is a unit's name, ``.service`` may be left out, and ``%i`` and its kin are those of the unit
that refers. The address is that of the machine where the other one is active; the port is what its
file says under ``Port=`` in ``[X-C101]``. Nothing else is put into a text: an address or a port has
no letter that would mean anything to a unit file, a shell or a program.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from c101.core.errors import C101Error
from c101.core.units.file import UnitFileError
from c101.core.units.name import UnitName
from c101.core.units.specifiers import expand

#: What every reference begins with: a text without it has none.
MARK: Final = "${c101:"
_REFERENCE = re.compile(r"\$\{c101:([^}\n]*)(\}?)")
_VALUE = re.compile(r"[A-Za-z0-9.:_-]{1,255}")


@dataclass(frozen=True, slots=True)
class Reference:
    """What is wanted of another unit."""

    unit: str
    what: Literal["address", "port"]

    def __str__(self) -> str:
        """Return it as it may be written."""
        return f"{self.unit}.{self.what}"


#: Says what stands for a reference. Raises NotThereError.
Lookup = Callable[[Reference], str]


class NotThereError(C101Error):
    """The other unit is nowhere, or has no such thing."""

    code = "not_there"


def check(text: str, name: UnitName, *, source: str) -> None:
    """See whether every reference in *text* is one. Raises UnitFileError: file, line, reason."""
    for number, line in enumerate(text.splitlines(), 1):
        for match in _REFERENCE.finditer(line):
            try:
                _read(match, name)
            except C101Error as error:
                raise UnitFileError(source, number, str(error), hint=error.hint) from error


def fill(text: str, name: UnitName, lookup: Lookup) -> str:
    """Return *text* with what stands for each reference. Raises NotThereError."""

    def found(match: re.Match[str]) -> str:
        reference = _read(match, name)
        value = lookup(reference)
        if not _VALUE.fullmatch(value):
            raise NotThereError(f"{reference.unit} has an odd {reference.what}: {value[:80]!r}")
        return value

    return _REFERENCE.sub(found, text)


def _read(match: re.Match[str], name: UnitName) -> Reference:
    """Return the reference. Raises C101Error: it is none."""
    said = match[0]
    if not match[2]:
        raise NotThereError(f"{said}: it is not closed", hint="${c101:UNIT.address}")
    word, _, what = expand(match[1], name).rpartition(".")
    if what not in {"address", "port"} or not word:
        raise NotThereError(
            f"{said}: neither an address nor a port",
            hint="${c101:UNIT.address} or ${c101:UNIT.port}",
        )
    other = UnitName.parse(UnitName.complete(word))
    if other.is_template:
        raise NotThereError(f"{said}: a template runs nowhere")
    if other.full == name.full:
        raise NotThereError(f"{said}: it is the unit itself", hint="${C101_ADDRESS} is its own")
    return Reference(other.full, "address" if what == "address" else "port")
