"""Unit names as people type them: without ``.service``, or as a path to a file."""

from dataclasses import dataclass
from pathlib import Path

from c101.core.errors import ConfigError, InvalidNameError
from c101.core.registry.registry import check_unit
from c101.core.units.name import UnitName

#: Larger files are no unit files.
FILE_BYTES_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class Wanted:
    """A unit that was named on the command line; ``text`` where it was named by its file."""

    name: str
    text: str | None = None


def unit_name(text: str) -> str:
    """Return the whole name: ``web@1`` is ``web@1.service``. Raises InvalidNameError."""
    return UnitName.parse(UnitName.complete(text)).full


def wanted(text: str) -> Wanted:
    """Say which unit *text* means: a path, that is anything with a slash, or a name.

    Raises what ``unit_name`` and ``read_unit_or_template`` raise.
    """
    if "/" in text:
        return read_unit_or_template(Path(text))
    return Wanted(unit_name(text))


def read_unit(path: Path) -> Wanted:
    """Return the unit in the file at *path*.

    Raises ConfigError: it cannot be read; InvalidNameError; UnitFileError: file, line and reason.
    """
    name = UnitName.parse(path.name)
    return Wanted(name.full, _read(path, name))


def read_unit_or_template(path: Path) -> Wanted:
    """Return the unit at *path*; of an instance without a file of its own, with its template's.

    Raises what ``read_unit`` raises.
    """
    name = UnitName.parse(path.name)
    if name.template is not None and not path.exists():
        return Wanted(name.full, _read(path.with_name(name.template), name))
    return Wanted(name.full, _read(path, name))


def _read(path: Path, name: UnitName) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes, so no unit file")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidNameError(f"{path}: not text in UTF-8") from error
    check_unit(name, text, source=str(path))
    return text
