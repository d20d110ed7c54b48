"""Where a unit lies on disk: ``<directory>/units/<name>/``, with the files of ``keeper/spec.py``.

The name of a valid unit is a valid name of a directory (no slash, no leading dot). Every directory
is of mode 0700 and entered without following a link; every file is written beside its place, put
on the disk and moved there.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from c101.agents.runtime.process.keeper.spec import (
    LOCK_FILE,
    SPEC_FILE,
    UNIT_FILE,
    UNIT_FILES,
    Spec,
)
from c101.agents.runtime.process.keeper.status import Status, load, save

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


class UnitDirectory:
    """The directory of one unit."""

    def __init__(self, root: Path, name: str) -> None:
        self.path = root / name

    @contextmanager
    def opened(self) -> Iterator[int]:
        """Give a descriptor of it. Raises OSError."""
        fd = os.open(self.path, _DIRECTORY)
        try:
            yield fd
        finally:
            os.close(fd)

    def install(self, text: str, spec: bytes) -> None:
        """Write the unit's file and its spec, and have them on the disk. Raises OSError."""
        self.path.mkdir(mode=0o700, exist_ok=True)
        with self.opened() as fd:
            _replace(fd, UNIT_FILE, text.encode())
            _replace(fd, SPEC_FILE, spec)
            os.fsync(fd)

    def read_spec(self) -> Spec | None:
        """Return the spec; ``None`` when there is no unit. Raises SpecError: it is damaged."""
        try:
            with self.opened() as fd:
                raw = os.open(SPEC_FILE, _READ, dir_fd=fd)
                with os.fdopen(raw, "rb") as file:
                    return Spec.parse(file.read())
        except OSError:
            return None

    def read_status(self) -> Status:
        """Return the state its keeper wrote last."""
        try:
            with self.opened() as fd:
                return load(fd)
        except OSError:
            return Status()

    def write_status(self, status: Status) -> None:
        """Replace the state; only while there is no keeper. Raises OSError."""
        with self.opened() as fd:
            save(fd, status)

    def has_keeper(self) -> bool:
        """Say whether a keeper lives: it holds the lock as long as it does."""
        try:
            with self.opened() as fd:
                lock = os.open(LOCK_FILE, _READ, dir_fd=fd)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(lock)
        return False

    def remove(self) -> None:
        """Remove it and what belongs in it; what does not stays, and the directory with it."""
        try:
            with self.opened() as fd:
                for name in UNIT_FILES:
                    _unlink(fd, name)
        except OSError:
            return
        try:
            self.path.rmdir()
        except OSError:
            return


def _replace(directory: int, name: str, content: bytes) -> None:
    fresh = f"{name}.new"
    with os.fdopen(os.open(fresh, _WRITE, 0o600, dir_fd=directory), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.rename(fresh, name, src_dir_fd=directory, dst_dir_fd=directory)


def _unlink(directory: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=directory)
    except FileNotFoundError:
        return
