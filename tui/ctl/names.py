"""Unit names as people type them: without ``.service``, or as a path to a file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from c101.core.errors import ConfigError, InvalidNameError
from c101.core.registry.registry import check_unit
from c101.core.units import quadlet
from c101.core.units.file import UnitFile
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
    """Return the unit in the file at *path*, its drop-ins included.

    Raises ConfigError: it cannot be read; InvalidNameError; UnitFileError: file, line and reason.
    """
    name = _name_of(path)
    return Wanted(name.full, _with_drop_ins(path, name, [path]))


def read_unit_or_template(path: Path) -> Wanted:
    """Return the unit at *path*; of an instance without a file of its own, with its template's.

    Raises what ``read_unit`` raises.
    """
    name = _name_of(path)
    if name.template is not None and not path.exists():
        template = path.with_name(name.template)
        if path.suffix == quadlet.SUFFIX:
            template = template.with_suffix(quadlet.SUFFIX)
        return Wanted(name.full, _with_drop_ins(template, name, [template, path]))
    return Wanted(name.full, _with_drop_ins(path, name, [path]))


def _name_of(path: Path) -> UnitName:
    """Return the unit that a file is of: of ``web.container`` the service that it becomes."""
    container = path.suffix == quadlet.SUFFIX
    return UnitName.parse(quadlet.service_name(path.name) if container else path.name)


def _with_drop_ins(path: Path, name: UnitName, units: Sequence[Path]) -> str:
    """Return the text of a unit, and after it what is in ``UNIT.d/*.conf`` of each of *units*.

    What comes later is what holds, as if systemd had read them one after the other: sections may
    be there more than once (systemd.unit).
    """
    parts = [_read(path)]
    folders = [unit.with_name(f"{unit.name}.d") for unit in units]
    files = [file for folder in folders for file in folder.glob("*.conf")]
    for file in sorted(files, key=lambda file: file.name):
        text = _read(file)
        UnitFile.parse(text, str(file))  # an error is told with the line it has there
        parts.append(f"# {file.parent.name}/{file.name}\n{text}")
    whole = "\n".join(part if part.endswith("\n") else f"{part}\n" for part in parts)
    whole = whole if len(parts) > 1 else parts[0]
    if path.suffix == quadlet.SUFFIX:
        whole = quadlet.to_service(whole, str(path))
    check_unit(name, whole, source=str(path))
    return whole


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes, so no unit file")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidNameError(f"{path}: not text in UTF-8") from error
