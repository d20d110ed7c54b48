"""Unit names as people type them: without ``.service``, or as a path to a file."""

from pathlib import Path

from c101.core.errors import ConfigError, InvalidNameError
from c101.core.units.file import UnitFile
from c101.core.units.name import UnitName

#: Larger files are no unit files.
FILE_BYTES_MAX = 1 << 20


def unit_name(text: str) -> str:
    """Return the whole name: ``web@1`` is ``web@1.service``. Raises InvalidNameError."""
    return UnitName.parse(UnitName.complete(text)).full


def is_path(text: str) -> bool:
    """Say whether *text* means a file here, not a unit of the cluster."""
    return "/" in text


def read_unit(path: Path) -> tuple[str, str]:
    """Return (name, text) of the unit file at *path*.

    Raises ConfigError: it cannot be read; InvalidNameError; UnitFileError: file, line and reason.
    """
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes, so no unit file")
    name = UnitName.parse(path.name).full
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise InvalidNameError(f"{path}: not text in UTF-8") from error
    UnitFile.parse(text, name=str(path))
    return name, text


def read_unit_or_template(path: Path) -> tuple[str, str]:
    """Return (name, text) of *path*; of an instance without a file of its own, the template's text.

    Raises what ``read_unit`` raises.
    """
    name = UnitName.parse(path.name)
    if name.template is not None and not path.exists():
        _, text = read_unit(path.with_name(name.template))
        return name.full, text
    return read_unit(path)
