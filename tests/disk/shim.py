"""The shim of disk.c: built once a session, and the environment of a process that runs on it."""

import os
import shutil
import struct
import subprocess
from mmap import mmap
from pathlib import Path

HAVE_GCC = shutil.which("gcc") is not None
_CONTROL = struct.Struct("=qq")
#: Any number of bytes.
UNLIMITED = -1


def build(directory: Path) -> Path:
    """Compile the shim into *directory* and return the library."""
    library = directory / "disk.so"
    source = Path(__file__).with_name("disk.c")
    command = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared"]
    subprocess.run([*command, "-o", str(library), str(source), "-ldl", "-pthread"], check=True)
    return library


class Shim:
    """One simulated disk: what is under *root* is on it, the journal is beside."""

    def __init__(self, library: Path, root: Path, journal: Path) -> None:
        self._library = library
        self.root = root
        self.journal = journal
        self._control = journal.with_suffix(".control")
        self._control.write_bytes(_CONTROL.pack(UNLIMITED, 0))

    @property
    def environment(self) -> dict[str, str]:
        """The environment to start a process with."""
        return {
            **os.environ,
            "LD_PRELOAD": str(self._library),
            "C101_DISK_ROOT": str(self.root),
            "C101_DISK_JOURNAL": str(self.journal),
            "C101_DISK_CONTROL": str(self._control),
        }

    @property
    def bytes_free(self) -> int:
        """How many bytes files may still grow; UNLIMITED for any."""
        return int(self._get()[0])

    @bytes_free.setter
    def bytes_free(self, count: int) -> None:
        self._set(count, self._get()[1])

    def fail_syncs(self, error: int) -> None:
        """Let every sync fail with *error* from here on; 0 lets them succeed."""
        self._set(self._get()[0], error)

    def _get(self) -> tuple[int, int]:
        count, error = _CONTROL.unpack(self._control.read_bytes())
        return count, error

    def _set(self, count: int, error: int) -> None:
        # In place, without cutting it off first: the process has it mapped.
        with self._control.open("r+b") as file, mmap(file.fileno(), _CONTROL.size) as memory:
            memory[:] = _CONTROL.pack(count, error)
