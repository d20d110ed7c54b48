"""The units of ours on disk: each text, and beside it what the cluster calls it.

::

    DIRECTORY/units/NAME     the text, which systemd reads by a link
    DIRECTORY/notes/NAME     a ``Note``

Text and note are two files, and a crash may come between: the note has the digest of the text it
is of. With another text its hash counts for nothing, and the cluster loads the unit again.
"""

import hashlib
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from c101.core.errors import InvalidNameError
from c101.core.units.name import UnitName

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What is kept of a unit besides its text.

    ``hash`` is the cluster's. ``restart`` names the wish that was answered last, in the boot
    ``boot_id``. ``asked`` is one that systemd was being asked for when the unit's invocation was
    still ``invocation``: whether it came to that is seen by another invocation.
    """

    hash: str = ""
    digest: str = ""
    restart: str = ""
    boot_id: str = ""
    asked: str = ""
    invocation: str = ""
    unloading: bool = False


class UnitFiles:
    """The files below one directory, for their owner alone: systemd runs as the same user."""

    def __init__(self, directory: Path) -> None:
        self._units = directory / "units"
        self._notes = directory / "notes"

    def make(self) -> None:
        """Make the directories. Raises OSError."""
        for folder in (self._units, self._notes):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def path(self, name: str) -> Path:
        """Return where the text of a unit lies."""
        return self._units / name

    def leads_here(self, path: Path, name: str) -> bool:
        """Say whether *path* is the text of a unit of ours, or a link to it.

        A load that failed halfway left one.
        """
        return path.resolve() == self.path(name).resolve()

    def read(self) -> dict[str, Note]:
        """Return the units there are; what a crash left half done is cleaned away."""
        found: dict[str, Note] = {}
        for path in sorted(self._units.iterdir()):
            try:
                UnitName.parse(path.name)
            except InvalidNameError:
                path.unlink(missing_ok=True)  # a text that was being written
                continue
            found[path.name] = self._note(path)
        for path in self._notes.iterdir():
            if path.name not in found:
                path.unlink(missing_ok=True)
        return found

    def _note(self, path: Path) -> Note:
        try:
            note = msgspec.json.decode((self._notes / path.name).read_bytes(), type=Note)
        except FileNotFoundError:
            return Note()
        except (OSError, msgspec.MsgspecError) as exc:
            logger.warning("damaged note", extra={"unit": path.name, "reason": str(exc)})
            return Note()
        if note.digest != digest(path.read_bytes()):
            return replace(note, hash="", digest="")
        return note

    def write(self, name: str, text: bytes, note: Note) -> None:
        """Write the text, then the note. Raises OSError."""
        # Whoever may read what systemd says may read it: it complains of files that only root can.
        _write(self._units, name, text, 0o644)
        self.note(name, note)

    def note(self, name: str, note: Note) -> None:
        """Write the note alone. Raises OSError."""
        _write(self._notes, name, msgspec.json.encode(note), 0o600)

    def remove(self, name: str) -> None:
        """Remove both, the note last: what has no text is cleaned away."""
        (self._units / name).unlink(missing_ok=True)
        (self._notes / name).unlink(missing_ok=True)


def digest(text: bytes) -> str:
    """Return what a note knows a text by."""
    return hashlib.sha256(text).hexdigest()


def _write(folder: Path, name: str, content: bytes, mode: int) -> None:
    """Write a file whole or not at all, also over a power cut."""
    # No unit's name begins with a dot.
    fresh = folder / f".{name}"[:200]
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fchmod(descriptor, mode)  # whatever the umask
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(folder / name)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
